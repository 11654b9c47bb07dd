//! The messages, as they travel: MessagePack maps with named fields (so a later version may add one), decoded only
//! after the frame's length was checked. Lists are capped by the frame's own cap; paths and digests are parsed as
//! they are decoded.

use super::Receipt;
use super::bounds::{BLOBS_MAX, FILES_MAX, MOUNTS_MAX, PACKAGES_MAX, REQUIRES_MAX, WORDS_MAX};
use super::container::{JobContainer, Travelling};
use crate::identity::NodeId;
use crate::state::containers::Image;
use crate::state::home::spec::Kind;
use potluck_runtime::{Digest, GuestPath, ImageChoice, JsonText, Limits, Report, at_most};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a job is called everywhere: 16 random bytes, made by the submitter, printed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(#[serde(with = "serde_bytes")] pub [u8; 16]);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

/// The program of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Travelling", into = "Travelling")]
pub enum JobProgram {
    /// A WebAssembly module or component: a blob.
    Wasm {
        /// Its bytes.
        digest: Digest,
        /// How many bytes.
        size: u64,
        /// What the guest sees as its own name.
        name: String,
    },
    /// A script among the inputs.
    Script {
        /// The environment that runs it.
        environment: String,
        /// Which input.
        entry: GuestPath,
        /// What of its imports may have been done before.
        image: ImageChoice,
        /// What the environment is where the machine need not have it: a command that comes with the job.
        interpreter: Option<JobInterpreter>,
    },
    /// A command in a container.
    Container(JobContainer),
    /// An interpreter that stays: a session, whose id is the job's.
    Session {
        /// Its environment.
        environment: String,
        /// What it starts from.
        image: ImageChoice,
        /// What it goes on from instead: the memory of a saved session, a blob.
        saved: Option<SavedMemory>,
        /// What its user calls it.
        name: Option<String>,
    },
}

impl JobProgram {
    /// The environment that runs it, if the machine must have one.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        match self {
            Self::Wasm { .. } | Self::Container(_) | Self::Script { interpreter: Some(_), .. } => None,
            Self::Script { environment, .. } | Self::Session { environment, .. } => Some(environment),
        }
    }

    /// How many graphics processors it is given; none but a container has any.
    #[must_use]
    pub const fn gpus(&self) -> u32 {
        match self {
            Self::Container(container) => container.gpus,
            Self::Wasm { .. } | Self::Script { .. } | Self::Session { .. } => 0,
        }
    }

    /// The same, given so many graphics processors; what has no way to one stays as it is.
    #[must_use]
    pub fn with_gpus(self, gpus: u32) -> Self {
        match self {
            Self::Container(container) => Self::Container(JobContainer { gpus, ..container }),
            other @ (Self::Wasm { .. } | Self::Script { .. } | Self::Session { .. }) => other,
        }
    }

    /// Whether it has a way to graphics processors. WebAssembly has none, nor has a script in it.
    #[must_use]
    pub const fn reaches_gpus(&self) -> bool {
        match self {
            Self::Container(_) => true,
            Self::Wasm { .. } | Self::Script { .. } | Self::Session { .. } => false,
        }
    }

    /// The interpreter that comes along, where one does.
    #[must_use]
    pub const fn interpreter(&self) -> Option<&JobInterpreter> {
        match self {
            Self::Script { interpreter, .. } => interpreter.as_ref(),
            Self::Wasm { .. } | Self::Container(_) | Self::Session { .. } => None,
        }
    }

    /// The image of its container, where it runs in one.
    #[must_use]
    pub const fn container_image(&self) -> Option<&Image> {
        match self {
            Self::Container(container) => Some(&container.image),
            Self::Wasm { .. } | Self::Script { .. } | Self::Session { .. } => None,
        }
    }
}

/// What a job with a [`JobInterpreter`] requires of whoever runs it: one that does not know it would look for an environment.
pub const INTERPRETER_FEATURE: &str = "interpreter";

/// An interpreter that comes with its script: a WASI command, a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInterpreter {
    /// Its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// Its arguments up to the script, which the job's follow; never empty.
    #[serde(deserialize_with = "at_most::<WORDS_MAX, _, _>")]
    pub argv: Vec<String>,
}

