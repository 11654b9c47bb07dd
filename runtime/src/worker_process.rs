//! A worker process seen from its parent: started, killed, reaped. Whoever lets go of it, the process ends: it is killed
//! when its handle's runtime is dropped, and ends itself when the pipe from us closes.

use crate::cgroup::Cgroup;
use crate::handed;
use crate::protocol::{self, FrameReader, PIPE_LEN, Spec, tag};
use crate::runtime::WorkerCommand;
use crate::spawner;
use crate::worker_role::WorkerRole;
use crate::workspace::Cell;
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, watch};

/// How much of a worker's own words is kept for diagnosis: the last of it.
const WORDS_LEN_MAX: usize = 8 << 10;
/// How many programs a worker is taken to have loaded; it keeps as many.
const LOADED_MAX: usize = 4;

/// How a worker's threads have run so far, all together, by proc(5).
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) ran: Duration,
    /// How long they have waited for a processor that others had, but for waits that are not over.
    pub(crate) waited: Duration,
    /// Whether one of them runs, or would if another had not the processor or the disk.
    pub(crate) is_held: bool,
}

impl Times {
    fn add(&mut self, thread: &Path) -> Option<()> {
        let stat = std::fs::read_to_string(thread.join("stat")).ok()?;
        // The name of a program stands before, and may hold anything.
        let state = stat.rsplit_once(") ")?.1;
        let times = std::fs::read_to_string(thread.join("schedstat")).ok()?;
        let mut times = times.split_whitespace().map_while(|time| time.parse().ok()).map(Duration::from_nanos);
        (self.ran, self.waited) = (self.ran + times.next()?, self.waited + times.next()?);
        self.is_held |= state.starts_with(['R', 'D']);
        Some(())
    }
}

/// A worker with nothing to do, and the pipes to it.
pub(crate) struct Line {
    pub(crate) worker: Worker,
    /// Locked while a frame is written, so that nobody writes into the middle of one.
    pub(crate) stdin: Arc<AsyncMutex<ChildStdin>>,
    pub(crate) frames: FrameReader<ChildStdout>,
    /// Where files are handed over.
    socket: Arc<UnixStream>,
    /// Where it can open files by name.
    pub(crate) cell: Arc<Cell>,
    /// Bounds what it takes of the machine; gone with the process.
    cgroup: Arc<Cgroup>,
    /// The code it has loaded, the one used last at the end.
    loaded: VecDeque<PathBuf>,
}

impl Drop for Line {
    fn drop(&mut self) {
        // The worker is killed when its last handle goes; its directory stays until it is gone.
        self.worker.hold_if_free(self.cell.clone());
    }
}

impl Line {
    /// Tells the worker what to do.
    pub(crate) async fn order(&mut self, spec: &Spec) -> io::Result<()> {
        if let Some(room) = spec.room() {
            let disk = if self.cell.is_in_memory() { room.disk_bytes } else { 0 };
            self.cgroup.allow(room.memory_bytes.saturating_add(disk))?;
        }
        let payload = protocol::encode(spec)?;
        let files = spec.handed();
        if !files.is_empty() {
            let sent = self.socket.async_io(Interest::WRITABLE, || handed::send(&*self.socket, &files)).await;
            if let Err(error) = sent {
                return Err(io::Error::new(error.kind(), self.worker.exited().await.explain()));
            }
        }
        // A worker that dies breaks this pipe; why it died is told by its exit.
        let written = self.stdin.lock().await.write_all(&protocol::frame(tag::SPEC, &payload)?).await;
        if let Err(error) = written {
            return Err(io::Error::new(error.kind(), self.worker.exited().await.explain()));
        }
        Ok(())
    }

    pub(crate) fn has_loaded(&self, code: &Path) -> bool {
        self.loaded.iter().any(|known| known == code)
    }

    pub(crate) fn note_loaded(&mut self, code: PathBuf) {
        self.loaded.retain(|known| *known != code);
        if self.loaded.len() == LOADED_MAX {
            self.loaded.pop_front();
        }
        self.loaded.push_back(code);
    }
}

/// A running worker; cloned, it is the same one.
#[derive(Clone)]
pub(crate) struct Worker {
    process: u32,
    end: Arc<watch::Sender<End>>,
    exit: watch::Receiver<Option<Exit>>,
    keep: Arc<Mutex<Option<Keep>>>,
}

/// A worker's process as long as it runs; holds nothing.
pub(crate) struct SeenWorker {
    process: u32,
    exit: watch::Receiver<Option<Exit>>,
}

impl SeenWorker {
    /// Its process.
    pub(crate) const fn process(&self) -> u32 {
        self.process
    }

    /// Whether the process is there.
    pub(crate) fn runs(&self) -> bool {
        self.exit.borrow().is_none()
    }
}

/// What must not go before the process has.
type Keep = Box<dyn Any + Send>;

/// What is asked of a worker's keeper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    No,
    Kill,
    Cancel,
}

/// How a worker ended.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    status: Option<ExitStatus>,
    words: String,
}

impl Exit {
    /// The end in words, with what the worker said last.
    pub(crate) fn explain(&self) -> String {
        use std::os::unix::process::ExitStatusExt;
        let how = match self.status {
            Some(status) => match (status.signal(), status.code()) {
                (Some(9), _) => "the worker was killed; the machine may be out of memory".to_owned(),
                (Some(signal), _) => format!("the worker was ended by signal {signal}"),
                (None, Some(code)) => format!("the worker ended early with code {code}"),
                (None, None) => "the worker ended early".to_owned(),
            },
            None => "the worker cannot be waited for".to_owned(),
        };
        match self.words.trim() {
            "" => how,
            words => format!("{how}: {words}"),
        }
    }
}

