//! The home of jobs, performed: what [`crate::state::home`] decides is written down, said and done here, in that order. One
//! task decides; each conversation with a machine is a task of its own, which brings back what it heard.

mod conversation;

mod keeper;

mod receipts;

mod records;

mod request;

mod shared;

mod sweeper;

mod tame;

#[cfg(test)]
mod tests;

pub(crate) use records::Asked;
pub use request::Wanted;
pub(crate) use request::asked_for;
pub(crate) use shared::JobView;

use crate::clock::Clock;
use crate::identity::NodeId;
use crate::state::home::Home;
use crate::state::home::reasons::Line;
use crate::state::home::rehearsal::Rehearsal;
use crate::state::home::run::RunId;
use crate::state::home::spec::{BatchId, BatchSpec, Input, JobSpec};
use crate::state::home::words::{Cancel, Event};
use crate::state::placement::Place;
use crate::store::blobs::{BlobLease, BlobStore};
use crate::store::jobs::{JobStore, StoreError};
use crate::store::recording::{Folder, Follower};
use crate::wire::{FrameStream, HomeJobs, JobId, JobNow};
use keeper::Keeper;
use records::{HomeRecords, Left};
use shared::{Kept, Shared};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Words that wait to be decided about; whoever has more to say waits.
const WORDS_MAX: usize = 4096;
/// Events of machines that wait, apart from words, of which there may be many at any time.
const MACHINE_EVENTS_MAX: usize = 16_384;

/// Ways to machines.
#[async_trait::async_trait]
pub(crate) trait Ways: Send + Sync + 'static {
    /// A stream to a machine, for one request.
    ///
    /// # Errors
    /// The sentence that says why there is none.
    async fn open(&self, place: Place) -> Result<FrameStream, String>;
}

/// How long and how far the output of jobs is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// After the job's end.
    pub(crate) time: Duration,
    /// Bytes of all jobs that have ended: beyond these the oldest goes before its time.
    pub(crate) bytes_max: u64,
}

/// What a home needs.
pub(crate) struct HomeConfig {
    /// Whose home it is.
    pub(crate) node: NodeId,
    /// What remembers its jobs.
    pub(crate) store: JobStore,
    /// How long and how far the output of jobs is kept.
    pub(crate) keep: Keep,
    /// Where long recordings lie.
    pub(crate) dir: PathBuf,
    /// Where the inputs of its jobs lie.
    pub(crate) blobs: BlobStore,
    /// What time it is.
    pub(crate) clock: Clock,
    /// How machines are reached.
    pub(crate) ways: Arc<dyn Ways>,
}

/// The jobs of this home. Clones are the same.
#[derive(Clone)]
pub(crate) struct JobHome {
    words: mpsc::Sender<Word>,
    machines: mpsc::Sender<Event>,
    shared: Arc<Shared>,
}

/// Something to be decided about.
struct Word {
    event: Event,
    with: With,
    reply: Option<oneshot::Sender<Result<(), String>>>,
}

impl Word {
    /// With nothing, and nobody who waits.
    const fn of(event: Event) -> Self {
        Self { event, with: With::Nothing, reply: None }
    }
}

/// What comes with an event.
enum With {
    Nothing,
    /// What the jobs ask for, in their order.
    Asked(Vec<Asked>),
    /// What the run left.
    Left(RunId, Box<Left>),
    /// The bytes of a run's checkpoint.
    Checkpoint(Option<(BlobLease, u64)>),
    /// Somebody wants to know why a job is not where it could be.
    Why(JobId, oneshot::Sender<Vec<Line>>),
    /// Somebody wants to know where a job would go, were it given.
    Rehearse(Box<JobSpec>, oneshot::Sender<Rehearsal>),
}

