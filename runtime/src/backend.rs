//! The boundary between a job and what executes it. A backend prepares a program and starts runs of it; what it hands back
//! is the same [`Run`] whatever is below, and the same tests (`tests/sandbox/contract`) hold for each.
//!
//! What every backend keeps:
//! 1. A job has its arguments, the variables it was given, three streams, a working directory with copies of its inputs, a
//!    temporary directory and the folders of its request, read-only. It has no network and nothing else of this machine.
//! 2. Streams pass through with backpressure; nothing is collected.
//! 3. Every limit holds, and one that ends a run names itself in the outcome.
//! 4. The end of a run comes last, once nobody can write to the working directory any more; what the job left there is read
//!    without following a link.
//! 5. Dropping the events ends the run and removes all that was its; so does the death of this process, however it comes.

mod wasm;

pub(crate) use wasm::{Wasm, WasmProgram, code_at, foreign, run_spec, session_env};

use crate::docker::{Containers, PreparedContainer};
use crate::job::{Program, RunRequest};
use crate::prepare::{PrepareError, Prepared};
use crate::run::Run;
use crate::runtime::{Runtime, StartError};
use crate::watch::Watch;
use std::future::Future;

/// Executes programs of one kind.
pub(crate) trait Backend {
    /// What it keeps of a program between its preparation and its runs.
    type Prepared;

    /// Makes a program ready, or says why it cannot run here. Dropping the future leaves nothing behind.
    fn prepare(
        &self,
        program: &Program,
        watch: &dyn Watch,
    ) -> impl Future<Output = Result<Self::Prepared, PrepareError>> + Send;

    /// Starts a run of it. Nothing of the run is left behind where this fails.
    fn start(
        &self,
        prepared: &Self::Prepared,
        request: RunRequest,
    ) -> impl Future<Output = Result<Run, StartError>> + Send;
}

/// What was prepared, by the backend that did.
#[derive(Clone, Debug)]
pub(crate) enum PreparedBy {
    Wasm(WasmProgram),
    Container(PreparedContainer),
}

impl Runtime {
    /// Makes a program ready: finds out what it is, checks that a job has all it needs, and makes what a run starts from
    /// unless that was done before. Dropping the future ends a compilation and leaves nothing behind.
    ///
    /// # Errors
    /// A [`PrepareError`] that says what to do.
    pub async fn prepare(&self, program: &Program, watch: &dyn Watch) -> Result<Prepared, PrepareError> {
        let by = match program {
            Program::Wasm { .. } | Program::Script { .. } => {
                PreparedBy::Wasm(Wasm(self).prepare(program, watch).await?)
            }
            Program::Container { .. } => PreparedBy::Container(Containers(self).prepare(program, watch).await?),
        };
        Ok(Prepared { by })
    }

    /// Lays out a working directory and runs the program in it.
    ///
    /// # Errors
    /// A [`StartError`]; nothing of the run is left behind then.
    pub async fn start(&self, prepared: &Prepared, request: RunRequest) -> Result<Run, StartError> {
        crate::runtime::check_request(prepared, &request)?;
        match &prepared.by {
            PreparedBy::Wasm(program) => Wasm(self).start(program, request).await,
            PreparedBy::Container(container) => Containers(self).start(container, request).await,
        }
    }
}
