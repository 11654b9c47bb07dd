//! Sessions: an interpreter that stays and runs one turn after another, seen from the node's side. At rest a session is its
//! memory: the images it started from and layers over them, in files that this process holds. So it outlives its worker,
//! and when a turn ends otherwise than by itself the worker is ended and the session is again what it was before that turn.

mod files;
mod fork;
mod interrupt;
mod open;
mod parked;
mod patience;
mod saved;
mod turn;

pub use files::{SessionFile, SessionFiles};
pub use interrupt::Interrupter;
pub use saved::Continuation;
pub use turn::{Turn, TurnEvent, TurnReport};

use crate::backend::WasmProgram;
use crate::cache::Code;
use crate::handed::Handed;
use crate::image::ImageFile;
use crate::job::RunRequest;
use crate::outputs::OutputError;
use crate::prepare::{PrepareError, memory_file};
use crate::protocol::{Answer, LayerSpec, Spec, decode, tag};
use crate::runtime::{Runtime, StartError};
use crate::worker_process::Line;
use crate::workspace::Workspace;
use interrupt::Interrupts;
use parked::Parked;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a worker may take to keep or to write a session's state; a large one, to a slow disk, takes seconds.
const KEEP_TIME_MAX: Duration = Duration::from_secs(60);
/// The most layers of a session; with one more, all of them are made one, which copies what they hold.
const LAYERS_MAX: usize = 16;

/// An interpreter that keeps its variables from turn to turn. Dropping it ends it and removes its directories.
pub struct Session {
    runtime: Runtime,
    prepared: WasmProgram,
    request: RunRequest,
    workspace: Arc<Workspace>,
    /// What it started from.
    image: Image,
    /// What it has become since; the last is written to by the worker.
    layers: Vec<Layer>,
    /// `None` while it rests: the next turn starts a worker.
    line: Option<Line>,
    interrupts: Arc<Interrupts>,
    /// How many there were.
    turns: u64,
    at: At,
    /// Files the guest holds open.
    files_open: u64,
    /// How much memory the guest has, or has once it is awake again.
    memory_bytes: u64,
}

/// Where a session with a worker stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The worker waits for the next order.
    Rest,
    /// A turn is over, and the worker has yet to say that it has kept what the turn left.
    Keeping,
    /// A turn runs, or nobody waited for its end.
    Turn,
}

/// The image below a session's layers.
#[derive(Clone)]
enum Image {
    /// One of the cache.
    Prepared(Arc<Code>),
    /// A saved state.
    Saved(Arc<File>),
    /// A saved state that is checked before a worker is given it. Over it lies no layer.
    Parked(Parked),
}

