//! What a run is asked to do, in terms of this machine: files that lie here, paths the guest will see.
//! Nothing in this file knows of peers.

use crate::image::ImageChoice;
use crate::limits::Limits;
use crate::wheels::sets::PackageSet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The most characters a guest path may have.
pub const GUEST_PATH_LEN_MAX: usize = 1024;
/// The most components a guest path may have.
pub const GUEST_PATH_DEPTH_MAX: usize = 64;

/// A path inside a guest's working directory: relative, of normal components only, separated by `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct GuestPath(String);

/// Why a text is no guest path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("file name {name:?} cannot be used in a job: {why}")]
pub struct GuestPathError {
    name: String,
    why: &'static str,
}

impl GuestPath {
    /// Parses a relative path. Refused: empty, absolute, `.` and `..` components, backslashes, control characters,
    /// more than [`GUEST_PATH_LEN_MAX`] bytes or [`GUEST_PATH_DEPTH_MAX`] components, a component over 255 bytes.
    ///
    /// # Errors
    /// A [`GuestPathError`] that names the text and the reason.
    pub fn parse(text: &str) -> Result<Self, GuestPathError> {
        let refuse = |why| Err(GuestPathError { name: text.chars().take(200).collect(), why });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > GUEST_PATH_LEN_MAX {
            return refuse("it is longer than 1024 bytes");
        }
        if text.contains(|c: char| c.is_control() || c == '\\') {
            return refuse("it holds a backslash or a control character");
        }
        let mut depth = 0;
        for component in text.split('/') {
            depth += 1;
            match component {
                "" => return refuse("it is absolute or holds an empty component"),
                "." | ".." => return refuse("it holds '.' or '..'"),
                c if c.len() > 255 => return refuse("one of its components is longer than 255 bytes"),
                _ => {}
            }
        }
        if depth > GUEST_PATH_DEPTH_MAX {
            return refuse("it is nested deeper than 64 directories");
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text, `/`-separated and relative.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de> Deserialize<'de> for GuestPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The program of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// A WASI preview-1 command module or preview-2 command component, in a file on this machine.
    Wasm {
        /// Where the bytes are.
        path: PathBuf,
        /// What the guest sees as its own name (`argv[0]`).
        name: String,
    },
    /// A script, which is one of the inputs, run by the environment.
    Script {
        /// The environment's name (`python`).
        environment: String,
        /// Which input to run: `report.py`, or `tool/__main__.py` for a directory.
        entry: GuestPath,
        /// What of its imports was done before.
        image: ImageChoice,
    },
    /// A command of a container image, run by the container engine of this machine if its owner lends it.
    Container {
        /// The image, as its user wrote it.
        image: String,
        /// The whole command before the arguments of the run. It is started in the directory of the inputs; a first word that
        /// names an input is run from there, any other is looked for by the image's `PATH`.
        command: Vec<String>,
    },
}

/// One file to be laid into the working directory before the guest starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Its place in the working directory.
    pub guest: GuestPath,
    /// Where its bytes are on this machine. It is copied (or reflinked), never linked.
    pub source: PathBuf,
    /// Whether the owner's execute bit is kept.
    pub executable: bool,
}

/// A folder of this machine the guest may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The folder on this machine.
    pub host: PathBuf,
    /// Where the guest sees it; absolute, normal components (`/data`).
    pub guest: String,
}

/// For whom a run is made. A worker that served one tenant is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tenant([u8; 32]);

impl Tenant {
    /// The owner of this machine.
    pub const OWNER: Self = Self([0; 32]);

    /// A tenant by a name that no other has, such as a public key.
    #[must_use]
    pub const fn new(name: [u8; 32]) -> Self {
        Self(name)
    }
}

/// All that a run needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Who wants it.
    pub tenant: Tenant,
    /// What runs.
    pub program: Program,
    /// Arguments after the program's own name.
    pub args: Vec<String>,
    /// Environment variables; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Files of the working directory.
    pub inputs: Vec<InputFile>,
    /// Empty directories of the working directory.
    pub directories: Vec<GuestPath>,
    /// Read-only folders.
    pub mounts: Vec<Mount>,
    /// The packages of a script, which stay as long as something of the run is there.
    #[serde(skip)]
    pub packages: Option<Arc<PackageSet>>,
    /// What it may use.
    pub limits: Limits,
    /// How many graphics cards it is given; only a container can have any.
    #[serde(default)]
    pub gpus: u32,
    /// A checkpoint of an earlier run, to go on from: a file of this machine, which is copied.
    pub restore: Option<PathBuf>,
}

impl RunRequest {
    /// A run of this program with nothing else given to it, under the default limits.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            tenant: Tenant::OWNER,
            program,
            args: Vec::new(),
            env: Vec::new(),
            inputs: Vec::new(),
            directories: Vec::new(),
            mounts: Vec::new(),
            packages: None,
            limits: Limits::default(),
            gpus: 0,
            restore: None,
        }
    }
}
