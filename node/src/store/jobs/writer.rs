//! The one thread of a process that writes to the file of jobs. What waits is written together: a sync takes as long for a
//! thousand changes as for one.
//!
//! 1. A request is applied as a whole or not at all, and requests in the order in which they came.
//! 2. An answer to a synced request is given after the sync, never before.
//! 3. What waits is bounded, in pages of memory: whoever asks for a sync waits for room; what is only recorded is refused
//!    when the file could not be written for so long that its room is used up.

use super::change::Change;
use super::failure::StoreError;
use crate::clock::Clock;
use crate::defaults::{HISTORY_AGE_MAX, HISTORY_JOBS_MAX};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Weight of what waits for a sync: some 64 MiB.
const SYNCED_WEIGHT_MAX: u32 = 16_384;
/// Weight of what waits to be recorded: some 8 MiB, or two thousand ends of jobs while the disk is full.
const RECORDED_WEIGHT_MAX: u32 = 2_048;
/// Requests written together.
const BATCH_MAX: usize = 4_096;
/// How long what is only recorded waits for company. A history that is asked for may lack as much.
const RECORDED_WITHIN: Duration = Duration::from_millis(20);
/// How long the writer waits after a failure before it tries again what was only recorded.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often what was only recorded is tried again when the process ends.
const LAST_TRIES: u32 = 3;

/// Jobs that are written before it is looked whether there are too many: at first, and at most. It doubles as long as none can
/// go, which is to be found out by looking at all.
const PRUNED_AFTER: (usize, usize) = (256, 4096);

/// How many jobs that have ended are kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// So many.
    pub jobs_max: u64,
    /// Since they ended.
    pub age_max: Duration,
}

impl Kept {
    /// All there ever were.
    pub const EVERYTHING: Self = Self { jobs_max: u64::MAX, age_max: Duration::MAX };
}

impl Default for Kept {
    fn default() -> Self {
        Self { jobs_max: HISTORY_JOBS_MAX, age_max: HISTORY_AGE_MAX }
    }
}

/// Changes that wait.
struct Request {
    changes: Vec<Change>,
    /// Whoever waits for the sync; none for what is only recorded.
    answer: Option<oneshot::Sender<Result<(), StoreError>>>,
    since: Instant,
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    synced: usize,
    closing: bool,
}

/// The way to the writer. Dropped, it has everything that waits written first.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    path: PathBuf,
    waiting: Mutex<Waiting>,
    changed: Condvar,
    synced_room: Arc<Semaphore>,
    recorded_room: Arc<Semaphore>,
}

impl Writer {
    /// A thread that writes by this connection, and calls `damaged` when the file turns out to be.
    pub(super) fn start(
        connection: Connection,
        path: PathBuf,
        kept: Kept,
        damaged: impl Fn() + Send + 'static,
    ) -> Result<Self, StoreError> {
        let room = |weight: u32| Arc::new(Semaphore::new(weight as usize));
        let shared = Arc::new(Shared {
            path: path.clone(),
            waiting: Mutex::default(),
            changed: Condvar::new(),
            synced_room: room(SYNCED_WEIGHT_MAX),
            recorded_room: room(RECORDED_WEIGHT_MAX),
        });
        let life = Life {
            shared: Arc::clone(&shared),
            connection,
            kept,
            unpruned: PRUNED_AFTER.0,
            pruned_after: PRUNED_AFTER.0,
            damaged: Box::new(damaged),
            failed: None,
            sync: None,
        };
        let thread = std::thread::Builder::new().name("records".to_owned()).spawn(move || life.run());
        let thread = thread.map_err(|source| StoreError::io("start the writer of", &path, source))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Makes these changes; once this returns they survive a power cut.
    pub(super) async fn synced(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let closed = || StoreError::Closed { path: self.shared.path.clone() };
        let weight = weight(&changes).min(SYNCED_WEIGHT_MAX);
        let room = Arc::clone(&self.shared.synced_room).acquire_many_owned(weight).await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        self.shared.push(changes, Some(answer), room)?;
        answered.await.map_err(|_| closed())?
    }

    /// Makes these changes soon; a crash may lose them.
    pub(super) fn recorded(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let backlog = || StoreError::Backlog { path: self.shared.path.clone() };
        let weight = weight(&changes).min(RECORDED_WEIGHT_MAX);
        let room = Arc::clone(&self.shared.recorded_room).try_acquire_many_owned(weight).map_err(|_| backlog())?;
        self.shared.push(changes, None, room)
    }

    /// Writes what waits and ends; blocks until that is done.
    pub(super) fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(file = %self.shared.path.display(), "the writer of records panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        changes: Vec<Change>,
        answer: Option<oneshot::Sender<Result<(), StoreError>>>,
        room: OwnedSemaphorePermit,
    ) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.closing {
            return Err(StoreError::Closed { path: self.path.clone() });
        }
        waiting.synced += usize::from(answer.is_some());
        waiting.requests.push_back(Request { changes, answer, since: Instant::now(), _room: room });
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }
}

fn weight(changes: &[Change]) -> u32 {
    u32::try_from(changes.iter().map(Change::weight).sum::<usize>()).unwrap_or(u32::MAX)
}

/// The life of the thread.
struct Life {
    shared: Arc<Shared>,
    connection: Connection,
    kept: Kept,
    /// Jobs written since it was looked last whether there are too many.
    unpruned: usize,
    /// So many that it is looked again.
    pruned_after: usize,
    damaged: Box<dyn Fn() + Send>,
    /// When writing failed last, if it has not succeeded since.
    failed: Option<Instant>,
    /// Whether the connection syncs what it commits, once that is known.
    sync: Option<bool>,
}

