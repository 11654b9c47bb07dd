//! One sandboxed run, from request to outcome.
//!
//! This crate knows wasmtime, WASI, files, limits, Python, the worker process and container engines. It knows no peers and
//! no flags, and no socket but an engine's. Whatever a guest does, what comes back is an [`Outcome`]; an error from this crate means that Potluck, the
//! machine or the request was at fault.

mod backend;
mod cache;
mod cgroup;
mod digest;
mod docker;
mod engine;
mod fetch;
mod file_state;
#[doc(hidden)]
pub mod fuzzing;
mod guest_event;
mod handed;
mod image;
mod inspection;
mod job;
mod limits;
mod lists;
mod outcome;
mod outputs;
mod pool;
mod prepare;
mod prepare_script;
mod protocol;
mod python;
mod rank;
mod rewrite;
mod ruby;
mod run;
mod runtime;
mod script;
mod session;
mod spawner;
mod walls;
mod watch;
pub mod wheels;
mod worker;
mod worker_process;
mod worker_role;
mod workspace;

pub use cache::{CachedCode, cached_code};
pub use digest::{Digest, DigestParseError};
pub use docker::{
    AllowedImage, ContainerConfig, ContainerError, ContainerOffer, EngineError, EngineStatus, ImageName,
    ImageNameError, LocalImage, look_at_engine,
};
pub use engine::ENGINE_VERSION;
pub use fetch::{FetchError, Published, Registry};
pub use guest_event::{
    Amount, GUEST_EVENT_LEN_MAX, GUEST_EVENTS_LEN_MAX, GuestEvent, GuestLog, GuestProgress, JsonText, LogLevel, NotJson,
};
pub use image::{BUILT_IN, BuiltIn, ImageChoice, ImageRecipe, RecipeError};
pub use inspection::abilities::{Ability, NEVER, Reach};
pub use inspection::{Inspection, ProgramImport, ProgramKind, ProgramMemory};
pub use job::{GUEST_PATH_DEPTH_MAX, GUEST_PATH_LEN_MAX};
pub use job::{GuestPath, GuestPathError, InputFile, Mount, Program, RunRequest, Tenant};
pub use limits::{LimitHit, LimitKind, LimitUnit, Limits, TurnLimits};
pub use lists::at_most;
pub use outcome::{Outcome, Report};
pub use outputs::{OUTPUT_FILES_MAX, OutputEntry, OutputError, OutputListing, Outputs};
pub use pool::Ready;
pub use potluck_guest::abi::CANCEL_GRACE_MS;
pub use potluck_guest::abi::CHECKPOINT_LEN_MAX;
pub use potluck_guest::abi::{ENV_TASK as TASK_VARIABLE, ENV_TASKS as TASKS_VARIABLE};
pub use prepare::{CompileLimits, PrepareError, Prepared};
pub use protocol::Proof;
pub use python::{
    Artifact, ArtifactWriter, EnvironmentError, EnvironmentSpec, EnvironmentStatus, Environments, MissingPackage,
    PYTHON, Package, ScriptImports, is_python_module, script_imports,
};
pub use ruby::{RubyError, ruby_command};
pub use run::{Canceller, CheckpointPart, OutputStream, Run, RunEvent, RunEvents, RunStdin};
pub use runtime::{OpenError, Runtime, RuntimeConfig, StartError, WorkerCommand};
pub use script::{ScriptBoot, ScriptPlan, SignalPlaces};
pub use session::{
    Continuation, Interrupter, Session, SessionError, SessionFile, SessionFiles, Turn, TurnEvent, TurnReport,
};
pub use walls::{Wall, missing_walls};
pub use watch::{SilentWatch, Stage, Watch};
pub use worker::worker_main;
#[doc(hidden)]
pub use worker::{Anything, worker_of_anything};
