//! What a home writes down of its jobs, in the store of jobs: what was decided, as events that are read again after a crash
//! and forgotten with the job's end; what is asked for; what runs left; and what the history shows of a job.

use super::request::{self, Wanted};
use crate::identity::NodeId;
use crate::service::chain;
use crate::state::home::end::{End, Failure};
use crate::state::home::run::RunId;
use crate::state::home::saved::Saved;
use crate::state::home::words::Record;
use crate::state::placement::Place;
use crate::store::jobs::{
    Change, End as RecordedEnd, JobRecord, JobStore, KeptReceipt, OtherEnd, RecordingKey, Role, StoreError,
};
use crate::store::recording::Recorded;
use crate::wire::{JobId, JobNow, SubmitJob, decode, encode};
use potluck_runtime::{JsonText, Report};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What stands before the bytes of an event or of a job's end: their version.
pub(super) const VERSION: u8 = 1;
/// The home of jobs of this machine, where recordings are named by homes.
const HERE: [u8; 32] = [0; 32];

/// Writes down and reads.
pub(crate) struct HomeRecords {
    store: JobStore,
    keep: Duration,
    /// What the history will say of the jobs that have not ended.
    open: Mutex<HashMap<JobId, Open>>,
}

/// A job that has not ended.
#[derive(Clone, Debug)]
struct Open {
    record: JobRecord,
    /// What its runs left, by their numbers: one of them will count.
    left: Vec<(u32, Box<Left>)>,
    /// The last of these that is over without having decided: what it left is kept until another leaves something.
    over: Option<u32>,
}

/// What a run left that came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) recorded: Recorded,
    pub(crate) report: Report,
    /// What its guest says it has come to.
    pub(crate) result: Option<JsonText>,
    /// What its machine has signed of it.
    pub(crate) receipt: Option<KeptReceipt>,
}

/// A job as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) submit: SubmitJob,
    pub(crate) submitter: String,
    pub(crate) priority: i8,
    pub(crate) task: Option<(JobId, u32)>,
    /// What else was wanted; nothing is known of that of a job from before it was kept.
    pub(crate) wanted: Wanted,
}

/// Something that is written down.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// A job that may be accepted in a moment.
    Asked(Box<Asked>, u64),
    /// What was decided.
    Decided(Record),
    /// What a run left.
    Left(RunId, Box<Left>),
    /// What those who follow a job are told of its end.
    Told(JobNow),
}

/// All that was written down of the jobs that have not ended.
#[derive(Debug, Default)]
pub(crate) struct SavedHome {
    pub(crate) records: Saved,
    pub(crate) asked: Vec<Asked>,
}

