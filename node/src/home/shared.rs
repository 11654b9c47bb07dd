//! What the tasks of a home share: the jobs that have not ended, what their runs say, and who follows them. A job that has
//! ended is in the records alone.

use super::Ways;
use super::records::{Asked, HomeRecords};
use crate::identity::NodeId;
use crate::state::home::run::RunId;
use crate::state::home::spec::BatchId;
use crate::state::home::words::News;
use crate::state::placement::Place;
use crate::store::blobs::{BlobLease, BlobStore};
use crate::store::recording::{self, Folder, Follower, Recorded, Recorder};
use crate::wire::{HomeJobs, JobAt, JobId, JobNow};
use potluck_runtime::GuestProgress;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// When so many parts of what may be kept have been recorded, it is looked whether some of it has to go.
const SWEPT_PARTS: u64 = 16;

/// A job that has not ended, as those who follow it see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobView {
    /// The last that was said of it.
    pub(crate) now: JobNow,
    /// The run that is to be heard: the newest that has begun.
    pub(crate) run: Option<(RunId, Place)>,
}

pub(super) struct Shared {
    /// Whose home it is.
    pub(super) node: NodeId,
    jobs: Mutex<HashMap<JobId, Entry>>,
    /// For those who follow a map.
    maps: Mutex<HashMap<JobId, watch::Sender<u64>>>,
    /// The labels of machines.
    names: Mutex<HashMap<Place, String>>,
    pub(super) records: HomeRecords,
    pub(super) folder: Folder,
    /// Told when so much has been recorded since it was told last that some of it may have to go.
    pub(super) much_is_recorded: Arc<Notify>,
    unswept: Unswept,
    pub(super) blobs: BlobStore,
    pub(super) ways: Arc<dyn Ways>,
}

/// Where long recordings lie, and how much of them is kept.
pub(super) struct Kept {
    pub(super) folder: Folder,
    pub(super) bytes_max: u64,
}

/// What was recorded since it was looked whether that is too much.
struct Unswept {
    bytes: AtomicU64,
    bytes_max: u64,
}

/// A job that has not ended.
struct Entry {
    asked: Arc<Asked>,
    /// Its inputs stay as long as it may need them.
    _inputs: Vec<BlobLease>,
    /// So does what its next run goes on from.
    checkpoint: Option<(BlobLease, u64)>,
    view: watch::Sender<JobView>,
    /// What its runs say, as far as it is here.
    runs: HashMap<u32, Arc<RunOutput>>,
    /// The runs that are over: nothing is added to what they said.
    over: HashSet<u32>,
    /// The one of them whose recording is still kept.
    last: Option<u32>,
    /// The run that decided the job.
    winner: Option<u32>,
}

/// What a run says, as it comes to be here.
pub(super) struct RunOutput {
    pub(super) recorder: Recorder,
    recorded: Mutex<Option<Recorded>>,
    /// How far its guest is.
    progress: Mutex<Option<GuestProgress>>,
    /// Held by whoever hears the run: two would write what it says twice.
    pub(super) hearing: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn new(node: NodeId, records: HomeRecords, kept: Kept, blobs: BlobStore, ways: Arc<dyn Ways>) -> Self {
        let (jobs, maps, names) = (Mutex::default(), Mutex::default(), Mutex::default());
        let Kept { folder, bytes_max } = kept;
        let unswept = Unswept { bytes: AtomicU64::new(0), bytes_max: bytes_max / SWEPT_PARTS };
        Self { node, jobs, maps, names, records, folder, much_is_recorded: Arc::default(), unswept, blobs, ways }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job that has not ended. Inputs that are not here any more are missed when a machine asks for them.
    pub(super) fn enter(&self, asked: Asked) {
        let job = asked.submit.job;
        let inputs = asked.submit.blobs().filter_map(|(digest, size)| self.blobs.lease(digest, size)).collect();
        let (map, task) = asked.task.unzip();
        let now = JobNow {
            job,
            map: map.map(BatchId),
            task,
            at: JobAt::Waits(None),
            place: None,
            attempt: 0,
            progress: None,
            checkpoint: None,
        };
        let view = watch::Sender::new(JobView { now, run: None });
        let (runs, over, last, winner) = Default::default();
        let entry = Entry { asked: Arc::new(asked), _inputs: inputs, checkpoint: None, view, runs, over, last, winner };
        self.lock().entry(job).or_insert(entry);
    }

    /// A job's next run goes on from there.
    pub(super) fn goes_on_from(&self, job: JobId, checkpoint: Option<(BlobLease, u64)>) {
        let before = self.lock().get_mut(&job).and_then(|entry| std::mem::replace(&mut entry.checkpoint, checkpoint));
        drop(before);
    }

    /// A job that was not taken after all.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().remove(&job);
    }

