//! One sandboxed run, from request to outcome.
//!
//! This crate knows wasmtime, WASI, files, limits, Python and the worker process. It knows no peers, no sockets and no
//! flags. Whatever a guest does, what comes back is an [`Outcome`]; an error from this crate means that Potluck, the
//! machine or the request was at fault.

mod digest;
mod job;
mod limits;
mod outcome;
mod watch;
mod script;
mod python;

pub use digest::{Digest, DigestParseError};
pub use job::{GuestPath, GuestPathError, InputFile, Mount, Program, RunRequest};
pub use job::{GUEST_PATH_DEPTH_MAX, GUEST_PATH_LEN_MAX};
pub use limits::{LimitHit, LimitKind, Limits};
pub use outcome::{Outcome, Report};
pub use python::{
    Artifact, ArtifactWriter, EnvironmentError, EnvironmentSpec, EnvironmentStatus, Environments, MissingPackage,
    PYTHON, Package, check_imports,
};
pub use script::{ScriptBoot, ScriptPlan};
pub use watch::{SilentWatch, Stage, Watch};
