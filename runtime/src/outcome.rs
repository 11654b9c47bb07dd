//! How a run ended. An outcome is data, never an error: a program that fails has still been run.

use crate::limits::LimitHit;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The program ended with this code.
    Exited(i32),
    /// The program did something WebAssembly forbids (unreachable, out-of-bounds access, stack overflow, ...).
    Trapped(String),
    /// A limit ended it.
    Limit(LimitHit),
    /// The submitter, or the owner of the machine, ended it.
    Cancelled,
    /// The worker vanished, with what is known of why.
    Lost(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Trapped(why) => write!(f, "trapped: {why}"),
            Self::Limit(hit) => write!(f, "stopped by its {hit}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Lost(why) => write!(f, "lost: {why}"),
        }
    }
}

/// What a finished run reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Fuel used; the same program on the same input uses the same amount on every machine. 0 where the worker could no
    /// longer say, because it was killed: a cancelled or lost run, and one whose wall time only the kill enforced. Of a container:
    /// nanoseconds of core time when it was last measured, 0 if it was over before.
    pub fuel_used: u64,
    /// Wall time of the guest, in milliseconds.
    pub wall_ms: u64,
    /// The most memory held at once (linear memories and tables), in bytes; 0 as for `fuel_used`.
    pub memory_peak_bytes: u64,
}