    /// The jobs that have not ended, as their ids are written.
    pub(super) fn open(&self) -> HashSet<String> {
        self.lock().keys().map(ToString::to_string).collect()
    }

    /// Where a run's recording lies, should it be long.
    fn path_of(&self, run: RunId) -> PathBuf {
        self.folder.path_of(run.job, run.attempt)
    }

    /// This run decides its job, which is written down.
    pub(super) fn decides(&self, run: RunId) {
        if let Some(entry) = self.lock().get_mut(&run.job) {
            entry.winner = Some(run.attempt);
        }
    }

    /// A run is over without having decided its job, which is written down. What it said is kept only if it was heard to its
    /// end, and until another is that.
    pub(super) fn run_is_over(&self, run: RunId) {
        let mut jobs = self.lock();
        let Some(entry) = jobs.get_mut(&run.job) else { return };
        entry.over.insert(run.attempt);
        let output = entry.runs.remove(&run.attempt);
        let was_recorded = output.as_ref().is_some_and(|output| output.is_recorded());
        let gone = if was_recorded { entry.last.replace(run.attempt) } else { Some(run.attempt) };
        drop(jobs);
        output.into_iter().for_each(|output| output.recorder.give_up());
        if let Some(attempt) = gone {
            self.remove_files(run.job, vec![attempt]);
        }
    }

