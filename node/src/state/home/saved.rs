//! What a home finds of itself after it was stopped: the records, folded.

use super::end::End;
use super::run::{Over, RunId};
use super::spec::{BatchId, BatchSpec, Input, JobSpec};
use super::words::Record;
use crate::state::placement::Place;
use crate::wire::JobId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A job as it was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedJob {
    /// What it is.
    pub spec: Arc<JobSpec>,
    /// Its runs, in the order of their numbers.
    pub runs: Vec<SavedRun>,
    /// What its next run goes on from.
    pub checkpoint: Option<Input>,
    /// Whether nobody wants it any more.
    pub is_ending: bool,
    /// How it has ended, and by which run.
    pub end: Option<(End, Option<RunId>)>,
}

/// A run as it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedRun {
    /// Its number.
    pub attempt: u32,
    /// Where it was sent, or was about to be.
    pub place: Place,
    /// Whether it was beside another.
    pub race: bool,
    /// How it was over, if it was.
    pub over: Option<Over>,
}

/// Every record, folded.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The maps.
    pub batches: BTreeMap<BatchId, BatchSpec>,
    /// The jobs.
    pub jobs: BTreeMap<JobId, SavedJob>,
}

/// A record that does not follow from those before it: the book is damaged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a record does not follow from those before it: {0:?}")]
pub struct Inconsistent(pub Box<Record>);

impl Saved {
    /// Adds what was written next.
    ///
    /// # Errors
    /// [`Inconsistent`] when it speaks of what is not there, or says a second time how a job ended.
    pub fn apply(&mut self, record: Record) -> Result<(), Inconsistent> {
        let wrong = |record: &Record| Inconsistent(Box::new(record.clone()));
        match &record {
            Record::Batch(spec) => {
                self.batches.insert(spec.id, spec.clone());
            }
            Record::Job(spec) => {
                if self.jobs.contains_key(&spec.id) {
                    return Err(wrong(&record));
                }
                let job =
                    SavedJob { spec: spec.clone(), runs: Vec::new(), checkpoint: None, is_ending: false, end: None };
                self.jobs.insert(spec.id, job);
            }
            Record::Run { run, place, race } => {
                let job = self
                    .jobs
                    .get_mut(&run.job)
                    .filter(|job| job.end.is_none() && job.runs.last().map_or(0, |last| last.attempt) < run.attempt);
                let job = job.ok_or_else(|| wrong(&record))?;
                job.runs.push(SavedRun { attempt: run.attempt, place: *place, race: *race, over: None });
            }
            Record::Checkpointed { run, checkpoint } => {
                let job = self.jobs.get_mut(&run.job).filter(|job| job.end.is_none());
                let given = job.filter(|job| job.runs.iter().any(|saved| saved.attempt == run.attempt));
                given.ok_or_else(|| wrong(&record))?.checkpoint = *checkpoint;
            }
            Record::RunOver { run, over } => {
                let job = self.jobs.get_mut(&run.job).filter(|job| job.end.is_none());
                let found = job.and_then(|job| job.runs.iter_mut().find(|saved| saved.attempt == run.attempt));
                let found = found.filter(|saved| saved.over.is_none()).ok_or_else(|| wrong(&record))?;
                found.over = Some(*over);
            }
            Record::Ending { job } => {
                let job = self.jobs.get_mut(job).filter(|job| job.end.is_none());
                job.ok_or_else(|| wrong(&record))?.is_ending = true;
            }
            Record::End { job, end, winner, .. } => {
                let job = self.jobs.get_mut(job).filter(|job| job.end.is_none()).ok_or_else(|| wrong(&record))?;
                job.end = Some((end.clone(), winner.map(|(run, _)| run)));
            }
        }
        Ok(())
    }
}
