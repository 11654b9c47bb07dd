//! What the tasks of a home share: the jobs that have not ended, what their runs say, and who follows them. A job that has
//! ended is in the records alone.

use super::Ways;
use super::records::{Asked, HomeRecords};
use crate::identity::NodeId;
use crate::state::home::run::RunId;
use crate::state::home::words::News;
use crate::state::placement::Place;
use crate::store::blobs::{BlobLease, BlobStore};
use crate::store::jobs::StoreError;
use crate::store::recording::{self, Follower, Recorded, Recorder};
use crate::wire::{JobAt, JobId, JobNow};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

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
    dir: PathBuf,
    pub(super) blobs: BlobStore,
    pub(super) ways: Arc<dyn Ways>,
}

/// A job that has not ended.
struct Entry {
    asked: Arc<Asked>,
    /// Its inputs stay as long as it may need them.
    _inputs: Vec<BlobLease>,
    view: watch::Sender<JobView>,
    /// What its runs say, as far as it is here.
    runs: HashMap<u32, Arc<RunOutput>>,
}

/// What a run says, as it comes to be here.
pub(super) struct RunOutput {
    pub(super) recorder: Recorder,
    recorded: Mutex<Option<Recorded>>,
    /// Held by whoever hears the run: two would write what it says twice.
    pub(super) hearing: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(super) fn new(node: NodeId, records: HomeRecords, dir: PathBuf, blobs: BlobStore, ways: Arc<dyn Ways>) -> Self {
        let (jobs, maps, names) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { node, jobs, maps, names, records, dir, blobs, ways }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job that has not ended. Inputs that are not here any more are missed when a machine asks for them.
    pub(super) fn enter(&self, asked: Asked) {
        let job = asked.submit.job;
        let inputs = asked.submit.blobs().filter_map(|(digest, size)| self.blobs.lease(digest, size)).collect();
        let task = asked.task.map(|(_, task)| task);
        let now = JobNow { job, task, at: JobAt::Waits(None), place: None, attempt: 0 };
        let view = watch::Sender::new(JobView { now, run: None });
        let entry = Entry { asked: Arc::new(asked), _inputs: inputs, view, runs: HashMap::new() };
        self.lock().entry(job).or_insert(entry);
    }

    /// A job that was not taken after all.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().remove(&job);
    }

    /// Removes recordings of jobs that nobody knows any more.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        let ended = self.records.recording_files()?.into_iter().map(|run| self.path_of(run));
        let known: HashSet<PathBuf> = ended.collect();
        let open: HashSet<String> = self.lock().keys().map(ToString::to_string).collect();
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let job = name.to_str().and_then(|name| name.split_once('-')).map(|(job, _)| job);
            if !job.is_some_and(|job| open.contains(job)) && !known.contains(&entry.path()) {
                // What cannot be removed is tried again at the next start.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Where a run's recording lies, should it be long.
    fn path_of(&self, run: RunId) -> PathBuf {
        self.dir.join(format!("{}-{}", run.job, run.attempt))
    }

    /// What a run says, to be added to: from the beginning, or after what is here already.
    pub(super) fn output(&self, run: RunId) -> io::Result<Arc<RunOutput>> {
        if let Some(output) = self.lock().get(&run.job).and_then(|entry| entry.runs.get(&run.attempt).cloned()) {
            return Ok(output);
        }
        let opened = RunOutput::unfinished(&self.path_of(run))?;
        let mut jobs = self.lock();
        let entry = jobs.get_mut(&run.job).ok_or(io::ErrorKind::NotFound)?;
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

    pub(super) fn open_jobs(&self, max: usize) -> (Vec<JobNow>, u64) {
        let jobs = self.lock();
        let count = jobs.len() as u64;
        let waits = |now: &JobNow| matches!(now.at, JobAt::Waits(_));
        let (mut shown, mut waiting) = (Vec::new(), Vec::new());
        for entry in jobs.values() {
            let now = entry.view.borrow().now.clone();
            let list = if waits(&now) { &mut waiting } else { &mut shown };
            if list.len() < max {
                list.push(now);
            }
        }
        waiting.truncate(max - shown.len());
        shown.append(&mut waiting);
        (shown, count)
    }

    pub(super) fn follow(&self, job: JobId, run: Option<RunId>) -> Option<io::Result<(RunId, Follower)>> {
        if let Some(run) = run {
            let output = self.lock().get(&job).and_then(|entry| entry.runs.get(&run.attempt).cloned());
            if let Some(output) = output {
                return Some(Ok((run, output.recorder.follow(0))));
            }
        }
        let (run, recorded) = match self.records.recorded(job) {
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
        for (attempt, _) in entry.runs.iter().filter(|(_, output)| !output.is_recorded()) {
            // What cannot be removed is tried again at the next start.
            let _ = recording::remove(&self.path_of(RunId { job, attempt: *attempt }));
        }
        if let Some((map, _)) = entry.asked.task {
            let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
            maps.get(&map).into_iter().for_each(|map| map.send_modify(|ends| *ends += 1));
        }
    }
}

impl RunOutput {
    fn unfinished(path: &Path) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            recorder: Recorder::reopen(path)?,
            recorded: Mutex::default(),
            hearing: tokio::sync::Mutex::default(),
        }))
    }

    fn is_recorded(&self) -> bool {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}