    /// Removes the files of runs, if they have some.
    fn remove_files(&self, job: JobId, attempts: Vec<u32>) {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || {
            for attempt in attempts {
                // What cannot be removed is tried again by the sweeper.
                let _ = recording::remove(&folder.path_of(job, attempt));
            }
        });
    }

    /// What a run says, to be added to: from the beginning, or after what is here already.
    pub(super) fn output(&self, run: RunId) -> io::Result<Arc<RunOutput>> {
        if let Some(output) = self.lock().get(&run.job).and_then(|entry| entry.runs.get(&run.attempt).cloned()) {
            return Ok(output);
        }
        let opened = RunOutput::unfinished(&self.path_of(run))?;
        let mut jobs = self.lock();
        let entry = jobs.get_mut(&run.job).filter(|entry| !entry.over.contains(&run.attempt));
        let entry = entry.ok_or(io::ErrorKind::NotFound)?;
        Ok(entry.runs.entry(run.attempt).or_insert(opened).clone())
    }

    /// What the run says is heard again, at least its end, because that could not be seen to.
    pub(super) fn hear_again(&self, run: RunId) {
        if let Some(entry) = self.lock().get_mut(&run.job) {
            entry.runs.remove(&run.attempt);
        }
    }

    /// All that the run said is written down in a moment.
    pub(super) fn recorded(&self, run: RunId, recorded: &Recorded) {
        if let Some(output) = self.lock().get(&run.job).and_then(|entry| entry.runs.get(&run.attempt)) {
            *output.recorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorded.clone());
        }
    }

    /// What a job asks for.
    pub(super) fn asked(&self, job: JobId) -> Option<Arc<Asked>> {
        self.lock().get(&job).map(|entry| entry.asked.clone())
    }

    pub(super) fn watch(&self, job: JobId) -> Option<watch::Receiver<JobView>> {
        self.lock().get(&job).map(|entry| entry.view.subscribe())
    }

    pub(super) fn view(&self, job: JobId) -> Option<JobView> {
        self.lock().get(&job).map(|entry| entry.view.borrow().clone())
    }

    pub(super) fn watch_map(&self, map: JobId) -> watch::Receiver<u64> {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        maps.retain(|_, map| map.receiver_count() > 0);
        maps.entry(map).or_default().subscribe()
    }

    pub(super) fn has_jobs(&self) -> bool {
        !self.lock().is_empty()
    }

    pub(super) fn open_jobs(&self, max: usize) -> HomeJobs {
        let all = self.lock();
        let (mut jobs, mut waiting, mut waiting_count) = (Vec::new(), Vec::new(), 0);
        for entry in all.values() {
            let view = entry.view.borrow();
            let waits = matches!(view.now.at, JobAt::Waits(_));
            waiting_count += u64::from(waits);
            let list = if waits { &mut waiting } else { &mut jobs };
            if list.len() < max {
                let run = view.run.and_then(|(run, _)| entry.runs.get(&run.attempt));
                let checkpoint = entry.checkpoint.as_ref().map(|(_, size)| *size);
                list.push(JobNow { progress: run.and_then(|run| run.progress()), checkpoint, ..view.now.clone() });
            }
        }
        waiting.truncate(max - jobs.len());
        jobs.append(&mut waiting);
        HomeJobs { jobs, count: all.len() as u64, waiting: waiting_count }
    }

    pub(super) fn follow(&self, job: JobId, run: Option<RunId>) -> Option<io::Result<(RunId, Follower)>> {
        let found = match run {
            Some(run) => {
                let live = self.lock().get(&job).and_then(|entry| entry.runs.get(&run.attempt).cloned());
                if let Some(output) = live {
                    return Some(Ok((run, output.recorder.follow(0))));
                }
                self.records.recorded_of(run).map(|recorded| Some((run, recorded?)))
            }
            None => self.records.recorded(job),
        };
        let (run, recorded) = match found {
            Ok(found) => found?,
            Err(error) => return Some(Err(io::Error::other(error))),
        };
        let follower = Follower::of(recorded, &self.path_of(run), 0);
        Some(follower.map(|follower| (run, follower)))
    }

    pub(super) fn said(&self, run: RunId) -> Option<u64> {
        self.lock().get(&run.job)?.runs.get(&run.attempt).map(|output| output.recorder.len())
    }

    /// A machine's label.
    pub(super) fn call(&self, place: Place, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(place, name.to_owned());
    }

    pub(super) fn name_of(&self, place: Place) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&place).cloned().unwrap_or_else(|| match place {
            Place::Here => "this machine".to_owned(),
            Place::Peer(id) => id.short(),
        })
    }

    /// Tells those who follow a job.
    pub(super) fn tell(&self, job: JobId, news: News) {
        if let News::Ended(end) = news {
            return self.end(job, JobAt::Ended(end));
        }
        if let Some(entry) = self.lock().get(&job) {
            entry.view.send_modify(|view| self.change(view, news));
        }
    }

    fn change(&self, view: &mut JobView, news: News) {
        match news {
            News::Sent { place, run } if view.run.is_none() => {
                (view.now.attempt, view.now.place) = (run.attempt, Some(self.name_of(place)));
                view.now.at = JobAt::Sent;
            }
            News::Sent { .. } => {}
            News::Started { place, run } => {
                view.run = Some((run, place));
                (view.now.attempt, view.now.place) = (run.attempt, Some(self.name_of(place)));
                view.now.at = JobAt::Runs;
            }
            News::WaitsAgain(why) => {
                (view.run, view.now.place) = (None, None);
                view.now.at = JobAt::Waits(Some(why));
            }
            News::Ended(end) => view.now.at = JobAt::Ended(end),
        }
    }

    /// A job has ended, which is written down.
    fn end(&self, job: JobId, at: JobAt) {
        let Some(entry) = self.lock().remove(&job) else { return };
        entry.view.send_modify(|view| view.now.at = at);
        self.free_losers(job, &entry);
        if let Some((map, _)) = entry.asked.task {
            let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
            maps.get(&map).into_iter().for_each(|map| map.send_modify(|ends| *ends += 1));
        }
    }

    /// Of what the runs of an ended job said only what counts is kept; where nothing does, the last that was heard to its end.
    fn free_losers(&self, job: JobId, entry: &Entry) {
        let recorded = entry.runs.iter().filter(|(_, output)| output.is_recorded()).map(|(attempt, _)| *attempt);
        let shown = entry.winner.or_else(|| recorded.chain(entry.last).max());
        let losers: Vec<u32> =
            entry.runs.keys().copied().chain(entry.last).filter(|attempt| Some(*attempt) != shown).collect();
        for output in losers.iter().filter_map(|attempt| entry.runs.get(attempt)) {
            output.recorder.give_up();
        }
        if !losers.is_empty() {
            self.remove_files(job, losers);
        }
        let bytes = shown.and_then(|attempt| entry.runs.get(&attempt)).map_or(0, |output| output.recorder.len());
        if self.unswept.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > self.unswept.bytes_max {
            self.unswept.bytes.store(0, Ordering::Relaxed);
            self.much_is_recorded.notify_one();
        }
    }
}

impl RunOutput {
    fn unfinished(path: &Path) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            recorder: Recorder::reopen(path)?,
            recorded: Mutex::default(),
            progress: Mutex::default(),
            hearing: tokio::sync::Mutex::default(),
        }))
    }

    /// Its guest says how far it is.
    pub(super) fn is_so_far(&self, progress: GuestProgress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    fn progress(&self) -> Option<GuestProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_recorded(&self) -> bool {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}
