//! How a job ends: exactly one of done, failed, cancelled, or lost with a reason.

use potluck_runtime::Outcome;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Its program ended with code 0.
    Done,
    /// Its program did not, or is none. The same would happen anywhere, so it is not tried again.
    Failed(Failure),
    /// Whoever submitted it, or the map it was of, wanted no more of it.
    Cancelled,
    /// The machines failed it, not the program.
    Lost(LostWhy),
}

/// How a program failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// It ran, and ended so.
    Outcome(Outcome),
    /// No machine would run it: why, in the words of the one that was asked.
    Refused(String),
}

/// Why a job is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LostWhy {
    /// No machine fitted in the time it wanted to wait.
    NoMachine {
        /// How long it waited, in milliseconds.
        waited_ms: u64,
        /// What stood in the way, commonest first.
        why: String,
    },
    /// As many of its runs vanished as it may have.
    Vanished {
        /// How many runs it had.
        runs: u32,
        /// What is known of the last.
        last: String,
    },
    /// Its runs took down what they ran in so often that it is sent to nobody else.
    Poison {
        /// How often.
        times: u32,
        /// What is known of the last.
        last: String,
    },
    /// Machines took it and would not go on with it so often that it is sent to nobody else.
    BrokenOff {
        /// How often.
        times: u32,
        /// What is known of the last.
        last: String,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(Failure::Outcome(outcome)) => write!(f, "failed: {outcome}"),
            Self::Failed(Failure::Refused(why)) => write!(f, "failed: {why}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Lost(why) => write!(f, "lost: {why}"),
        }
    }
}

impl fmt::Display for LostWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMachine { waited_ms, why } => {
                write!(f, "no machine fitted within {} s ({why})", waited_ms.div_ceil(1000))
            }
            Self::Vanished { runs, last } => {
                write!(f, "{runs} runs vanished, and it may have no more (`--retries`); the last: {last}")
            }
            Self::BrokenOff { times, last } => {
                write!(f, "{times} of its runs were begun and broken off, so it is sent nowhere else; the last: {last}")
            }
            Self::Poison { times, last } => {
                write!(
                    f,
                    "{times} of its runs took down what they ran in, so it is sent nowhere else; the last: {last}"
                )
            }
        }
    }
}