/// The memory of a saved session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMemory {
    /// Its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// Whether the session goes on elsewhere, and is no copy: it keeps the state of its random generators.
    pub moved: bool,
    /// The name of what it started from.
    pub image: String,
    /// Turns so far.
    pub turns: u64,
}

/// One file of a job, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFile {
    /// Its place in the working directory, or in the mount.
    pub path: GuestPath,
    /// Its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// The owner's execute bit.
    pub executable: bool,
}

/// A read-only folder of a job, carried with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMount {
    /// Where the guest sees it: absolute.
    pub guest: String,
    /// Its files.
    #[serde(deserialize_with = "at_most::<FILES_MAX, _, _>")]
    pub files: Vec<JobFile>,
    /// Its empty directories.
    #[serde(deserialize_with = "at_most::<FILES_MAX, _, _>")]
    pub directories: Vec<GuestPath>,
    /// A folder of the answering machine to use instead of `files`; heeded only from the machine's owner.
    pub local: Option<std::path::PathBuf>,
}

/// A package of a script, written in Python alone: a wheel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPackage {
    /// What its file is called.
    pub name: String,
    /// Its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// `SUBMIT`: run this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitJob {
    /// The job's name for itself, made by the submitter.
    pub job: JobId,
    /// What runs.
    pub program: JobProgram,
    /// Arguments after the program's name.
    #[serde(deserialize_with = "at_most::<WORDS_MAX, _, _>")]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(deserialize_with = "at_most::<WORDS_MAX, _, _>")]
    pub env: Vec<(String, String)>,
    /// Files of the working directory.
    #[serde(deserialize_with = "at_most::<FILES_MAX, _, _>")]
    pub files: Vec<JobFile>,
    /// Empty directories of the working directory.
    #[serde(deserialize_with = "at_most::<FILES_MAX, _, _>")]
    pub directories: Vec<GuestPath>,
    /// Read-only folders.
    #[serde(deserialize_with = "at_most::<MOUNTS_MAX, _, _>")]
    pub mounts: Vec<JobMount>,
    /// What it may use.
    pub limits: Limits,
    /// Whether stdin will be sent; otherwise the guest reads the end at once.
    pub stdin: bool,
    /// Whether files it made or changed are wanted back.
    pub outputs: bool,
    /// Whether what its guest says of itself is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub events: bool,
    /// Features the answering node must understand, or refuse the job: [`INTERPRETER_FEATURE`], [`PACKAGES_FEATURE`],
    /// [`CONTAINER_FEATURE`](super::CONTAINER_FEATURE).
    #[serde(deserialize_with = "at_most::<REQUIRES_MAX, _, _>")]
    pub requires: Vec<String>,
    /// Packages of the script, with all they need that is not built in; the feature [`PACKAGES_FEATURE`] goes with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<PACKAGES_MAX, _, _>")]
    pub packages: Vec<JobPackage>,
}

/// A node that knows it gives a script its packages.
pub const PACKAGES_FEATURE: &str = "packages";

