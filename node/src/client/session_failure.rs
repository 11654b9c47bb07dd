//! What cannot be done with a session, told to its user.

use super::failure::{FailureKind, SubmitError};
use super::network::ClientError;
use crate::net::link::was_closed_here;
use crate::wire::{FaultCode, FrameError};
use std::io;
use std::path::PathBuf;

/// Why a request about a session failed. The text is the whole sentence; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum SessionFailure {
    /// No session is called so.
    #[error("no session of yours is called {wanted:?}; {}", listed(known, unreachable))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// Those there are.
        known: Vec<String>,
        /// Peers that could not be asked.
        unreachable: Vec<String>,
    },
    /// Several are.
    #[error("{wanted:?} could be {}; use more of the id", matching.join(" or "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Which it could mean.
        matching: Vec<String>,
    },
    /// The node cannot be reached.
    #[error(transparent)]
    Node(#[from] ClientError),
    /// The session cannot be opened there, or its files do not arrive.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The node refuses, or the conversation with it broke.
    #[error(transparent)]
    Request(SubmitError),
    /// A file cannot be written or read.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no session that can be used.
    #[error("{path} is no saved session: {why}")]
    NoSession {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

fn listed(known: &[String], unreachable: &[String]) -> String {
    let known = match known {
        [] => "there are none (`potluck session new` opens one)".to_owned(),
        known => format!("there are {}", known.join(", ")),
    };
    match unreachable {
        [] => known,
        names => format!("{known}; {} could not be asked", names.join(", ")),
    }
}

impl SessionFailure {
    /// A broken conversation, or a refusal.
    pub(super) fn from_frame(peer: &str, error: FrameError) -> Self {
        Self::Request(match error {
            FrameError::Io(source) if !was_closed_here(&source) => lost(peer, source.to_string()),
            FrameError::Truncated => lost(peer, "the connection ended".to_owned()),
            error => SubmitError::from_frame(peer, error),
        })
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Unknown { .. } => FailureKind::NotFound,
            Self::Ambiguous { .. } | Self::File { .. } | Self::NoSession { .. } => FailureKind::BadInput,
            Self::Node(_) => FailureKind::Unreachable,
            Self::Submit(error) | Self::Request(error) => error.kind(),
        }
    }

    /// Whether the connection is gone and the session may go on.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Request(SubmitError::Unreachable(_)) => true,
            Self::Request(SubmitError::Refused { fault, .. }) => fault.code == FaultCode::LEAVING,
            _ => false,
        }
    }
}

fn lost(peer: &str, why: String) -> SubmitError {
    SubmitError::Unreachable(format!(
        "lost {peer}: {why}; the session there is as it was before the turn, `potluck session attach` takes it up again"
    ))
}