impl Image {
    /// What a worker gets of it.
    fn handed(&self) -> io::Result<Handed> {
        match self {
            Self::Prepared(code) => code.handed(),
            Self::Saved(file) => Handed::to_read(file),
            Self::Parked(_) => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

/// Pages over those below.
#[derive(Clone)]
struct Layer {
    /// Holds it in memory.
    file: Arc<File>,
}

impl Layer {
    fn new() -> Result<Self, SessionError> {
        let file = memory_file().ok_or_else(|| {
            SessionError::Worker(
                "this system has no files in memory (memfd_create), in which sessions are kept".to_owned(),
            )
        })?;
        Ok(Self { file: Arc::new(file) })
    }

    /// What the worker that writes to it gets.
    fn handed_to_write(&self) -> Result<Handed, SessionError> {
        self.file.try_clone().map(Handed::new).map_err(unable)
    }

    /// Whether anything was kept in it yet.
    fn is_written(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() > 0)
    }

    /// Refuses what a worker was killed in the middle of keeping: its end is written last, and taken away first.
    fn whole(&self) -> Result<(), SessionError> {
        let read = self.file.try_clone().and_then(ImageFile::read);
        read.map(drop).map_err(|error| SessionError::Half(error.to_string()))
    }
}

/// Something cannot be done with a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It cannot be started.
    #[error("cannot start the session")]
    Start(#[source] StartError),
    /// The environment cannot be made ready.
    #[error("cannot make the session's environment ready")]
    Prepare(#[source] PrepareError),
    /// The program is no script.
    #[error("a session needs a language environment, and a WebAssembly program has none")]
    NoScript,
    /// It holds files open, which are no part of its memory.
    #[error(
        "the session holds {0} open files, which cannot be kept; close them first (in Python, with close() or del)"
    )]
    FilesOpen(u64),
    /// The worker fails.
    #[error("the session's worker failed: {0}; what the session was after its last turn is kept")]
    Worker(String),
    /// The worker failed after a turn's end and before it had kept what the turn left.
    #[error(
        "the session's worker failed before it had kept what the last turn left: {0}; the session is what it was before that turn"
    )]
    Undone(String),
    /// What a turn left was not kept whole, and it was no more what it was before either.
    #[error(
        "the session is lost, because its worker was killed while it kept what the last turn had left ({0}); end it with \
         'potluck session stop'"
    )]
    Half(String),
    /// The state cannot be written or read.
    #[error("cannot use the file {path:?} of a session's state; check its place and the free space")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files of its working directory cannot be listed.
    #[error("cannot list the files of the session's working directory")]
    Files(#[source] OutputError),
    /// The file holds no session that can go on here.
    #[error("cannot go on with the session in {path:?}: {why}")]
    Refused {
        /// Which.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
}

impl Session {
    /// Ends the worker; the session rests as it was after its last whole turn.
    async fn rest(&mut self) {
        if let Some(line) = &mut self.line {
            line.worker.kill();
            line.worker.exited().await;
        }
        self.line = None;
        self.at = At::Rest;
        self.files_open = 0;
    }

    /// A worker that waits for an order.
    async fn ready(&mut self) -> Result<(), SessionError> {
        match self.at {
            At::Rest => {}
            At::Keeping => self.kept().await.map_err(SessionError::of_last_turn)?,
            At::Turn => self.rest().await,
        }
        if self.line.is_none() {
            self.launch(Vec::new()).await?;
        }
        Ok(())
    }

    /// Waits until the worker has kept the state. Without that the session goes back to the turn before.
    async fn kept(&mut self) -> Result<(), SessionError> {
        let kept = match &mut self.line {
            Some(line) => tokio::time::timeout(KEEP_TIME_MAX, answer(line)).await,
            None => return Ok(()),
        };
        match kept.unwrap_or_else(|_| Err("it takes too long to keep the session's state".to_owned())) {
            Ok(Answer::Kept { files_open, memory_bytes }) => {
                (self.files_open, self.memory_bytes) = (files_open, memory_bytes);
                self.at = At::Rest;
                Ok(())
            }
            other => {
                self.rest().await;
                self.is_whole()?;
                Err(SessionError::Worker(explain(other)))
            }
        }
    }

    /// Refuses a session of which a worker was killed in the middle of keeping something.
    fn is_whole(&self) -> Result<(), SessionError> {
        self.layers.iter().filter(|layer| layer.is_written()).try_for_each(Layer::whole)
    }

    /// Has the worker do something that is no turn.
    async fn order(&mut self, spec: &Spec) -> Result<(), SessionError> {
        self.tell(spec).await?;
        self.at = At::Keeping;
        self.kept().await
    }

    /// Gives a worker an order. Whoever does not wait for that leaves a worker that is of no more use.
    async fn tell(&mut self, spec: &Spec) -> Result<&mut Line, SessionError> {
        self.ready().await?;
        self.at = At::Turn;
        let told = match &mut self.line {
            Some(line) => line.order(spec).await,
            None => Err(io::Error::from(io::ErrorKind::NotConnected)),
        };
        if let Err(error) = told {
            self.rest().await;
            return Err(SessionError::Worker(error.to_string()));
        }
        self.line.as_mut().ok_or_else(gone)
    }

    /// Refuses what files that are open would make half.
    async fn without_files(&mut self) -> Result<(), SessionError> {
        self.ready().await?;
        match self.files_open {
            0 => Ok(()),
            open => Err(SessionError::FilesOpen(open)),
        }
    }

    /// Leaves the layers as they are, for another session to share, and goes on in a new one.
    async fn freeze(&mut self) -> Result<Vec<Layer>, SessionError> {
        let merged = self.layers.len() >= LAYERS_MAX;
        let layer = Layer::new()?;
        let frozen = self.layers.clone();
        let spec = Spec::Layer(LayerSpec { state: layer.handed_to_write()?, merged });
        // An empty layer changes nothing, should nobody wait for the worker.
        self.ready().await?;
        self.layers.push(layer);
        self.order(&spec).await?;
        if merged {
            self.layers.drain(..frozen.len());
        }
        Ok(frozen)
    }

    /// Who ends a turn before its time.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupts.interrupter()
    }

    /// How many turns there were, also those that were undone.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// How much memory the guest has after its last turn, in bytes; one that rests has it when it is woken.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Whether a worker holds the session; without one it takes no processor time, and its memory can be swapped out.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.line.is_some() && self.at != At::Turn
    }

    /// Ends the session.
    pub async fn close(mut self) {
        self.rest().await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.worker.kill();
        }
    }
}

impl SessionError {
    /// What a worker's failure means to a turn that had ended.
    fn of_last_turn(self) -> Self {
        match self {
            Self::Worker(why) => Self::Undone(why),
            other => other,
        }
    }
}

fn unable(error: io::Error) -> SessionError {
    SessionError::Worker(error.to_string())
}

fn gone() -> SessionError {
    SessionError::Worker("it is gone".to_owned())
}

/// The worker's next word, streams of a turn that nobody reads left out.
async fn answer(line: &mut Line) -> Result<Answer, String> {
    loop {
        match line.frames.next().await {
            Ok(Some((tag::ANSWER, payload))) => return decode(&payload).map_err(|error| error.to_string()),
            Ok(Some(_)) => {}
            Ok(None) => return Err(line.worker.exited().await.explain()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn explain(answer: Result<Answer, String>) -> String {
    match answer {
        Err(why) | Ok(Answer::Failed(why) | Answer::CodeUnusable(why)) => why,
        Ok(_) => "it gave an answer that is none".to_owned(),
    }
}