impl SubmitJob {
    /// What else than a job's requirements decides whether a machine takes it.
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.program.environment(), &self.requires, self.memory_bytes())
    }

    /// Memory that it may take of its machine: what a container writes lies in memory, too.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        match self.program {
            JobProgram::Container(_) => self.limits.memory_bytes.saturating_add(self.limits.disk_bytes),
            JobProgram::Wasm { .. } | JobProgram::Script { .. } | JobProgram::Session { .. } => {
                self.limits.memory_bytes
            }
        }
    }

    /// Every blob it names, with its size; one that is named twice comes twice.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> {
        let program = match &self.program {
            JobProgram::Wasm { digest, size, .. } => Some((*digest, *size)),
            JobProgram::Session { saved, .. } => saved.as_ref().map(|saved| (saved.digest, saved.size)),
            JobProgram::Script { interpreter, .. } => interpreter.as_ref().map(|own| (own.digest, own.size)),
            JobProgram::Container(_) => None,
        };
        let carried = self.mounts.iter().filter(|mount| mount.local.is_none()).flat_map(|mount| &mount.files);
        let files = self.files.iter().chain(carried).map(|file| (file.digest, file.size));
        let packages = self.packages.iter().map(|package| (package.digest, package.size));
        files.chain(packages).chain(program)
    }

    /// What the program is called, and its bytes' name.
    #[must_use]
    pub fn program_file(&self) -> (&str, Option<Digest>) {
        match &self.program {
            JobProgram::Wasm { digest, name, .. } => (name, Some(*digest)),
            JobProgram::Script { entry, .. } | JobProgram::Container(JobContainer { entry: Some(entry), .. }) => {
                let file = self.files.iter().find(|file| file.path == *entry);
                (entry.as_str(), file.map(|file| file.digest))
            }
            JobProgram::Container(JobContainer { entry: None, command, .. }) => {
                (command.first().map_or("", String::as_str), None)
            }
            JobProgram::Session { environment, saved, .. } => (environment, saved.as_ref().map(|saved| saved.digest)),
        }
    }

    /// Bytes of its program, files and carried folders.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.blobs().fold(0, |bytes, (_, size)| bytes.saturating_add(size))
    }
}

/// `CANCEL`: stop this job, which the caller has submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub job: JobId,
}

/// `OWNER_HELLO`: what is at this end of the owner's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerHello {
    /// The version of the software.
    pub version: String,
}

impl OwnerHello {
    /// This software's.
    #[must_use]
    pub fn ours() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// `OWNER_SOURCES`: where blobs of the job lie on this machine, so that they are read and not sent. Those that are not
/// named, or not found there, are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSources {
    /// One for each blob.
    #[serde(deserialize_with = "at_most::<BLOBS_MAX, _, _>")]
    pub sources: Vec<OwnerSource>,
}

/// One blob on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSource {
    /// Its name.
    pub digest: Digest,
    /// The absolute path of a file with its bytes.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
}

/// `ACCEPTED`: the job is known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The job.
    pub job: JobId,
    /// Who runs it.
    pub node: NodeId,
    /// The name that node gives itself.
    pub name: String,
}

/// `NEED`: send these blobs, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The blobs.
    #[serde(deserialize_with = "at_most::<BLOBS_MAX, _, _>")]
    pub digests: Vec<Digest>,
}

/// `BLOB`: the bytes of this blob follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobHead {
    /// Its name.
    pub digest: Digest,
    /// How many bytes follow.
    pub size: u64,
}

/// `STAGE`: what happens before the guest starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The job waits for others to end.
    Waiting {
        /// How many wait before it.
        jobs_ahead: u32,
    },
    /// Bytes are fetched.
    Fetching {
        /// What, and from where.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// Code is compiled, once.
    Compiling {
        /// What.
        what: String,
        /// Milliseconds so far.
        elapsed_ms: u64,
    },
    /// A memory image is made, once.
    Warming {
        /// What it is called.
        what: String,
        /// Milliseconds so far.
        elapsed_ms: u64,
    },
    /// The stage before has ended.
    Ready,
}

/// `OUTPUT_FILE`: the bytes of this file follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its place in the working directory.
    pub path: GuestPath,
    /// Its bytes.
    pub digest: Digest,
    /// How many bytes follow.
    pub size: u64,
    /// The owner's execute bit.
    pub executable: bool,
}

/// `ENDED`: how the job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The report of its run.
    pub report: Report,
    /// Entries of the working directory that could not be brought back, with the reason.
    pub left_behind: Vec<String>,
    /// What the guest says it has come to; only where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JsonText>,
    /// What whoever ran it signs about it; none from a node that signs nothing, or to its own owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// `FETCH_ARTIFACT`: send the artifact of this SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchArtifact {
    /// SHA-256 of the artifact.
    #[serde(with = "serde_bytes")]
    pub sha256: [u8; 32],
}

/// `ARTIFACT_IS`: the bytes follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactHead {
    /// How many bytes follow.
    pub size: u64,
}
