//! How a session comes to have a worker: for its first turn, after a rest, and as a twin of another.

use super::{At, Image, Interrupts, Layer, Session, SessionError, answer, explain};
use crate::backend::{Backend, Wasm, WasmProgram, code_at, foreign, run_spec, session_env};
use crate::engine::HOST_CONTRACT;
use crate::handed::Handed;
use crate::image::SavedSession;
use crate::job::{Program, RunRequest};
use crate::prepare::Prepared;
use crate::prepare_script::PreparedScript;
use crate::protocol::{Answer, Given, OpenSpec, Spec};
use crate::runtime::{Runtime, StartError};
use crate::watch::SilentWatch;
use crate::worker_process::Line;
use crate::workspace::Workspace;
use std::sync::Arc;
use std::time::Duration;

/// How long a worker may take to load an interpreter and begin a session with it.
const OPEN_TIME_MAX: Duration = Duration::from_secs(60);
/// The version of saved sessions: of the record beside the memory, and of what a session's own Python expects.
pub(super) const SESSION_FORMAT: u32 = 1;

/// What came of giving a session to a worker.
enum Opened {
    Yes,
    CodeUnusable(String),
    Gone(String),
}

impl Runtime {
    /// Starts a session of a script's environment, from the image its request names; the script itself is not run. The
    /// request's limits of memory, disk and open files hold for the whole session.
    ///
    /// # Errors
    /// A [`SessionError`]; nothing of the session is left behind then.
    pub async fn open_session(&self, prepared: &Prepared, request: RunRequest) -> Result<Session, SessionError> {
        let program = prepared.wasm().ok_or(SessionError::NoScript)?;
        let (image, _) = script(program)?.opening(&request, &[]);
        let image = Image::Prepared(image);
        let (workspace, request) = self.place(prepared, request).await.map_err(SessionError::Start)?;
        let layers = vec![Layer::new()?];
        let mut session = Session::new(self, program, request, Arc::new(workspace), image, layers)?;
        let boot = session.boot()?;
        session.launch(boot).await?;
        Ok(session)
    }

    /// Where a request's files lie.
    pub(super) async fn place(
        &self,
        prepared: &Prepared,
        request: RunRequest,
    ) -> Result<(Workspace, RunRequest), StartError> {
        crate::runtime::check_request(prepared, &request)?;
        self.lay_out(request).await
    }
}

pub(super) fn script(prepared: &WasmProgram) -> Result<&PreparedScript, SessionError> {
    prepared.script.as_deref().ok_or(SessionError::NoScript)
}

impl Session {
    pub(super) fn new(
        runtime: &Runtime,
        prepared: &WasmProgram,
        request: RunRequest,
        workspace: Arc<Workspace>,
        image: Image,
        layers: Vec<Layer>,
    ) -> Result<Self, SessionError> {
        let interrupts = Interrupts::new().map_err(|error| SessionError::Worker(error.to_string()))?;
        Ok(Self {
            runtime: runtime.clone(),
            prepared: prepared.clone(),
            request,
            workspace,
            image,
            layers,
            line: None,
            interrupts,
            turns: 0,
            at: At::Rest,
            files_open: 0,
            memory_bytes: 0,
        })
    }

    /// What makes an interpreter from the image a session.
    fn boot(&self) -> Result<Vec<String>, SessionError> {
        let env = session_env(&self.prepared, &self.request);
        Ok(script(&self.prepared)?.opening(&self.request, &env).1)
    }

    /// Gives the session a worker, which runs `boot` first.
    pub(super) async fn launch(&mut self, boot: Vec<String>) -> Result<(), SessionError> {
        self.unpark().await?;
        // A worker could only say that something is wrong with what it loads, and all of that would be made again.
        self.is_whole()?;
        match self.try_launch(&boot).await? {
            Opened::Yes => return Ok(()),
            Opened::Gone(why) => return Err(SessionError::Worker(why)),
            Opened::CodeUnusable(why) => {
                tracing::warn!(%why, "compiled code does not load and is made again");
                self.prepared.kept().for_each(|code| self.runtime.cache().discard(code.key));
            }
        }
        let again = Wasm(&self.runtime).prepare(&self.prepared.program, &SilentWatch).await;
        self.prepared = again.map_err(SessionError::Prepare)?;
        // An image made again is not byte for byte the one before: what lies over that cannot go on.
        if let (Image::Prepared(image), false) = (&mut self.image, boot.is_empty()) {
            *image = script(&self.prepared)?.opening(&self.request, &[]).0;
        }
        match self.try_launch(&boot).await? {
            Opened::Yes => Ok(()),
            Opened::CodeUnusable(why) | Opened::Gone(why) => Err(SessionError::Worker(why)),
        }
    }

