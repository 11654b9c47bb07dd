//! What travels of containers: the job that wants one, and what a machine says it offers of them.

use super::bounds::WORDS_MAX;
use super::message::{JobInterpreter, JobProgram, SavedMemory};
use crate::state::containers::{IMAGES_MAX, Image, Offer};
use potluck_runtime::{Digest, GuestPath, ImageChoice, at_most};
use serde::{Deserialize, Serialize};

/// What a job in a container requires of whoever runs it: one that does not know it would look for an environment.
pub const CONTAINER_FEATURE: &str = "container";

/// The environment that a job in a container names, and that nobody has.
const ENVIRONMENT: &str = "docker";

/// What stands where a script's own name would, where the program is a command of the image.
const NO_ENTRY: &str = "command";

/// The container that a job runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobContainer {
    /// Its image.
    pub image: Image,
    /// The command before the job's arguments; never empty.
    #[serde(deserialize_with = "at_most::<WORDS_MAX, _, _>")]
    pub command: Vec<String>,
    /// Which input is the program; none where it is a command of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<GuestPath>,
    /// How many graphics processors it is given.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u32,
}

/// What a node says it offers of containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerOffer {
    /// The engine that answers, and its version; none while none does.
    pub engine: Option<String>,
    /// The images its owner allows.
    #[serde(default, deserialize_with = "at_most::<IMAGES_MAX, _, _>")]
    pub images: Vec<OfferedImage>,
    /// Whether the engine can give a job the machine's graphics processors.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gives_gpus: bool,
}

/// An image that jobs may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedImage {
    /// Its name.
    pub image: Image,
    /// Whether it is there.
    pub present: bool,
}

impl JobContainer {
    /// What people call it: `report.py in python:3.12`.
    #[must_use]
    pub fn title(&self) -> String {
        let entry = self.entry.as_ref().map(GuestPath::as_str);
        let word = entry.or(self.command.first().map(String::as_str)).unwrap_or_default();
        format!("{word} in {}", self.image)
    }
}

impl DockerOffer {
    /// What is decided by.
    #[must_use]
    pub fn facts(&self) -> Offer {
        let images = self.images.iter().map(|offered| (offered.image.clone(), offered.present)).collect();
        Offer { answers: self.engine.is_some(), images, gives_gpus: self.gives_gpus }
    }
}

/// A [`JobProgram`] as it travels. A job in a container does so as a script with one more field, so that a node that does not
/// know the field reads all of the description, and refuses it by the feature that it names.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Travelling {
    Wasm {
        digest: Digest,
        size: u64,
        name: String,
    },
    Script {
        environment: String,
        entry: GuestPath,
        #[serde(default)]
        image: ImageChoice,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interpreter: Option<JobInterpreter>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<JobContainer>,
    },
    Session {
        environment: String,
        image: ImageChoice,
        saved: Option<SavedMemory>,
        name: Option<String>,
    },
}

impl From<JobProgram> for Travelling {
    fn from(program: JobProgram) -> Self {
        match program {
            JobProgram::Wasm { digest, size, name } => Self::Wasm { digest, size, name },
            JobProgram::Script { environment, entry, image, interpreter } => {
                Self::Script { environment, entry, image, interpreter, container: None }
            }
            JobProgram::Container(container) => Self::Script {
                environment: ENVIRONMENT.to_owned(),
                entry: container.entry.clone().unwrap_or_else(no_entry),
                image: ImageChoice::None,
                interpreter: None,
                container: Some(container),
            },
            JobProgram::Session { environment, image, saved, name } => {
                Self::Session { environment, image, saved, name }
            }
        }
    }
}

impl From<Travelling> for JobProgram {
    fn from(travelling: Travelling) -> Self {
        match travelling {
            Travelling::Wasm { digest, size, name } => Self::Wasm { digest, size, name },
            Travelling::Script { container: Some(container), .. } => Self::Container(container),
            Travelling::Script { environment, entry, image, interpreter, container: None } => {
                Self::Script { environment, entry, image, interpreter }
            }
            Travelling::Session { environment, image, saved, name } => {
                Self::Session { environment, image, saved, name }
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "that is how it is asked when something is written")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn no_entry() -> GuestPath {
    GuestPath::parse(NO_ENTRY).expect("one word of letters is a path")
}
