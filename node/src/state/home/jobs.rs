//! The jobs of a home that have not ended, by number and by id.

use super::lanes::LaneKey;
use super::run::{Run, RunId};
use super::spec::{Input, JobSpec};
use crate::state::now::Mono;
use crate::state::placement::Place;
use crate::wire::JobId;
use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) spec: Arc<JobSpec>,
    pub(super) submitter: usize,
    pub(super) class: usize,
    pub(super) batch: Option<usize>,
    /// Its place in the order of arrival, which it keeps when it waits again.
    pub(super) seq: u64,
    /// Runs that were given to machines.
    pub(super) attempts: u32,
    /// Runs that count against its retries.
    pub(super) losses: u32,
    /// Runs that took down what they ran in.
    pub(super) downs: u32,
    /// Runs that machines had taken and would not go on with.
    pub(super) broken_off: u32,
    /// How often another of its lane was taken before it, because its bytes were there.
    pub(super) passed_over: u32,
    /// Whether it has been given to a second machine beside the first.
    pub(super) raced: bool,
    /// Runs that may still end.
    pub(super) runs: Vec<Run>,
    /// Where a run vanished: asked again only when nobody else fits.
    pub(super) tried: Vec<Place>,
    /// Who will never take it.
    pub(super) refused: Vec<(Place, String)>,
    /// In which lane it waits, and since when.
    pub(super) waits: Option<Waits>,
    /// What is known of why its last run came to nothing.
    pub(super) last: String,
    /// What its next run goes on from.
    pub(super) checkpoint: Option<Input>,
    /// Nobody wants it, its guest was asked to end, and it is ended then.
    pub(super) ends_by: Option<Mono>,
}

/// A job's wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) lane: LaneKey,
    pub(super) since: Mono,
    /// How long it had waited before, while the home was stopped.
    pub(super) before_ms: u64,
    pub(super) deadline: Option<Mono>,
}

impl Job {
    pub(super) fn run_id(&self, attempt: u32) -> RunId {
        RunId { job: self.spec.id, attempt }
    }

    pub(super) fn run_mut(&mut self, attempt: u32, place: Place) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.attempt == attempt && run.place == place)
    }

    /// Whether a run of it is at a machine that is heard from.
    pub(super) fn runs_somewhere(&self) -> bool {
        self.runs.iter().any(|run| !run.suspect)
    }

    /// Whether it may be given to another machine after those that failed it.
    pub(super) fn may_run_again(&self) -> bool {
        let suspects = self.runs.iter().filter(|run| run.suspect && !run.race).count();
        u64::from(self.losses) + suspects as u64 <= u64::from(self.spec.retries)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Vec<Option<Job>>,
    free: Vec<usize>,
    by_id: HashMap<JobId, usize>,
}

impl Jobs {
    pub(super) fn add(&mut self, job: Job) -> usize {
        let id = job.spec.id;
        let index = self.free.pop().unwrap_or(self.jobs.len());
        if index == self.jobs.len() {
            self.jobs.push(Some(job));
        } else {
            self.jobs[index] = Some(job);
        }
        self.by_id.insert(id, index);
        index
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<Job> {
        let job = self.jobs.get_mut(index)?.take()?;
        self.by_id.remove(&job.spec.id);
        self.free.push(index);
        Some(job)
    }

    pub(super) fn find(&self, id: JobId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Job)> {
        self.jobs.iter().enumerate().filter_map(|(index, job)| Some((index, job.as_ref()?)))
    }
}

/// Numbers come from here and are dropped with their jobs, so a number in use has a job.
impl Index<usize> for Jobs {
    type Output = Job;

    fn index(&self, index: usize) -> &Job {
        self.jobs[index].as_ref().expect("a number in use has a job")
    }
}

impl IndexMut<usize> for Jobs {
    fn index_mut(&mut self, index: usize) -> &mut Job {
        self.jobs[index].as_mut().expect("a number in use has a job")
    }
}
