//! The messages about sessions. A session is opened by a `SUBMIT` whose program is one; from then on whoever opened it
//! names it by its id. As the others they are MessagePack maps with named fields.

use super::message::JobId;
use potluck_runtime::{GuestPath, Limits, Outcome, TurnLimits, TurnReport};
use serde::{Deserialize, Serialize};

/// `SESSION_TURN`: have the session run this. `STDIN` and `STDIN_END` may follow; the answer is output and `TURN_ENDED`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTurn {
    /// Which session.
    pub session: JobId,
    /// The text to run.
    pub source: String,
    /// What the turn may use; the session's own limits if nothing is said.
    pub limits: Option<TurnLimits>,
}

/// `SESSION_INTERRUPT`, `SESSION_SAVE`, `SESSION_STOP`: this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhichSession {
    /// Which.
    pub session: JobId,
}

/// `SESSION_FORK`: make a twin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkSession {
    /// Of which.
    pub session: JobId,
    /// The twin's id, made by whoever asks.
    pub twin: JobId,
    /// What the twin is called.
    pub name: Option<String>,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// A turn runs.
    Busy,
    /// It waits for a turn, in memory.
    Awake,
    /// It waits for a turn, on disk.
    Parked,
}

/// `SESSION_IS`: what there is to say of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its id.
    pub session: JobId,
    /// What its user calls it.
    pub name: Option<String>,
    /// Its environment.
    pub environment: String,
    /// The name of what it started from.
    pub image: String,
    /// What it does.
    pub state: SessionState,
    /// Turns so far.
    pub turns: u64,
    /// When it was opened, in seconds since 1970 by its node's clock.
    pub created_unix: u64,
    /// When the last turn ended, likewise.
    pub used_unix: u64,
    /// How much memory its guest has, in bytes.
    pub memory_bytes: u64,
    /// Whose it is, when it is somebody else's; told to the machine's owner alone.
    pub owner: Option<String>,
    /// What it may use; those of fuel, wall time and output hold for each turn.
    pub limits: Limits,
}

/// `SESSIONS_ARE`: the caller's sessions; to the machine's owner all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionList {
    /// The sessions, the oldest first.
    pub sessions: Vec<SessionInfo>,
}

/// `TURN_ENDED`: how a turn ended. The last frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnEnded {
    /// Exited with 0, or with 1 after an exception that was not caught, or what ended it.
    pub outcome: Outcome,
    /// Whether the turn asked for the session's end, and the session is gone.
    pub quit: bool,
    /// Whether the session is what it was before the turn.
    pub undone: bool,
    /// Executed instructions, roughly; 0 where the worker had to be killed.
    pub fuel_used: u64,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// The most memory the session held, in bytes.
    pub memory_peak_bytes: u64,
}

impl From<TurnReport> for TurnEnded {
    fn from(report: TurnReport) -> Self {
        let TurnReport { outcome, quit, undone, fuel_used, wall_ms, memory_peak_bytes } = report;
        Self { outcome, quit, undone, fuel_used, wall_ms, memory_peak_bytes }
    }
}

/// `SESSION_MEMORY`: the memory of the session that is saved; its bytes follow as `DATA` frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMemory {
    /// How many bytes follow.
    pub size: u64,
    /// Directories of the working directory that hold no files.
    pub directories: Vec<GuestPath>,
    /// Entries of the working directory that are not carried, with the reason.
    pub left_behind: Vec<String>,
}
