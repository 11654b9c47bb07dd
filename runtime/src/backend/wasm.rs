//! Programs of WebAssembly, and scripts whose interpreter is one: run by workers, which are confined processes of our own.

use super::Backend;
use crate::cache::Code;
use crate::job::{Program, RunRequest};
use crate::pool::CodeAt;
use crate::prepare::PrepareError;
use crate::prepare_script::PreparedScript;
use crate::protocol::{Answer, Boot, Purpose, RunSpec, Spec, decode, tag};
use crate::run::{self, Back, Run};
use crate::runtime::{READY_TIME_MAX, Runtime, StartError, base_env, base_preopens, layout, read_only};
use crate::watch::{SilentWatch, Watch};
use crate::worker_process::Line;
use crate::workspace::Workspace;
use potluck_guest::abi::{
    CONTROL_PATH, ENV_CONTROL, ENV_EVENTS, ENV_RESTORE, ENV_VERSION, EVENTS_PATH, RESTORE_PATH, VERSION,
};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The backend of workers.
pub(crate) struct Wasm<'a>(pub(crate) &'a Runtime);

/// A program whose code is ready. As long as this lives, it stays in the cache.
#[derive(Clone, Debug)]
pub(crate) struct WasmProgram {
    pub(crate) program: Program,
    pub(crate) code: Arc<Code>,
    pub(crate) script: Option<Arc<PreparedScript>>,
    pub(crate) warning: Option<String>,
}

impl WasmProgram {
    /// All that is held in the cache for it.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Code> {
        std::iter::once(&*self.code).chain(self.script.iter().flat_map(|script| script.kept()))
    }
}

impl Backend for Wasm<'_> {
    type Prepared = WasmProgram;

    async fn prepare(&self, program: &Program, watch: &dyn Watch) -> Result<WasmProgram, PrepareError> {
        self.0.prepare_code(program, watch).await
    }

    async fn start(&self, prepared: &WasmProgram, request: RunRequest) -> Result<Run, StartError> {
        let (workspace, request) = self.0.lay_out(request).await?;
        let workspace = Arc::new(workspace);
        match self.launch(prepared, &request, &workspace).await? {
            Launched::Running(run) => Ok(*run),
            Launched::Gone(why) => Err(StartError::Worker(why)),
            Launched::CodeUnusable(why) => {
                tracing::warn!(%why, "compiled code does not load and is made again");
                prepared.kept().for_each(|code| self.0.cache().discard(code.key));
                let again = self.prepare(&prepared.program, &SilentWatch).await.map_err(StartError::Prepare)?;
                match self.launch(&again, &request, &workspace).await? {
                    Launched::Running(run) => Ok(*run),
                    Launched::CodeUnusable(why) | Launched::Gone(why) => Err(StartError::Worker(why)),
                }
            }
        }
    }
}

impl Wasm<'_> {
    async fn launch(
        &self,
        prepared: &WasmProgram,
        request: &RunRequest,
        workspace: &Arc<Workspace>,
    ) -> Result<Launched, StartError> {
        while let Some(line) = self.waiting(prepared, request) {
            match self.begin(line, prepared, request, workspace).await? {
                // It may have died while it waited, which is no fault of this run.
                Launched::Gone(why) => tracing::debug!(%why, "a worker that waited is gone"),
                launched => return Ok(launched),
            }
        }
        let line = self.0.pool().start_reading(foreign(request));
        let line = line.map_err(|error| StartError::Worker(error.to_string()))?;
        self.begin(line, prepared, request, workspace).await
    }

    /// A worker that waits and may serve this request. One that needs folders of its own needs a worker of its own: whoever
    /// waits is already confined.
    pub(crate) fn waiting(&self, prepared: &WasmProgram, request: &RunRequest) -> Option<Line> {
        if !request.mounts.is_empty() {
            return None;
        }
        self.0.pool().take(request.tenant, &prepared.code.path)
    }

    /// Has the worker load the code and start the guest.
    async fn begin(
        &self,
        mut line: Line,
        prepared: &WasmProgram,
        request: &RunRequest,
        workspace: &Arc<Workspace>,
    ) -> Result<Launched, StartError> {
        let worker_error = |error: io::Error| StartError::Worker(error.to_string());
        self.0.pool().serve(request.tenant, &line);
        line.worker.hold((prepared.clone(), workspace.clone(), request.packages.clone(), self.0.clone()));
        workspace.move_into(&line.cell).map_err(layout)?;
        let spec = Spec::Run(Box::new(run_spec(prepared, request, workspace).map_err(worker_error)?));
        if let Err(error) = line.order(&spec).await {
            return Ok(Launched::Gone(error.to_string()));
        }
        let Ok(first) = tokio::time::timeout(READY_TIME_MAX, line.frames.next()).await else {
            line.worker.kill();
            line.worker.exited().await;
            return Err(StartError::Worker(format!("it is not ready after {} s", READY_TIME_MAX.as_secs())));
        };
        match first.map_err(worker_error)? {
            Some((tag::READY, _)) => {
                let code = code_at(prepared);
                line.note_loaded(code.path.clone());
                self.0.pool().started(code);
                let keeps = request.mounts.is_empty();
                let back = Back { pool: self.0.pool().clone(), tenant: request.tenant, keeps };
                let run = run::attach(line, workspace.clone(), request.limits.wall(), back);
                Ok(Launched::Running(Box::new(run)))
            }
            Some((tag::ANSWER, payload)) => {
                line.worker.kill();
                line.worker.exited().await;
                match decode(&payload).map_err(worker_error)? {
                    Answer::CodeUnusable(why) => Ok(Launched::CodeUnusable(why)),
                    Answer::Failed(why) => Err(StartError::Worker(why)),
                    Answer::Report { .. }
                    | Answer::Loaded
                    | Answer::Made(_)
                    | Answer::Refused(_)
                    | Answer::Turned(_)
                    | Answer::Proved(_)
                    | Answer::Inspected(_)
                    | Answer::Kept { .. } => Err(StartError::Worker("it gave an answer that is none".to_owned())),
                }
            }
            Some(_) => Err(StartError::Worker("it spoke before it was ready".to_owned())),
            None => Ok(Launched::Gone(line.worker.exited().await.explain())),
        }
    }
}