impl JobHome {
    /// Goes on with what was left. Must be called within a Tokio runtime; ends when the last clone is gone. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn open(config: HomeConfig) -> Result<Self, StoreError> {
        let HomeConfig { node, store, keep, dir, blobs, clock, ways } = config;
        let records = HomeRecords::new(store, keep.time);
        let saved = records.load(clock.unix_now_ms())?;
        let (words, heard) = mpsc::channel(WORDS_MAX);
        let (machines, seen) = mpsc::channel(MACHINE_EVENTS_MAX);
        let kept = Kept { folder: Folder::at(dir), bytes_max: keep.bytes_max };
        let shared = Arc::new(Shared::new(node, records, kept, blobs, ways));
        let started = Instant::now();
        let (home, effects) = Home::restored(&saved.records, keeper::now(clock, started));
        saved.asked.into_iter().for_each(|asked| shared.enter(asked));
        for (id, job) in &saved.records.jobs {
            let held = |input: Input| Some((shared.blobs.lease(input.digest, input.size)?, input.size));
            shared.goes_on_from(*id, job.checkpoint.and_then(held));
        }
        let mut keeper = Keeper::new(home, clock, started, shared.clone(), words.downgrade());
        keeper.sweeps(sweeper::sweep_on(Arc::downgrade(&shared), keep, clock));
        tokio::spawn(keeper.keep(effects, heard, seen));
        Ok(Self { words, machines, shared })
    }

    /// Takes jobs: all of them, or none and why. When this returns they survive a crash. What the home has had already is
    /// not taken again.
    ///
    /// # Errors
    /// The sentence that says why they are not taken.
    pub(crate) async fn submit(&self, batch: Option<BatchSpec>, jobs: Vec<(JobSpec, Asked)>) -> Result<(), String> {
        let (specs, asked) = jobs.into_iter().unzip();
        let (reply, said) = oneshot::channel();
        let leaving = || "the node is leaving".to_owned();
        let word =
            Word { event: Event::Submitted { batch, jobs: specs }, with: With::Asked(asked), reply: Some(reply) };
        self.words.send(word).await.map_err(|_| leaving())?;
        said.await.map_err(|_| leaving())?
    }

    /// Nobody wants these jobs any more, nor any of this map. When this returns they do not come back after a crash.
    ///
    /// # Errors
    /// The sentence that says why they may.
    pub(crate) async fn cancel(&self, jobs: &[JobId], batch: Option<BatchId>, how: Cancel) -> Result<(), String> {
        for job in jobs {
            self.say(Event::Cancelled { job: *job, how }, With::Nothing).await;
        }
        if let Some(batch) = batch {
            self.say(Event::BatchCancelled { batch, how }, With::Nothing).await;
        }
        // Behind the others, so what follows from them is written down before it is answered.
        let (reply, said) = oneshot::channel();
        let leaving = || "the node is leaving".to_owned();
        let word = Word { event: Event::Tick, with: With::Nothing, reply: Some(reply) };
        self.words.send(word).await.map_err(|_| leaving())?;
        said.await.map_err(|_| leaving())?
    }

    /// Tells what became of a machine.
    pub(crate) fn machine(&self, event: Event) {
        if let Event::Seen { facts } = &event {
            self.shared.call(facts.place, &facts.name);
        }
        // So many wait only when nothing can be written down for hours.
        if self.machines.try_send(event).is_err() {
            tracing::warn!("what became of a machine is not told to the home of jobs, which does not listen");
        }
    }

    /// Tells what a machine is called, before it is heard of.
    pub(crate) fn call(&self, place: Place, name: &str) {
        self.shared.call(place, name);
    }

    /// Why a job is not where it could be.
    pub(crate) async fn why(&self, job: JobId) -> Vec<Line> {
        let (reply, lines) = oneshot::channel();
        self.say(Event::Tick, With::Why(job, reply)).await;
        lines.await.unwrap_or_default()
    }

    /// Where a job would go, were it given now; none when the node is leaving.
    pub(crate) async fn rehearse(&self, spec: JobSpec) -> Option<Rehearsal> {
        let (reply, rehearsed) = oneshot::channel();
        self.say(Event::Tick, With::Rehearse(Box::new(spec), reply)).await;
        rehearsed.await.ok()
    }

    async fn say(&self, event: Event, with: With) {
        // A home that ends has nothing to do any more.
        let _ = self.words.send(Word { event, with, reply: None }).await;
    }

    /// How far a job is that has not ended, now and later.
    pub(crate) fn watch(&self, job: JobId) -> Option<watch::Receiver<JobView>> {
        self.shared.watch(job)
    }

    /// How a job has ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn ended(&self, job: JobId) -> Result<Option<JobNow>, StoreError> {
        self.shared.records.told(job)
    }

    /// The jobs that have not ended: those that machines have, then those that wait, at most so many; and how many there are
    /// and wait.
    pub(crate) fn open_jobs(&self, max: usize) -> HomeJobs {
        self.shared.open_jobs(max)
    }

    /// Whether there is a job that has not ended.
    pub(crate) fn has_jobs(&self) -> bool {
        self.shared.has_jobs()
    }

    /// What a run says, from its beginning on; nothing of one that has not begun. Of a job that has ended, what counts.
    pub(crate) fn follow(&self, job: JobId, run: Option<RunId>) -> Option<io::Result<(RunId, Follower)>> {
        self.shared.follow(job, run)
    }

    /// Whether a job has ended whose output was kept, and is not any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn output_is_gone(&self, job: JobId) -> Result<bool, StoreError> {
        self.shared.records.output_is_gone(job)
    }

    /// How much a run has said by now, in bytes of frames.
    pub(crate) fn said(&self, run: RunId) -> Option<u64> {
        self.shared.said(run)
    }

    /// Changes with each job of a map that ends.
    pub(crate) fn watch_map(&self, map: BatchId) -> watch::Receiver<u64> {
        self.shared.watch_map(map.0)
    }

    /// The jobs of a map that ended at this time or later, in that order, with when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn ended_of_map(&self, map: BatchId, from_ms: u64, max: u32) -> Result<Vec<(JobId, u64)>, StoreError> {
        self.shared.records.ended_of_map(map.0, from_ms, max)
    }

    /// Where inputs lie.
    pub(crate) fn blobs(&self) -> &BlobStore {
        &self.shared.blobs
    }
}
