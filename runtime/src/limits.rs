//! What a run may use at most. Every limit has a default, every limit is enforced, and each one that bites names itself
//! in the outcome. A limit is data; the code that enforces it lives beside what it limits.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The most a run may use. All values are upper bounds; zero means none at all, never unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Executed instructions, roughly (wasmtime fuel). A busy core burns about 8 G a second. Of a container: nanoseconds of
    /// core time, measured a few times a second.
    pub fuel: u64,
    /// Linear memories and tables of all instances together, in bytes.
    pub memory_bytes: u64,
    /// Wall time from the start of the guest to its end, in milliseconds.
    pub wall_ms: u64,
    /// Bytes written to stdout and stderr together.
    pub output_bytes: u64,
    /// Bytes held in the working directory and the temporary directory together, inputs not counted.
    pub disk_bytes: u64,
    /// Files and directories held open at once.
    pub open_files: u32,
    /// Files, directories and links held in the working directory and the temporary directory together, inputs not
    /// counted.
    #[serde(default = "default_files")]
    pub files: u64,
    /// How deep below one of these directories something may be made.
    #[serde(default = "default_path_depth")]
    pub path_depth: u32,
    /// How long the path from one of these directories to something that is made may be, in bytes.
    #[serde(default = "default_path_bytes")]
    pub path_bytes: u32,
    /// Bytes of randomness drawn from the host.
    #[serde(default = "default_random_bytes")]
    pub random_bytes: u64,
}

/// A walk over as many takes the host about a tenth of a second.
const fn default_files() -> u64 {
    100_000
}

/// Twice what can be brought back.
const fn default_path_depth() -> u32 {
    128
}

/// Twice what can be brought back; with the directory's own place it is still a path the system takes.
const fn default_path_bytes() -> u32 {
    2048
}

const fn default_random_bytes() -> u64 {
    1 << 30
}

impl Limits {
    /// Those of a run for which nothing else was said.
    pub const DEFAULT: Self = Self {
        fuel: 10_000_000_000_000,
        memory_bytes: 1 << 30,
        wall_ms: 10 * 60 * 1000,
        output_bytes: 64 << 20,
        disk_bytes: 1 << 30,
        open_files: 1024,
        files: default_files(),
        path_depth: default_path_depth(),
        path_bytes: default_path_bytes(),
        random_bytes: default_random_bytes(),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The most one turn of a session may use. The session's other limits hold for all its turns together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnLimits {
    /// As in [`Limits`].
    pub fuel: u64,
    /// As in [`Limits`].
    pub wall_ms: u64,
    /// As in [`Limits`].
    pub output_bytes: u64,
}

impl From<&Limits> for TurnLimits {
    fn from(limits: &Limits) -> Self {
        Self { fuel: limits.fuel, wall_ms: limits.wall_ms, output_bytes: limits.output_bytes }
    }
}

impl Limits {
    /// The wall time as a duration.
    #[must_use]
    pub const fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_ms)
    }
}

/// Which limit ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Executed instructions.
    Fuel,
    /// Linear memory.
    Memory,
    /// Wall time.
    WallTime,
    /// Bytes of output.
    Output,
    /// Bytes on disk.
    Disk,
    /// Open files.
    OpenFiles,
    /// Files, directories and links.
    Files,
    /// How deep something was made.
    PathDepth,
    /// How long the path to something that was made.
    PathLength,
    /// Randomness.
    RandomBytes,
    /// The stack of a guest's functions. The engine's, the same for every run.
    Stack,
    /// Elements of one table. The same for every run.
    TableElements,
    /// Tables. The same for every run.
    Tables,
    /// Linear memories. The same for every run.
    Memories,
    /// What a component holds of its host: streams, waits, descriptors. The same for every run.
    Handles,
}

/// In what a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitUnit {
    /// Instructions, roughly.
    Fuel,
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

impl LimitKind {
    /// In what this limit is counted.
    #[must_use]
    pub const fn unit(self) -> LimitUnit {
        match self {
            Self::Fuel => LimitUnit::Fuel,
            Self::WallTime => LimitUnit::Milliseconds,
            Self::Memory | Self::Output | Self::Disk | Self::PathLength | Self::RandomBytes | Self::Stack => {
                LimitUnit::Bytes
            }
            Self::OpenFiles
            | Self::Files
            | Self::PathDepth
            | Self::TableElements
            | Self::Tables
            | Self::Memories
            | Self::Handles => LimitUnit::Count,
        }
    }

    /// The flag of `potluck run` that raises this limit, if there is one.
    #[must_use]
    pub const fn flag(self) -> Option<&'static str> {
        match self {
            Self::Fuel => Some("--fuel"),
            Self::Memory => Some("--memory"),
            Self::WallTime => Some("--timeout"),
            Self::Output => Some("--output"),
            Self::Disk => Some("--disk"),
            Self::OpenFiles => Some("--open-files"),
            Self::Files => Some("--file-count"),
            Self::RandomBytes => Some("--random"),
            Self::PathDepth
            | Self::PathLength
            | Self::Stack
            | Self::TableElements
            | Self::Tables
            | Self::Memories
            | Self::Handles => None,
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::WallTime => "wall time",
            Self::Output => "output",
            Self::Disk => "disk",
            Self::OpenFiles => "open files",
            Self::Files => "files",
            Self::PathDepth => "path depth",
            Self::PathLength => "path length",
            Self::RandomBytes => "random bytes",
            Self::Stack => "stack",
            Self::TableElements => "table elements",
            Self::Tables => "tables",
            Self::Memories => "memories",
            Self::Handles => "handles",
        })
    }
}

/// A limit that bit: which, how much was used or asked for, and how much was allowed.
/// Units are those of the field in [`Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitHit {
    /// Which limit.
    pub kind: LimitKind,
    /// What was used, or would have been with the request that was refused.
    pub used: u64,
    /// What was allowed.
    pub allowed: u64,
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.kind.unit() {
            LimitUnit::Fuel | LimitUnit::Count => "",
            LimitUnit::Milliseconds => " ms",
            LimitUnit::Bytes => " bytes",
        };
        write!(f, "{} limit: used {}{unit} of {}{unit}", self.kind, self.used, self.allowed)
    }
}
