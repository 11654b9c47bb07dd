//! Why packages cannot be had or used. Each names what was asked for, and what would change it.

use super::PYTHON_VERSION;
use super::archive::WheelError;
use std::io;
use std::path::PathBuf;

/// Packages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The environment has another version of it.
    #[error(
        "the environment has {name} {version} built in, which is not what {asked} asks for; ask for {name} alone, or for \
         {name}=={version}"
    )]
    Misfit {
        /// Its name.
        name: String,
        /// What is there.
        version: &'static str,
        /// What is asked for.
        asked: String,
    },
    /// Nothing can be looked for.
    #[error(
        "cannot look for {asked}: this machine has no pip; install pip, or put the package's folder beside the script and send \
         it along with -f"
    )]
    NoPip {
        /// What is asked for.
        asked: String,
    },
    /// pip could not be started.
    #[error("cannot run {program:?} to look for packages")]
    PipStart {
        /// How it was called.
        program: String,
        /// What the system reports.
        source: io::Error,
    },
    /// pip reaches nothing.
    #[error(
        "cannot look for {asked}: pip reaches no package index from here; connect, or tell pip of a proxy or a mirror (`pip \
         config`), or send the package's folder along with -f"
    )]
    NoNetwork {
        /// What is asked for.
        asked: String,
    },
    /// Nothing has this name.
    #[error("there is no package {name}; check how it is written")]
    NoSuchPackage {
        /// Which.
        name: String,
    },
    /// It is there, and not in this version.
    #[error("there is no {asked} for Python {PYTHON_VERSION}{there}; ask for another version")]
    NoSuchVersion {
        /// What is asked for.
        asked: String,
        /// Versions there are, as the rest of a sentence.
        there: String,
    },
    /// It is not written in Python alone.
    #[error(
        "{name} is not to be had as Python alone: it has parts that are compiled for one kind of machine, and those cannot run \
         in the sandbox; of such packages the environment has these built in: {built_in}"
    )]
    Native {
        /// Its name.
        name: String,
        /// What there is.
        built_in: String,
    },
    /// What is asked for contradicts itself, or what is built in.
    #[error("{asked} cannot be had together, or not with what the environment has built in:\n{said}")]
    Conflict {
        /// What is asked for.
        asked: String,
        /// pip's words.
        said: String,
    },
    /// pip failed otherwise.
    #[error("{program} could not fetch {asked}; its last words:\n{said}")]
    Pip {
        /// How it was called.
        program: String,
        /// What is asked for.
        asked: String,
        /// The last lines it printed.
        said: String,
    },
    /// What came is not usable.
    #[error("the package {name} cannot be used")]
    Wheel {
        /// Its file.
        name: String,
        /// Why.
        source: WheelError,
    },
    /// There are more than one job may have.
    #[error("these are {count} packages with all they need, and a job may have {}", super::WHEELS_MAX)]
    Many {
        /// How many.
        count: usize,
    },
    /// The disk refused.
    #[error("cannot {doing} {}", path.display())]
    Disk {
        /// What was attempted.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
}

/// Makes a disk error; for `map_err`.
pub(super) fn failed(doing: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> PackagesError {
    let path = path.to_owned();
    move |source| PackagesError::Disk { doing, path, source }
}
