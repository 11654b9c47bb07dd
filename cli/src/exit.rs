//! Exit codes are part of the interface: a documented constant each, and one mapping from what happened. The numbers
//! follow `timeout`, `env` and `docker run`, so that scripts which know those know these.

use potluck_runtime::{LimitKind, Outcome};
use std::fmt;

/// All went well; for `run`, the job ended with 0.
pub(crate) const SUCCESS: u8 = 0;
/// `doctor` found something that does not work.
pub(crate) const UNWELL: u8 = 1;
/// A program that ran many times (`each`, `map`) did not end well every time.
pub(crate) const SOME_FAILED: u8 = 1;
/// The command line is not understood (every command but those that end as what runs, whose 2 belongs to that).
pub(crate) const USAGE: u8 = 2;
/// The job met its wall time.
pub(crate) const WALL_TIME: u8 = 124;
/// Potluck or the network failed; for `run`, also when its own options are not understood.
pub(crate) const FAILED: u8 = 125;
/// The program cannot be run: a bad module, a missing import, an unknown kind of file.
pub(crate) const CANNOT_RUN: u8 = 126;
/// The program was not found.
pub(crate) const NOT_FOUND: u8 = 127;
/// The job was cancelled.
pub(crate) const CANCELLED: u8 = 130;
/// The job trapped.
pub(crate) const TRAPPED: u8 = 134;
/// The job met a limit other than its wall time.
pub(crate) const LIMIT: u8 = 137;

/// The table, for `potluck run --help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  the job's own, or
  124  the job met its wall time (--timeout)
  125  Potluck or the network failed
  126  the program cannot be run (bad module, missing import)
  127  the program was not found
  130  the job was cancelled
  134  the job trapped
  137  the job met another limit";

/// Trouble before or around a job, as far as the exit code goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The program is not there.
    NotFound,
    /// The program is there and cannot be run.
    CannotRun,
    /// The user gave up.
    Cancelled,
    /// Whoever read our stdout has gone; nothing needs to be said.
    ReaderGone,
    /// Everything else.
    Failed,
}

impl Trouble {
    /// The exit code of this trouble.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::NotFound => NOT_FOUND,
            Self::CannotRun => CANNOT_RUN,
            Self::Cancelled => CANCELLED,
            Self::ReaderGone => SUCCESS,
            Self::Failed => FAILED,
        }
    }
}

/// An error that knows its exit code.
#[derive(Debug)]
pub(crate) struct Refusal {
    trouble: Trouble,
    text: String,
}

impl Refusal {
    /// A refusal with its sentence, as an error that any function may pass on.
    pub(crate) fn error(trouble: Trouble, text: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { trouble, text: text.into() })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// The trouble an error stands for.
pub(crate) fn trouble_of(error: &anyhow::Error) -> Trouble {
    error.downcast_ref::<Refusal>().map_or(Trouble::Failed, |refusal| refusal.trouble)
}

/// The exit code of a job that ended like this.
pub(crate) fn code_of_outcome(outcome: &Outcome) -> u8 {
    match outcome {
        // As the operating system does it: the low byte.
        Outcome::Exited(code) => code.to_le_bytes()[0],
        Outcome::Trapped(_) => TRAPPED,
        Outcome::Limit(hit) => match hit.kind {
            LimitKind::WallTime => WALL_TIME,
            LimitKind::Fuel
            | LimitKind::Memory
            | LimitKind::Output
            | LimitKind::Disk
            | LimitKind::OpenFiles
            | LimitKind::Files
            | LimitKind::PathDepth
            | LimitKind::PathLength
            | LimitKind::RandomBytes
            | LimitKind::Stack
            | LimitKind::TableElements
            | LimitKind::Tables
            | LimitKind::Memories
            | LimitKind::Handles => LIMIT,
        },
        Outcome::Cancelled => CANCELLED,
        Outcome::Lost(_) => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_runtime::LimitHit;

    fn limit(kind: LimitKind) -> Outcome {
        Outcome::Limit(LimitHit { kind, used: 2, allowed: 1 })
    }

    #[test]
    fn every_outcome_has_the_code_that_is_documented() {
        for (outcome, code) in [
            (Outcome::Exited(0), 0),
            (Outcome::Exited(3), 3),
            (Outcome::Exited(256 + 7), 7),
            (Outcome::Exited(-1), 255),
            (Outcome::Trapped("unreachable".into()), 134),
            (limit(LimitKind::WallTime), 124),
            (limit(LimitKind::Fuel), 137),
            (limit(LimitKind::Memory), 137),
            (limit(LimitKind::Output), 137),
            (limit(LimitKind::Disk), 137),
            (limit(LimitKind::OpenFiles), 137),
            (Outcome::Cancelled, 130),
            (Outcome::Lost("the peer fell silent".into()), 125),
        ] {
            assert_eq!(code_of_outcome(&outcome), code, "{outcome}");
        }
    }

    #[test]
    fn an_error_keeps_its_code_under_further_context() {
        let error = Refusal::error(Trouble::NotFound, "there is no x.py").context("cannot run x.py");
        assert_eq!(trouble_of(&error).code(), NOT_FOUND);
        assert_eq!(trouble_of(&anyhow::anyhow!("anything")).code(), FAILED);
    }

    #[test]
    fn the_table_names_every_code() {
        for code in [WALL_TIME, FAILED, CANNOT_RUN, NOT_FOUND, CANCELLED, TRAPPED, LIMIT] {
            assert!(TABLE.contains(&format!("  {code}  ")), "{code}");
        }
    }
}
