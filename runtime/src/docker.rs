//! Containers: the second backend. An engine (Docker or Podman) that already runs on this machine runs the program in a
//! container of an image the owner has allowed; nothing is ever pulled. Off unless the owner turns it on.
//!
//! The wall is the engine's: no network, a read-only root, no capabilities, no new privileges, no root, limits of processes,
//! memory, core and disk. It is a weaker one than that of WebAssembly: the job calls the kernel itself.

mod engine;
mod image_name;

pub use engine::{AllowedImage, EngineError, EngineStatus, LocalImage, look_at_engine};
pub use image_name::{ImageName, ImageNameError};

use std::path::PathBuf;

/// What the owner of this machine lends of its container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerConfig {
    /// The engine's unix socket. `None` looks where engines have it: `DOCKER_HOST` if that is `unix://`,
    /// `/var/run/docker.sock`, `$XDG_RUNTIME_DIR/docker.sock`, and Podman's.
    pub engine: Option<PathBuf>,
    /// The images jobs may use, as the owner wrote them: references, digests or ids.
    pub images: Vec<String>,
    /// Which node the containers belong to, as a label on each: one owner sweeps its own alone.
    pub owner: String,
}

/// What a runtime offers of containers right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerOffer {
    pub(crate) config: ContainerConfig,
}

impl ContainerOffer {
    /// With what it was turned on.
    #[must_use]
    pub fn config(&self) -> &ContainerConfig {
        &self.config
    }

    /// Whether jobs may use the image: whether it is in the list of allowed ones, by its full name. `python:3.12` and
    /// `docker.io/library/python:3.12` are the same; an id or a digest is allowed only as such.
    #[must_use]
    pub fn allows(&self, image: &ImageName) -> bool {
        self.config.images.iter().filter_map(|allowed| ImageName::parse(allowed).ok()).any(|allowed| allowed == *image)
    }

    /// How the engine is right now.
    ///
    /// # Errors
    /// An [`EngineError`] that says what to do.
    pub async fn status(&self) -> Result<EngineStatus, EngineError> {
        look_at_engine(&self.config).await
    }
}

/// A program cannot be run in a container of this machine.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The owner lends none.
    #[error("this machine runs no containers for jobs; its owner has not turned them on")]
    Off,
    /// The text names no image.
    #[error(transparent)]
    Name(#[from] ImageNameError),
    /// The owner does not allow it.
    #[error("its owner does not allow the image {image}; allowed: {allowed}")]
    NotAllowed {
        /// The image, by its full name.
        image: String,
        /// Those that are, for people to read.
        allowed: String,
    },
    /// It is allowed and not there.
    #[error("the image {image} is not on this machine; its owner gets it with '{command}'")]
    Missing {
        /// The image.
        image: String,
        /// What gets it.
        command: String,
    },
    /// It is not made for this machine's processor or system.
    #[error("the image {image} is made for {made_for}, this machine is {machine}; get the one for it with '{command}'")]
    Foreign {
        /// The image.
        image: String,
        /// Its system and processor.
        made_for: String,
        /// Those of this machine.
        machine: String,
        /// What gets the right one.
        command: String,
    },
    /// No engine, or one that is of no use.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
