//! Workers that wait for work, so that a run need not wait for a worker. A spare has served nobody; a kept one has served
//! one tenant, and only that tenant gets it again. Their number is bounded, and most of them end when nothing is to do.

use crate::handed::Handed;
use crate::job::Tenant;
use crate::protocol::{Answer, CodeKind, LoadSpec, Purpose, Spec, decode, tag};
use crate::rank::Ranks;
use crate::runtime::WorkerCommand;
use crate::worker_process::{Line, Worker};
use crate::workspace::Scratch;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a run that took a spare has the machine to itself before the next one is started; most runs end sooner.
const REFILL_PAUSE: Duration = Duration::from_millis(20);
/// How long a spare may take to load code.
const LOAD_TIME_MAX: Duration = Duration::from_secs(60);

/// How many workers wait for work, and for how long. Each takes 3 to 10 MB of memory that nobody else uses, and no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The most workers that have served nobody; one of them stays when nothing is to do.
    pub spares_max: usize,
    /// The most workers that have served somebody and wait for the same again.
    pub kept_max: usize,
    /// How long a worker waits for more work.
    pub idle: Duration,
}

impl Ready {
    /// No worker waits: each run starts its own and ends it.
    #[must_use]
    pub const fn none() -> Self {
        Self { spares_max: 0, kept_max: 0, idle: Duration::ZERO }
    }
}

/// The workers of one runtime that wait.
pub(crate) struct Pool {
    command: WorkerCommand,
    ready: Ready,
    /// The directories that runs leave to each other go with the workers.
    scratch: Arc<Scratch>,
    /// The environments' artifacts and the packages of scripts, which every worker may read.
    reads: Vec<PathBuf>,
    ranks: Ranks,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spares: Vec<Line>,
    /// The one used last at the end.
    kept: Vec<Kept>,
    /// What ran last, as a command and as an interpreter.
    likely: [Option<CodeAt>; 2],
    /// When a spare was last wanted.
    wanted: Option<Instant>,
    refilling: bool,
    watched: bool,
    closed: bool,
}

/// Compiled code, where it lies.
#[derive(Clone, Debug)]
pub(crate) struct CodeAt {
    pub(crate) path: PathBuf,
    pub(crate) kind: CodeKind,
    pub(crate) purpose: Purpose,
}

struct Kept {
    tenant: Tenant,
    line: Line,
    since: Instant,
}

impl Pool {
    /// What is executed for a worker.
    pub(crate) fn command(&self) -> &WorkerCommand {
        &self.command
    }