impl HomeRecords {
    /// Over this store; the output of ended jobs is kept so long.
    pub(crate) fn new(store: JobStore, keep: Duration) -> Self {
        Self { store, keep, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<JobId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is remembered. A job of which something is missing, after damage, is lost with that reason.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn load(&self, now_ms: u64) -> Result<SavedHome, StoreError> {
        let mut saved = SavedHome::default();
        let mut broken = BTreeSet::new();
        self.store.each_event(|job, bytes| {
            let applied = match versioned::<Record>(bytes) {
                Ok(record) => saved.records.apply(record).map_err(|error| chain(&error)),
                Err(why) => Err(why),
            };
            if let Err(why) = applied {
                tracing::error!(%job, why, "what was decided about a job cannot be read");
                broken.insert(job);
            }
        })?;
        let ids: Vec<JobId> = saved.records.jobs.keys().copied().collect();
        for id in ids {
            match self.asked(id)? {
                Some((asked, record)) => {
                    self.open().insert(id, Open::new(record));
                    saved.asked.push(asked);
                }
                None => drop(broken.insert(id)),
            }
        }
        self.give_up(&mut saved, broken, now_ms)?;
        Ok(saved)
    }

    /// What was asked for, and what the history knows of it.
    fn asked(&self, id: JobId) -> Result<Option<(Asked, JobRecord)>, StoreError> {
        let request = self.store.request(id, Role::Sent)?.and_then(|bytes| request::asked_for(&bytes).ok());
        let record = self.store.job(id, Role::Sent)?;
        Ok(request.zip(record).map(|((submit, wanted), record)| {
            let (submitter, priority, task) = (record.submitter.clone(), record.priority, record.task);
            (Asked { submit, submitter, priority, task, wanted: wanted.unwrap_or_default() }, record)
        }))
    }

    fn give_up(&self, saved: &mut SavedHome, broken: BTreeSet<JobId>, now_ms: u64) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for id in broken {
            saved.records.jobs.remove(&id);
            saved.asked.retain(|asked| asked.submit.job != id);
            changes.push(Change::ForgetEvents(id));
            let open = self.open().remove(&id);
            let record = match open {
                Some(open) => Some(open.record),
                None => self.store.job(id, Role::Sent)?,
            };
            if let Some(record) = record.filter(|record| record.end.is_none()) {
                let end = RecordedEnd::lost("the records of it were damaged");
                changes.push(Change::Job(Box::new(record.ended(end, now_ms))));
            }
        }
        // A map none of whose jobs is left is of no more use.
        let used: BTreeSet<_> = saved.records.jobs.values().filter_map(|job| job.spec.batch).collect();
        let unused: Vec<_> = saved.records.batches.keys().copied().filter(|batch| !used.contains(batch)).collect();
        for batch in unused {
            saved.records.batches.remove(&batch);
            changes.push(Change::ForgetEvents(batch.0));
        }
        if changes.is_empty() { Ok(()) } else { self.store.recorded(changes) }
    }

    /// Those of these jobs that the home has had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn known(&self, jobs: &[JobId]) -> Result<HashSet<JobId>, StoreError> {
        self.store.known(jobs, Role::Sent)
    }

