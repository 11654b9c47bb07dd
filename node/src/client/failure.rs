//! What keeps a job from an outcome, told to the user who submitted it.

use crate::net::link::was_closed_here;
use crate::wire::{Fault, FaultCode, FrameError};
use std::io;
use std::path::PathBuf;

/// Why a job has no outcome. The text is the whole sentence; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The program is not there.
    #[error("cannot find the program {path}")]
    ProgramNotFound {
        /// What was asked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("cannot run {program}: {why}")]
    BadProgram {
        /// Which.
        program: String,
        /// Why, and what would change it.
        why: String,
    },
    /// An input cannot be read.
    #[error("cannot read {path}")]
    Input {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something of the job cannot be used.
    #[error("{0}")]
    BadInput(String),
    /// Nobody can be reached who would run it.
    #[error("{0}")]
    Unreachable(String),
    /// The peer refused the job or failed.
    #[error("{}", said_by(peer, fault))]
    Refused {
        /// Its label.
        peer: String,
        /// What it said.
        fault: Fault,
    },
    /// The connection ended in the middle of the job.
    #[error("lost {peer} in the middle of the job: {why}; what the job did there is gone, run it again or elsewhere")]
    Lost {
        /// Its label.
        peer: String,
        /// What is known.
        why: String,
    },
    /// The owner has put the peer out in the middle of the job.
    #[error(
        "{peer} is not trusted by this machine any more (`potluck peers rm` or `revoke`): the connection is ended, and what \
         ran there with it; run it again elsewhere"
    )]
    PutOut {
        /// Its label.
        peer: String,
    },
    /// The peer said something that makes no sense.
    #[error("{peer} broke the protocol")]
    Protocol {
        /// Its label.
        peer: String,
        /// How.
        source: FrameError,
    },
    /// The peer sent more than a guest under its limits can have made.
    #[error("{peer} sends more than the {allowed} bytes of {what} there can be, and is not listened to any more")]
    Flooded {
        /// Its label.
        peer: String,
        /// Of what.
        what: &'static str,
        /// How much there can be.
        allowed: u64,
    },
    /// An output file cannot be kept.
    #[error("cannot write the output {path}: {why}")]
    Output {
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The job was cancelled and its end did not arrive in time; the connection is ended, which ends it.
    #[error("cancelled; {peer} did not confirm it in time, so the connection is ended, which ends the job")]
    CancelledUnconfirmed {
        /// Its label.
        peer: String,
    },
    /// This process cannot do its part.
    #[error("{what}")]
    Internal {
        /// What failed.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What kind of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The program is not there.
    NotFound,
    /// The program cannot be run anywhere.
    BadProgram,
    /// An input, output, folder or variable cannot be used.
    BadInput,
    /// Nobody can be reached.
    Unreachable,
    /// The peer does not want to.
    Refused,
    /// The environment could not be got.
    Environment,
    /// The connection was lost.
    Lost,
    /// The user cancelled.
    Cancelled,
    /// Something that should not happen.
    Internal,
}

impl SubmitError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::ProgramNotFound { .. } => FailureKind::NotFound,
            Self::BadProgram { .. } => FailureKind::BadProgram,
            Self::Input { .. } | Self::BadInput(_) | Self::Output { .. } => FailureKind::BadInput,
            Self::Unreachable(_) => FailureKind::Unreachable,
            Self::Refused { fault, .. } => fault_kind(fault.code),
            Self::Lost { .. } | Self::PutOut { .. } | Self::Protocol { .. } | Self::Flooded { .. } => FailureKind::Lost,
            Self::CancelledUnconfirmed { .. } => FailureKind::Cancelled,
            Self::Internal { .. } => FailureKind::Internal,
        }
    }

    pub(super) fn internal(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal { what: what.to_owned(), source: source.into() }
    }

    /// What a broken stream means to the submitter.
    pub(super) fn from_frame(peer: &str, error: FrameError) -> Self {
        let peer = peer.to_owned();
        match error {
            FrameError::Fault(fault) => Self::Refused { peer, fault },
            FrameError::Io(source) if was_closed_here(&source) => Self::PutOut { peer },
            FrameError::Io(source) => Self::Lost { peer, why: source.to_string() },
            FrameError::Truncated => Self::Lost { peer, why: "the connection ended".into() },
            error @ (FrameError::TooLong { .. } | FrameError::Decode { .. } | FrameError::Unexpected { .. }) => {
                Self::Protocol { peer, source: error }
            }
        }
    }
}

fn fault_kind(code: FaultCode) -> FailureKind {
    match code {
        FaultCode::BAD_PROGRAM => FailureKind::BadProgram,
        FaultCode::NO_ENVIRONMENT => FailureKind::Environment,
        FaultCode::BAD_INPUT => FailureKind::BadInput,
        FaultCode::NOT_FOUND => FailureKind::NotFound,
        FaultCode::INTERNAL => FailureKind::Internal,
        FaultCode::LEAVING => FailureKind::Lost,
        // Codes of other requests, and those a newer peer has: a refusal all the same.
        _ => FailureKind::Refused,
    }
}

/// A refusal with the name of whoever refuses, which most sentences begin with, and the way out that is always there.
fn said_by(peer: &str, fault: &Fault) -> String {
    let names_itself = fault.text.strip_prefix(peer).is_some_and(|rest| rest.starts_with(' '));
    let said = if names_itself { fault.text.clone() } else { format!("{peer}: {fault}") };
    if fault.code == FaultCode::UNSUPPORTED { format!("{said}; `--on local` runs it on this machine") } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_once_who_refuses() {
        for (text, said) in [
            ("ann lends nothing now", "ann lends nothing now"),
            ("annex lends nothing now", "ann: annex lends nothing now"),
            ("the program is no module", "ann: the program is no module"),
        ] {
            assert_eq!(said_by("ann", &Fault::new(FaultCode::NOT_LENDING, text)), said);
        }
        let old = Fault::new(FaultCode::UNSUPPORTED, "the job needs \"interpreter\", which ann does not know");
        assert!(said_by("ann", &old).ends_with("; `--on local` runs it on this machine"));
    }
}