    pub(crate) fn new(command: WorkerCommand, ready: Ready, scratch: Arc<Scratch>, reads: Vec<PathBuf>) -> Arc<Self> {
        Arc::new(Self { command, ready, scratch, reads, ranks: Ranks::default(), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker that waits and may serve this tenant; one that has loaded the code, if there is one. It may have died.
    pub(crate) fn take(&self, tenant: Tenant, code: &Path) -> Option<Line> {
        let mut state = self.lock();
        let best = state.kept.iter().rposition(|kept| kept.tenant == tenant && kept.line.has_loaded(code));
        if let Some(at) = best {
            return Some(state.kept.remove(at).line);
        }
        let loaded = state.spares.iter().position(|line| line.has_loaded(code));
        let any_kept = state.kept.iter().rposition(|kept| kept.tenant == tenant);
        match (loaded, any_kept) {
            (None, Some(at)) => Some(state.kept.remove(at).line),
            (None, None) if state.spares.is_empty() => {
                state.wanted = Some(Instant::now());
                None
            }
            (at, _) => {
                state.wanted = Some(Instant::now());
                Some(state.spares.swap_remove(at.unwrap_or_default()))
            }
        }
    }

    /// A worker for whoever needs one now.
    pub(crate) fn start(&self) -> io::Result<Line> {
        self.start_reading(Vec::new())
    }

    /// A worker that can also read in these directories.
    pub(crate) fn start_reading(&self, directories: Vec<PathBuf>) -> io::Result<Line> {
        let reads = self.reads.iter().filter(|dir| dir.is_dir()).cloned().chain(directories);
        let line = Worker::start(&self.command, self.scratch.cell()?, reads.collect())?;
        self.ranks.note(&line.worker);
        Ok(line)
    }

    /// The ranks of its workers.
    pub(crate) const fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// A worker is about to serve this tenant; for all but the owner it gives way to everything else.
    pub(crate) fn serve(&self, tenant: Tenant, line: &Line) {
        if tenant != Tenant::OWNER {
            self.ranks.lend(&line.worker);
        }
    }

    /// Ends the workers that wait for others than the owner.
    pub(crate) fn dismiss_others(&self) {
        let mut state = self.lock();
        let (owners, others) =
            std::mem::take(&mut state.kept).into_iter().partition(|kept| kept.tenant == Tenant::OWNER);
        state.kept = owners;
        drop(state);
        // Workers whose last handles go are killed.
        let _ended: Vec<Kept> = others;
    }

    /// A run of this code has started: more such runs are likely, and spares that were taken are made up for.
    pub(crate) fn started(self: &Arc<Self>, code: CodeAt) {
        if self.ready.spares_max == 0 {
            return;
        }
        let place = usize::from(code.purpose == Purpose::Interpreter);
        self.lock().likely[place] = Some(code);
        self.refill();
    }

    /// Takes a worker back for the same tenant. It has ended a run cleanly and waits for its next order.
    pub(crate) fn keep(self: &Arc<Self>, tenant: Tenant, line: Line) {
        let surplus = {
            let mut state = self.lock();
            if state.closed {
                return;
            }
            state.kept.push(Kept { tenant, line, since: Instant::now() });
            (state.kept.len() > self.ready.kept_max).then(|| state.kept.remove(0))
        };
        // A worker whose last handle goes is killed.
        drop(surplus);
        self.watch();
    }

    /// Whether workers are kept at all.
    pub(crate) fn keeps(&self) -> bool {
        self.ready.kept_max > 0 && !self.lock().closed
    }

    /// Ends all that wait, for good.
    pub(crate) fn close(&self) {
        let ended = {
            let mut state = self.lock();
            state.closed = true;
            (std::mem::take(&mut state.spares), std::mem::take(&mut state.kept))
        };
        drop(ended);
        self.scratch.clear_shelf(Duration::ZERO);
    }

    /// Starts spares beside what runs, as many as are worth having.
    pub(crate) fn refill(self: &Arc<Self>) {
        {
            let mut state = self.lock();
            if state.refilling || state.closed || state.spares.len() >= self.spares_wanted(&state) {
                return;
            }
            state.refilling = true;
        }
        let pool = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(REFILL_PAUSE).await;
            while pool.is_short() {
                match pool.spare().await {
                    Ok(line) => pool.add_spare(line),
                    Err(error) => {
                        tracing::warn!(%error, "no worker could be started to wait for a job");
                        break;
                    }
                }
            }
            pool.lock().refilling = false;
            pool.watch();
        });
    }

    fn is_short(&self) -> bool {
        let state = self.lock();
        !state.closed && state.spares.len() < self.spares_wanted(&state)
    }

    fn add_spare(&self, line: Line) {
        let mut state = self.lock();
        if !state.closed {
            state.spares.push(line);
        }
    }

    /// One, or all that may be, while they are taken.
    fn spares_wanted(&self, state: &State) -> usize {
        let busy = state.wanted.is_some_and(|wanted| wanted.elapsed() < self.ready.idle);
        if busy { self.ready.spares_max } else { self.ready.spares_max.min(1) }
    }

    async fn spare(&self) -> io::Result<Line> {
        let mut line = self.start()?;
        let likely = self.lock().likely.clone();
        for code in likely.into_iter().flatten() {
            load(&mut line, code).await?;
        }
        Ok(line)
    }

    /// Ends workers that have waited long enough, until none is left that might.
    fn watch(self: &Arc<Self>) {
        {
            let mut state = self.lock();
            if state.watched || !state.may_shrink() {
                return;
            }
            state.watched = true;
        }
        let (pool, pause) = (Arc::downgrade(self), self.ready.idle);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else { return };
                if !pool.shrink() {
                    return;
                }
            }
        });
    }

    /// Whether more may have to end later.
    fn shrink(&self) -> bool {
        self.scratch.clear_shelf(self.ready.idle);
        let mut ended = Vec::new();
        let mut state = self.lock();
        let wanted = self.spares_wanted(&state);
        while state.spares.len() > wanted {
            ended.extend(state.spares.pop());
        }
        for kept in std::mem::take(&mut state.kept) {
            if kept.since.elapsed() < self.ready.idle {
                state.kept.push(kept);
            } else {
                ended.push(kept.line);
            }
        }
        state.watched = state.may_shrink() || self.scratch.has_shelved();
        let watched = state.watched;
        drop(state);
        // Workers whose last handles go are killed.
        drop(ended);
        watched
    }
}

impl State {
    fn may_shrink(&self) -> bool {
        self.spares.len() > 1 || !self.kept.is_empty()
    }
}

/// Has a spare load code. Code that does not load is found by the run that wants it.
async fn load(line: &mut Line, code: CodeAt) -> io::Result<()> {
    // Another process may have evicted it.
    let Ok(file) = File::open(&code.path) else { return Ok(()) };
    let spec = LoadSpec { code: Handed::new(file), kind: code.kind, purpose: code.purpose };
    line.order(&Spec::Load(spec)).await?;
    let answer = tokio::time::timeout(LOAD_TIME_MAX, line.frames.next()).await.map_err(io::Error::other)??;
    match answer {
        Some((tag::ANSWER, payload)) => match decode(&payload)? {
            Answer::Loaded => line.note_loaded(code.path),
            answer => tracing::debug!(?answer, "code could not be loaded ahead"),
        },
        Some(_) | None => return Err(io::Error::other("the worker gave no answer")),
    }
    Ok(())
}