    async fn try_launch(&mut self, boot: &[String]) -> Result<Opened, SessionError> {
        let pool = self.runtime.pool().clone();
        while let Some(line) = Wasm(&self.runtime).waiting(&self.prepared, &self.request) {
            match self.give(line, boot).await? {
                // It may have died while it waited, or just now.
                Opened::Gone(why) => tracing::debug!(%why, "a worker that waited is gone"),
                opened => return Ok(opened),
            }
        }
        let line = pool.start_reading(foreign(&self.request)).map_err(super::unable)?;
        self.give(line, boot).await
    }

    async fn give(&mut self, mut line: Line, boot: &[String]) -> Result<Opened, SessionError> {
        self.runtime.pool().serve(self.request.tenant, &line);
        let packages = self.request.packages.clone();
        line.worker.hold((self.prepared.clone(), self.workspace.clone(), packages, self.runtime.clone()));
        let is_new = self.layers.last().is_some_and(|top| !top.is_written());
        self.workspace.move_into(&line.cell).map_err(super::unable)?;
        let spec = Spec::Open(Box::new(self.open_spec(boot)?));
        if let Err(error) = line.order(&spec).await {
            return Ok(Opened::Gone(error.to_string()));
        }
        let opened = tokio::time::timeout(OPEN_TIME_MAX, answer(&mut line)).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("it is not ready after {} s", OPEN_TIME_MAX.as_secs())));
        if let Ok(Answer::Kept { files_open, memory_bytes }) = opened {
            let code = code_at(&self.prepared);
            line.note_loaded(code.path.clone());
            self.runtime.pool().started(code);
            self.line = Some(line);
            (self.at, self.files_open, self.memory_bytes) = (At::Rest, files_open, memory_bytes);
            return Ok(Opened::Yes);
        }
        line.worker.kill();
        line.worker.exited().await;
        self.forget_half(is_new)?;
        match opened {
            Ok(Answer::CodeUnusable(why)) => Ok(Opened::CodeUnusable(why)),
            Err(why) => Ok(Opened::Gone(why)),
            other => Err(SessionError::Worker(explain(other))),
        }
    }

    /// A worker that was killed while it started the session may have kept half of what it is: nothing yet where it is new,
    /// and else the session is no more whole. The next worker could only say that something is wrong with what it loads.
    fn forget_half(&self, is_new: bool) -> Result<(), SessionError> {
        match self.layers.last() {
            Some(top) if is_new => top.file.set_len(0).map_err(super::unable),
            _ => self.is_whole(),
        }
    }

    fn open_spec(&self, boot: &[String]) -> Result<OpenSpec, SessionError> {
        let mut run = run_spec(&self.prepared, &self.request, &self.workspace).map_err(super::unable)?;
        let top = self.layers.last().ok_or_else(|| SessionError::Worker("it has no state".to_owned()))?;
        run.env = session_env(&self.prepared, &self.request);
        run.image = Some(self.image.handed().map_err(super::unable)?);
        let written = self.layers.iter().filter(|layer| layer.is_written());
        let layers =
            written.map(|layer| Handed::to_read(&layer.file)).collect::<Result<_, _>>().map_err(super::unable)?;
        Ok(OpenSpec {
            run,
            layers,
            boot: boot.to_vec(),
            state: top.handed_to_write()?,
            interrupts: self.interrupts.handed().map_err(super::unable)?,
            turns: self.turns,
            signals: script(&self.prepared)?.plan.signals,
            saved: SavedSession { given: self.workspace.given(), ..saved_as(&self.prepared)? },
        })
    }
}

/// What a saved session of this environment says of itself, but for its memory and its files.
pub(super) fn saved_as(prepared: &WasmProgram) -> Result<SavedSession, SessionError> {
    let module = script(prepared)?.plan.module_digest;
    let Program::Script { environment, .. } = &prepared.program else { return Err(SessionError::NoScript) };
    Ok(SavedSession {
        format: SESSION_FORMAT,
        environment: environment.clone(),
        module,
        host_contract: HOST_CONTRACT,
        memory: crate::digest::Digest::of(b""),
        given: Given::default(),
    })
}