    /// What is told of a job that has ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn told(&self, job: JobId) -> Result<Option<JobNow>, StoreError> {
        Ok(self.store.told(job)?.and_then(|bytes| versioned(&bytes).ok()))
    }

    /// The jobs of a map that ended at this time or later, in that order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn ended_of_map(&self, map: JobId, from_ms: u64, max: u32) -> Result<Vec<(JobId, u64)>, StoreError> {
        self.store.ended_of_map(map, from_ms, max)
    }

    /// What a run left; of none, where no attempt is named, the last that left something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn recorded(&self, job: JobId) -> Result<Option<(RunId, Recorded)>, StoreError> {
        let Some(attempt) = self.store.recorded_run(job)? else { return Ok(None) };
        let recorded = self.store.recording(recording_key(RunId { job, attempt }))?;
        Ok(recorded.map(|recorded| (RunId { job, attempt }, recorded)))
    }

    /// What this run left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn recorded_of(&self, run: RunId) -> Result<Option<Recorded>, StoreError> {
        self.store.recording(recording_key(run))
    }

    /// Whether a job has ended whose output was kept, and is not any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn output_is_gone(&self, job: JobId) -> Result<bool, StoreError> {
        Ok(self.store.job(job, Role::Sent)?.is_some_and(|record| record.output_is_gone()))
    }

    /// The ended jobs whose output is not to be kept any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn to_free(&self, bytes_max: u64, now_ms: u64) -> Result<Vec<JobId>, StoreError> {
        self.store.recordings_to_free(bytes_max, now_ms)
    }

    /// Keeps the output of these no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn free(&self, jobs: &[JobId]) -> Result<(), StoreError> {
        self.store.synced(jobs.iter().copied().map(Change::FreeRecordings).collect()).await
    }

    /// The runs whose recording is a file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn recording_files(&self) -> Result<Vec<RunId>, StoreError> {
        let files = self.store.recording_files()?;
        let ours = files.into_iter().filter(|key| key.role == Role::Sent);
        Ok(ours.map(|key| RunId { job: key.job, attempt: key.attempt }).collect())
    }

    /// Writes all of these, in their order, or none. They survive a crash when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub(crate) async fn write(
        &self,
        writes: &[Write],
        name_of: impl Fn(NodeId) -> String + Sync,
    ) -> Result<(), StoreError> {
        let before = before(&self.open(), writes);
        let changes = writes.iter().flat_map(|write| self.changes(write, &name_of)).collect();
        let written = self.store.synced(changes).await;
        if written.is_err() {
            let mut open = self.open();
            for (job, before) in before {
                match before {
                    Some(before) => drop(open.insert(job, before)),
                    None => drop(open.remove(&job)),
                }
            }
        }
        written
    }

    fn changes(&self, write: &Write, name_of: &impl Fn(NodeId) -> String) -> Vec<Change> {
        match write {
            Write::Asked(asked, now_ms) => self.asks(asked, *now_ms),
            Write::Decided(record) => self.decided(record, name_of),
            Write::Left(run, left) => {
                if let Some(open) = self.open().get_mut(&run.job) {
                    open.left.push((run.attempt, left.clone()));
                }
                vec![Change::Recording { key: recording_key(*run), recorded: left.recorded.clone() }]
            }
            Write::Told(now) => vec![Change::Told { job: now.job, bytes: with_version(now) }],
        }
    }

    fn asks(&self, asked: &Asked, now_ms: u64) -> Vec<Change> {
        let id = asked.submit.job;
        let record = JobRecord {
            submitter: asked.submitter.clone(),
            priority: asked.priority,
            task: asked.task,
            ..JobRecord::asked(&asked.submit, Role::Sent, now_ms)
        };
        self.open().insert(id, Open::new(record.clone()));
        let request = Change::Request { id, role: Role::Sent, bytes: request::kept(&asked.submit, &asked.wanted) };
        vec![Change::Job(Box::new(record)), request]
    }

    fn decided(&self, record: &Record, name_of: &impl Fn(NodeId) -> String) -> Vec<Change> {
        let mut open = self.open();
        let job = match record {
            Record::Batch(spec) => spec.id.0,
            Record::Job(spec) => spec.id,
            Record::Run { run, place, .. } => {
                if let Some(Open { record: job, .. }) = open.get_mut(&run.job) {
                    job.attempts = run.attempt;
                    job.peer = other_end(*place, name_of);
                }
                run.job
            }
            Record::Checkpointed { run, .. } => run.job,
            Record::Ending { job } => *job,
            Record::RunOver { run, .. } => {
                let changed = Change::Event { job: run.job, bytes: with_version(record) };
                let kept = open.get_mut(&run.job).and_then(|open| open.is_over(run.attempt));
                let only = kept.map(|attempts| Change::OnlyRecordings { job: run.job, attempts });
                return [changed].into_iter().chain(only).collect();
            }
            Record::End { job, end, winner, at } => {
                let Some(open) = open.remove(job) else { return vec![Change::ForgetEvents(*job)] };
                let last = open.left.iter().map(|(attempt, _)| *attempt).max();
                let (mut record, receipt) = open.with_what_counts(winner.map(|(run, _)| run));
                if let Some((_, place)) = winner {
                    record.peer = other_end(*place, name_of);
                }
                let started_ms = winner.map(|_| at.0.saturating_sub(record.wall_ms));
                let keep_until_ms = Some(at.0.saturating_add(u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX)));
                let record = JobRecord { started_ms, keep_until_ms, ..record.ended(recorded_end(end), at.0) };
                let mut changes = vec![Change::Job(Box::new(record)), Change::ForgetEvents(*job)];
                // Of one that nothing has decided, the last that was heard to its end is shown.
                let shown = winner.map(|(run, _)| run.attempt).or(last);
                changes.extend(shown.map(|attempt| Change::OnlyRecordings { job: *job, attempts: vec![attempt] }));
                changes.extend(receipt.map(|kept| Change::Receipt {
                    job: *job,
                    role: Role::Sent,
                    kept: Box::new(kept),
                }));
                return changes;
            }
        };
        vec![Change::Event { job, bytes: with_version(record) }]
    }
}

