//! What the worker needs to run a script: the meeting point of the sandbox, which knows no language, and the language
//! environments, which know no sandbox. An environment fills a [`ScriptPlan`]; nothing in it is chosen by a guest.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How one script is run by its environment's interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptPlan {
    /// The interpreter: a preview-1 reactor module, in place and verified.
    pub module: PathBuf,
    /// The name of the interpreter's content, so that 100 MB need not be read to look up its compiled code. Any digest
    /// that changes with the content serves (the pinned SHA-256 does).
    pub module_digest: Digest,
    /// Directories of this machine the interpreter may read, each with the absolute guest path it is seen at.
    /// The working directory (`/`) and `/tmp` are added by the runtime.
    pub preopens: Vec<(PathBuf, String)>,
    /// Environment variables of the interpreter; those of the request are set after them and win.
    pub env: Vec<(String, String)>,
    /// The interpreter's argument vector, `argv[0]` included; the request's arguments follow it.
    pub argv: Vec<String>,
    /// What to call in the instantiated interpreter.
    pub boot: ScriptBoot,
}

/// Which export of the interpreter runs the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptBoot {
    /// `run() -> i32`, which takes its arguments from WASI and returns the exit status.
    Run,
    /// `turn(ptr, len) -> i32` on this source text, placed by `host_alloc(len) -> ptr`; it returns the exit status.
    Turn {
        /// The source text to run.
        source: String,
    },
}