impl Worker {
    /// Starts a worker that can open files by name in its cell, and read in these directories.
    pub(crate) fn start(command: &WorkerCommand, cell: Arc<Cell>, reads: Vec<PathBuf>) -> io::Result<Line> {
        let cgroup = Arc::new(Cgroup::make()?);
        let role = WorkerRole {
            parent: std::process::id(),
            cgroup: cgroup.dirs().to_owned(),
            cell: cell.path().to_owned(),
            reads,
        };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = Arc::new(UnixStream::from_std(ours)?);
        let mut process = Command::new(&command.program);
        process.args(&command.args).args(role.arguments()).env_clear().kill_on_drop(true);
        // A file system that somebody's command was typed on can be taken away while the worker waits.
        process.current_dir("/");
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(OwnedFd::from(theirs));
        let mut child = spawner::spawn(process)?;
        let process = child.id().ok_or_else(|| io::Error::other("the worker has ended already"))?;
        let missing = || io::Error::other("the worker has no pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        widen(&stdin);
        widen(&stdout);
        let (end, end_receiver) = watch::channel(End::No);
        let (exit_sender, exit) = watch::channel(None);
        let worker = Self { process, end: Arc::new(end), exit, keep: Arc::default() };
        let keep = worker.keep.clone();
        let words = socket.clone();
        // A group can only be removed once nobody is in it.
        let members = cgroup.clone();
        tokio::spawn(async move {
            let ended = keep_child(child, words, end_receiver).await;
            drop(members);
            // Whoever hears of the end may leave the process at once, and what is kept would stay behind.
            let kept = keep.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(kept);
            exit_sender.send_replace(Some(ended));
        });
        let stdin = Arc::new(AsyncMutex::new(stdin));
        Ok(Line { worker, stdin, frames: FrameReader::new(stdout), socket, cell, cgroup, loaded: VecDeque::new() })
    }

    /// Its process.
    pub(crate) const fn process(&self) -> u32 {
        self.process
    }

    /// The process to be looked at, by whom it is not held.
    pub(crate) fn seen(&self) -> SeenWorker {
        SeenWorker { process: self.process, exit: self.exit.clone() }
    }

    /// Holds `keep` until the process is gone or lets go of it.
    pub(crate) fn hold(&self, keep: impl Send + 'static) {
        let before = self.keep.lock().unwrap_or_else(PoisonError::into_inner).replace(Box::new(keep));
        drop(before);
    }

    fn hold_if_free(&self, keep: impl Send + 'static) {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Box::new(keep));
    }

    /// Lets go of what was held.
    pub(crate) fn release(&self) {
        let kept = self.keep.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(kept);
    }

    /// Whether nobody wished the process to end.
    pub(crate) fn may_live(&self) -> bool {
        *self.end.borrow() == End::No && self.exit.borrow().is_none()
    }

    /// How it has run so far; nothing where the system does not say it.
    pub(crate) fn times(&self) -> Times {
        let mut times = Times::default();
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.process)).into_iter().flatten().flatten() {
            // It may end meanwhile.
            let _ended = times.add(&thread.path());
        }
        times
    }

    /// Kills the process, if it still runs.
    pub(crate) fn kill(&self) {
        self.end.send_if_modified(|end| {
            *end == End::No && {
                *end = End::Kill;
                true
            }
        });
    }

    /// Kills the process and remembers that it was wished for.
    pub(crate) fn cancel(&self) {
        self.end.send_if_modified(|end| {
            *end == End::No && {
                *end = End::Cancel;
                true
            }
        });
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.end.borrow() == End::Cancel
    }

    /// Waits until the process is gone.
    pub(crate) async fn exited(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_else(Exit::unknown),
            Err(_) => Exit::unknown(),
        }
    }
}

impl Exit {
    fn unknown() -> Self {
        Self { status: None, words: String::new() }
    }
}

/// Waits for the end of the process or for the wish to end it, and always reaps it.
async fn keep_child(mut child: Child, words: Arc<UnixStream>, mut end: watch::Receiver<End>) -> Exit {
    let words = tokio::spawn(last_words(words));
    // An error here means that every handle is gone: then nobody can want the run any more.
    let wished = async { end.wait_for(|end| *end != End::No).await.map(|_| ()).ok() };
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        _ = wished => None,
    };
    let status = match ended {
        Some(status) => status,
        None => {
            if let Err(error) = child.start_kill() {
                tracing::debug!(%error, "worker had already ended");
            }
            child.wait().await
        }
    };
    let words = words.await.unwrap_or_default();
    Exit { status: status.ok(), words }
}

/// The last of what the worker itself says (its log and panics).
async fn last_words(socket: Arc<UnixStream>) -> String {
    let mut words = Vec::new();
    let mut buffer = [0u8; 1024];
    while socket.readable().await.is_ok() {
        match socket.try_read(&mut buffer) {
            Ok(n @ 1..) => words.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Ok(_) | Err(_) => break,
        }
        let excess = words.len().saturating_sub(WORDS_LEN_MAX);
        words.drain(..excess);
    }
    String::from_utf8_lossy(&words).into_owned()
}

/// A larger pipe means fewer switches; the default does as well.
fn widen(pipe: &impl AsFd) {
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_LEN) {
        tracing::trace!(%error, "pipe keeps its size");
    }
}