/// What came of starting a worker.
enum Launched {
    Running(Box<Run>),
    CodeUnusable(String),
    /// The worker ended before it started the guest.
    Gone(String),
}

pub(crate) fn code_at(prepared: &WasmProgram) -> CodeAt {
    let purpose = if prepared.script.is_some() { Purpose::Interpreter } else { Purpose::Command };
    CodeAt { path: prepared.code.path.clone(), kind: prepared.code.kind, purpose }
}

/// The folders outside of what every worker may read.
pub(crate) fn foreign(request: &RunRequest) -> Vec<PathBuf> {
    request.mounts.iter().map(|mount| mount.host.clone()).collect()
}

pub(crate) fn run_spec(prepared: &WasmProgram, request: &RunRequest, workspace: &Workspace) -> io::Result<RunSpec> {
    let env = run_env(prepared, request);
    let mut preopens = base_preopens(workspace);
    let script = prepared.script.as_deref();
    let mut argv = match (script, &prepared.program) {
        (Some(script), _) => {
            preopens.extend(script.plan.preopens.iter().map(|(host, guest)| {
                let packages = request.packages.as_deref().filter(|_| *guest == script.plan.packages_place);
                read_only(packages.map_or(host, |packages| packages.path()), guest)
            }));
            script.plan.argv.clone()
        }
        (None, Program::Wasm { name, .. }) => vec![name.clone()],
        (None, Program::Script { entry, .. }) => vec![entry.to_string()],
        (None, Program::Container { command, .. }) => command.clone(),
    };
    argv.extend(request.args.iter().cloned());
    preopens.extend(request.mounts.iter().map(|mount| read_only(&mount.host, &mount.guest)));
    let boot = script.map_or(Boot::Command, |script| Boot::Script(script.boot(request, &env)));
    Ok(RunSpec {
        code: prepared.code.handed()?,
        kind: prepared.code.kind,
        image: script.map(|script| script.image(request).handed()).transpose()?,
        boot,
        argv,
        env,
        preopens,
        given: workspace.given(),
        limits: request.limits.clone(),
    })
}

/// The environment variables of a run.
pub(crate) fn run_env(prepared: &WasmProgram, request: &RunRequest) -> Vec<(String, String)> {
    env_after(talk_env(request), prepared, request)
}

/// The environment variables of a session: nobody listens to what it says of itself.
pub(crate) fn session_env(prepared: &WasmProgram, request: &RunRequest) -> Vec<(String, String)> {
    env_after(std::iter::empty(), prepared, request)
}

fn env_after(
    ours: impl Iterator<Item = (String, String)>,
    prepared: &WasmProgram,
    request: &RunRequest,
) -> Vec<(String, String)> {
    let mut env = base_env();
    env.extend(ours);
    env.extend(prepared.script.iter().flat_map(|script| script.plan.env.iter().cloned()));
    for (key, value) in &request.env {
        env.retain(|(known, _)| known != key);
        env.push((key.clone(), value.clone()));
    }
    env
}

/// The environment variables by which a guest and we talk.
fn talk_env(request: &RunRequest) -> impl Iterator<Item = (String, String)> {
    let restore = request.restore.as_ref().map(|_| (ENV_RESTORE, RESTORE_PATH.to_owned()));
    [(ENV_VERSION, VERSION.to_string()), (ENV_EVENTS, EVENTS_PATH.to_owned()), (ENV_CONTROL, CONTROL_PATH.to_owned())]
        .into_iter()
        .chain(restore)
        .map(|(name, value)| (name.to_owned(), value))
}