impl Life {
    fn run(mut self) {
        let mut last_tries = LAST_TRIES;
        while let Some((batch, closing)) = self.next_batch() {
            let unwritten = self.write(batch);
            self.prune_if_due();
            if unwritten.is_empty() {
                continue;
            }
            if closing {
                last_tries -= 1;
            }
            if last_tries == 0 {
                let file = self.shared.path.display();
                tracing::error!(%file, requests = unwritten.len(), "records of jobs could not be written and are lost");
                return;
            }
            self.put_back(unwritten);
        }
    }

    /// Waits for what is to be written now; `None` when all is and nothing more will come.
    fn next_batch(&self) -> Option<(Vec<Request>, bool)> {
        let mut waiting = self.shared.lock();
        loop {
            let pause = match waiting.requests.front() {
                None if waiting.closing => return None,
                None => None,
                Some(_) if waiting.closing || waiting.synced > 0 => Some(Duration::ZERO),
                Some(oldest) => {
                    let company = RECORDED_WITHIN.saturating_sub(oldest.since.elapsed());
                    let retry = self.failed.map_or(Duration::ZERO, |at| RETRY_AFTER.saturating_sub(at.elapsed()));
                    let full = waiting.requests.len() >= BATCH_MAX && retry.is_zero();
                    Some(if full { Duration::ZERO } else { company.max(retry) })
                }
            };
            waiting = match pause {
                Some(Duration::ZERO) => {
                    let count = waiting.requests.len().min(BATCH_MAX);
                    let batch: Vec<Request> = waiting.requests.drain(..count).collect();
                    waiting.synced -= batch.iter().filter(|request| request.answer.is_some()).count();
                    return Some((batch, waiting.closing));
                }
                Some(pause) => {
                    let waited = self.shared.changed.wait_timeout(waiting, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Writes a batch and answers; returns what was only recorded and could not be written.
    fn write(&mut self, batch: Vec<Request>) -> Vec<Request> {
        let mut unwritten = Vec::new();
        match self.commit(&batch) {
            Ok(()) => batch.into_iter().for_each(|request| answer(request, Ok(()))),
            // One that is too large, or cannot be written at all, is not to be in the way of the others.
            Err(_) if batch.len() > 1 => {
                for request in batch {
                    let result = self.commit(std::slice::from_ref(&request));
                    self.settle(request, result, &mut unwritten);
                }
            }
            Err(error) => {
                for request in batch {
                    self.settle(request, Err(error.clone()), &mut unwritten);
                }
            }
        }
        unwritten
    }

    fn prune_if_due(&mut self) {
        if self.unpruned < self.pruned_after || self.failed.is_some() {
            return;
        }
        self.unpruned = 0;
        let now_ms = Clock::system().unix_now_ms();
        let age_ms = u64::try_from(self.kept.age_max.as_millis()).unwrap_or(u64::MAX);
        let ended_before_ms = now_ms.saturating_sub(age_ms);
        let prune = Change::Prune { jobs_max: self.kept.jobs_max, ended_before_ms, now_ms };
        let before = self.connection.total_changes();
        if let Err(error) = self.try_commit(std::iter::once(&prune), false) {
            tracing::warn!(%error, "old records of jobs cannot be removed");
        }
        let is_idle = self.connection.total_changes() == before;
        self.pruned_after = if is_idle { PRUNED_AFTER.1.min(self.pruned_after * 2) } else { PRUNED_AFTER.0 };
    }

    fn settle(&self, request: Request, result: Result<(), StoreError>, unwritten: &mut Vec<Request>) {
        match result {
            Err(StoreError::Full { .. } | StoreError::Busy { .. }) if request.answer.is_none() => {
                unwritten.push(request)
            }
            Err(error) if request.answer.is_none() => tracing::error!(%error, "a job is not recorded"),
            result => answer(request, result),
        }
    }

    fn put_back(&self, requests: Vec<Request>) {
        let mut waiting = self.shared.lock();
        for request in requests.into_iter().rev() {
            waiting.requests.push_front(request);
        }
    }

    fn commit(&mut self, batch: &[Request]) -> Result<(), StoreError> {
        let sync = batch.iter().any(|request| request.answer.is_some());
        let changes = || batch.iter().flat_map(|request| &request.changes);
        let result = self.try_commit(changes(), sync);
        let result = result.map_err(|error| StoreError::sqlite("write", &self.shared.path, error));
        match &result {
            Ok(()) => {
                self.failed = None;
                self.unpruned += changes().filter(|change| matches!(change, Change::Job(_))).count();
            }
            Err(error) => {
                if matches!(error, StoreError::Damaged { .. }) {
                    (self.damaged)();
                }
                if self.failed.is_none() {
                    tracing::warn!(%error, "records of jobs cannot be written");
                }
                self.failed = Some(Instant::now());
            }
        }
        result
    }

    fn try_commit<'a>(&mut self, changes: impl Iterator<Item = &'a Change>, sync: bool) -> rusqlite::Result<()> {
        if self.sync != Some(sync) {
            self.sync = None;
            self.connection.pragma_update(None, "synchronous", if sync { "FULL" } else { "NORMAL" })?;
            self.sync = Some(sync);
        }
        let writing = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in changes {
            change.apply(&writing)?;
        }
        writing.commit()
    }
}

/// Tells whoever waits; nobody may, any more.
fn answer(request: Request, result: Result<(), StoreError>) {
    if let Some(answer) = request.answer {
        let _ = answer.send(result);
    }
}