impl Open {
    const fn new(record: JobRecord) -> Self {
        Self { record, left: Vec::new(), over: None }
    }

    /// A run is over that has decided nothing. Says of which runs what they left is still kept, if that is less than before.
    fn is_over(&mut self, attempt: u32) -> Option<Vec<u32>> {
        self.left.iter().find(|(left, _)| *left == attempt)?;
        let before = self.over.replace(attempt).filter(|before| *before != attempt);
        self.left.retain(|(left, _)| Some(*left) != before);
        Some(self.left.iter().map(|(left, _)| *left).collect())
    }

    /// What the history says of the job when this run counts, but for its end, which is decided elsewhere; and its receipt.
    fn with_what_counts(self, winner: Option<RunId>) -> (JobRecord, Option<KeptReceipt>) {
        let Self { mut record, left, .. } = self;
        // A run that was heard to its end twice left the same.
        let left = left.into_iter().rfind(|(attempt, _)| winner.is_some_and(|run| run.attempt == *attempt));
        let Some((_, left)) = left else { return (record, None) };
        record.reported(&left.report);
        record.bytes_out = left.recorded.len();
        record.came_to(left.result.as_ref());
        (record, left.receipt)
    }
}

/// Where a run is, unless it is here.
fn other_end(place: Place, name_of: impl Fn(NodeId) -> String) -> Option<OtherEnd> {
    match place {
        Place::Here => None,
        Place::Peer(id) => Some(OtherEnd { id, name: name_of(id) }),
    }
}

/// What writes that may fail would change in memory, as it is before: nothing of a job that comes with them.
fn before(open: &HashMap<JobId, Open>, writes: &[Write]) -> HashMap<JobId, Option<Open>> {
    writes.iter().filter(|write| !write.is_map()).map(|write| (write.job(), open.get(&write.job()).cloned())).collect()
}

impl Write {
    /// Of which job it is; or of which map.
    pub(crate) fn job(&self) -> JobId {
        match self {
            Self::Asked(asked, _) => asked.submit.job,
            Self::Decided(Record::Batch(spec)) => spec.id.0,
            Self::Decided(Record::Job(spec)) => spec.id,
            Self::Decided(Record::Run { run, .. } | Record::RunOver { run, .. } | Record::Checkpointed { run, .. })
            | Self::Left(run, _) => run.job,
            Self::Decided(Record::End { job, .. } | Record::Ending { job }) => *job,
            Self::Told(now) => now.job,
        }
    }

    /// Whether it is of a map, and no job.
    pub(crate) const fn is_map(&self) -> bool {
        matches!(self, Self::Decided(Record::Batch(_)))
    }
}

/// How the history names an end.
fn recorded_end(end: &End) -> RecordedEnd {
    match end {
        End::Done => RecordedEnd::Exited(0),
        End::Failed(Failure::Outcome(outcome)) => RecordedEnd::from(outcome),
        End::Failed(Failure::Refused(why)) => RecordedEnd::refused(why),
        End::Cancelled => RecordedEnd::cancelled(),
        End::Lost(why) => RecordedEnd::lost(&why.to_string()),
    }
}

const fn recording_key(run: RunId) -> RecordingKey {
    RecordingKey { job: run.job, role: Role::Sent, home: HERE, attempt: run.attempt }
}

pub(crate) fn with_version<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&encode(message));
    bytes
}

pub(crate) fn versioned<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, payload)) => decode(payload).map_err(|error| chain(&error)),
        Some((version, _)) => Err(format!("it is of version {version}, which this version does not read")),
        None => Err("it is empty".to_owned()),
    }
}
