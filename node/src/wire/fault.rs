//! What goes wrong between two nodes, as it travels: a stable code for programs, a sentence for people.
//! A code we do not know survives as its number.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a request was refused or failed. Numbers are given once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultCode(pub u16);

impl FaultCode {
    /// The message could not be understood.
    pub const BAD_MESSAGE: Self = Self(1);
    /// The caller may not ask this.
    pub const NOT_ALLOWED: Self = Self(2);
    /// The program cannot be run: not a WASI program, or an import is missing.
    pub const BAD_PROGRAM: Self = Self(3);
    /// What was asked for is not here.
    pub const NOT_FOUND: Self = Self(4);
    /// The answering node is full.
    pub const BUSY: Self = Self(5);
    /// The answering node failed.
    pub const INTERNAL: Self = Self(6);
    /// The request needs a feature this version does not have.
    pub const UNSUPPORTED: Self = Self(7);
    /// The environment could not be got.
    pub const NO_ENVIRONMENT: Self = Self(8);
    /// The ticket is unknown.
    pub const TICKET_REFUSED: Self = Self(9);
    /// The node is leaving.
    pub const LEAVING: Self = Self(10);
    /// A file or path of the job is not acceptable.
    pub const BAD_INPUT: Self = Self(11);
    /// The ticket has been used.
    pub const TICKET_USED: Self = Self(12);
    /// The ticket has expired.
    pub const TICKET_EXPIRED: Self = Self(13);
    /// The ticket's secret was not proved.
    pub const TICKET_FORGED: Self = Self(14);
    /// A quota of the caller's is used up.
    pub const OVER_QUOTA: Self = Self(20);
    /// The caller kept others waiting for longer than it may.
    pub const TOO_SLOW: Self = Self(21);
    /// The answering machine lends nothing now; nothing of the job has run.
    pub const NOT_LENDING: Self = Self(24);
    /// The job ran and was ended because the machine's owner wants it back.
    pub const TAKEN_BACK: Self = Self(25);
}

/// `FAULT`: a refusal or failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// For programs.
    pub code: FaultCode,
    /// For people: what, why, and what would change it.
    pub text: String,
    /// In how many seconds it is worth asking again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_s: Option<u64>,
}

impl Fault {
    /// A fault with its sentence.
    pub fn new(code: FaultCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), again_s: None }
    }

    /// The same, to be asked again after so many seconds.
    #[must_use]
    pub fn again_in(mut self, seconds: Option<u64>) -> Self {
        self.again_s = seconds;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}
