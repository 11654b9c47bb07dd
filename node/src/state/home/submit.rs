//! How jobs come to a home and leave it unasked: given, cancelled, and found in its records after it was stopped.

use super::batches::BATCHES_MAX;
use super::classes::CLASSES_MAX;
use super::end::End;
use super::jobs::Job;
use super::lanes::SUBMITTERS_MAX;
use super::run::{Over, Progress, Run};
use super::saved::{Saved, SavedJob};
use super::spec::{BatchSpec, JobSpec};
use super::words::{Effect, Record};
use super::{Home, JOBS_MAX};
use crate::state::now::Now;
use crate::wire::JobId;
use std::sync::Arc;

/// Numbers of what a job belongs to.
#[derive(Debug)]
pub(super) struct Belongs {
    submitter: usize,
    class: usize,
    batch: Option<usize>,
}

/// Why no more jobs are taken, with the cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Jobs,
    Classes,
    Submitters,
    Batches,
    OtherBatch,
}

impl Full {
    fn sentence(self) -> String {
        match self {
            Self::Jobs => {
                format!("this machine holds at most {JOBS_MAX} jobs that have not ended; wait for some, or cancel some")
            }
            Self::Classes => format!(
                "jobs with {CLASSES_MAX} different `--need`, `--on`, `--prefer`, `--avoid` or `--memory` wait already; give them the same, or wait"
            ),
            Self::Submitters => format!("{SUBMITTERS_MAX} submitters have jobs here already; wait for one's to end"),
            Self::Batches => format!("{BATCHES_MAX} maps are under way already; wait for one to end, or cancel one"),
            Self::OtherBatch => "a job names another map than the one it came with".to_owned(),
        }
    }
}

impl Home {
    /// A home as its records say it was.
    #[must_use]
    pub fn restored(saved: &Saved, now: Now) -> (Self, Vec<Effect>) {
        let mut home = Self::new(now);
        let mut effects = Vec::new();
        let mut jobs: Vec<&SavedJob> = saved.jobs.values().filter(|job| job.end.is_none()).collect();
        jobs.sort_by_key(|job| (job.spec.submitted, job.spec.id));
        for job in jobs {
            let batch = job.spec.batch.and_then(|id| saved.batches.get(&id));
            let batch = batch.and_then(|spec| home.batches.enter(spec, usize::MAX));
            // What was accepted once is not refused by bounds that are others now.
            let belongs = home.belongs(now, &job.spec, batch, usize::MAX);
            let belongs = belongs.expect("without a bound nothing is refused");
            let index = home.add(job.spec.clone(), &belongs);
            home.restore_runs(now, index, job);
            if job.is_ending {
                home.finish(now, index, End::Cancelled, None, &mut effects);
            } else {
                home.settle(now, index, &mut effects);
            }
        }
        home.schedule(now, &mut effects);
        home.wake(now, &mut effects);
        (home, effects)
    }

    fn restore_runs(&mut self, now: Now, index: usize, saved: &SavedJob) {
        self.jobs[index].checkpoint = saved.checkpoint;
        for run in &saved.runs {
            let job = &mut self.jobs[index];
            job.attempts = run.attempt;
            job.raced |= run.race;
            match run.over {
                None => {
                    let machine = self.machines.enter(run.place, now.mono);
                    self.add_run(now, index, machine, run.attempt, run.race);
                }
                Some(over) => self.count_over(index, run.place, run.race, over, "as it did before a restart"),
            }
        }
    }

    pub(super) fn submitted(
        &mut self,
        now: Now,
        batch: Option<BatchSpec>,
        specs: Vec<JobSpec>,
        effects: &mut Vec<Effect>,
    ) {
        let ids: Vec<JobId> = specs.iter().map(|spec| spec.id).collect();
        let new_batch = batch.as_ref().is_some_and(|batch| self.batches.find(batch.id).is_none());
        match self.room_for(now, batch.as_ref(), &specs) {
            Err(full) => effects.push(Effect::NotAccepted { jobs: ids, why: full.sentence() }),
            Ok(all) => {
                effects.extend(batch.filter(|_| new_batch).map(|batch| Effect::Persist(Record::Batch(batch))));
                let mut added = Vec::with_capacity(all.len());
                for (spec, belongs) in specs.into_iter().zip(all) {
                    let Some(belongs) = belongs else { continue };
                    let spec = Arc::new(spec);
                    effects.push(Effect::Persist(Record::Job(spec.clone())));
                    added.push(self.add(spec, &belongs));
                }
                effects.push(Effect::Accepted { jobs: ids });
                added.into_iter().for_each(|index| self.wait(now, index));
            }
        }
    }

    /// What each job belongs to; none for one that is here already, by a submission whose answer was lost.
    fn room_for(
        &mut self,
        now: Now,
        batch: Option<&BatchSpec>,
        specs: &[JobSpec],
    ) -> Result<Vec<Option<Belongs>>, Full> {
        if self.jobs.len().saturating_add(specs.len()) > JOBS_MAX {
            return Err(Full::Jobs);
        }
        if specs.iter().any(|spec| spec.batch != batch.map(|batch| batch.id)) {
            return Err(Full::OtherBatch);
        }
        let number = batch.map(|batch| self.batches.enter(batch, BATCHES_MAX).ok_or(Full::Batches)).transpose()?;
        let mut seen = std::collections::HashSet::with_capacity(specs.len());
        let mut all: Vec<Option<Belongs>> = Vec::with_capacity(specs.len());
        for spec in specs {
            if self.jobs.find(spec.id).is_some() || !seen.insert(spec.id) {
                all.push(None);
                continue;
            }
            match self.belongs(now, spec, number, CLASSES_MAX) {
                Ok(belongs) => all.push(Some(belongs)),
                Err(full) => {
                    for belongs in all.iter().flatten() {
                        self.classes.leave(belongs.class);
                        self.lanes.leave(belongs.submitter);
                    }
                    number.into_iter().for_each(|number| self.batches.leave_if_empty(number));
                    return Err(full);
                }
            }
        }
        Ok(all)
    }

    pub(super) fn belongs(
        &mut self,
        now: Now,
        spec: &JobSpec,
        batch: Option<usize>,
        classes_max: usize,
    ) -> Result<Belongs, Full> {
        let submitters_max = if classes_max == usize::MAX { usize::MAX } else { SUBMITTERS_MAX };
        let submitter = self.lanes.enter(&spec.submitter, now.mono, submitters_max).ok_or(Full::Submitters)?;
        let Some(class) = self.classes.enter(spec, &self.machines, classes_max) else {
            self.lanes.leave(submitter);
            return Err(Full::Classes);
        };
        Ok(Belongs { submitter, class, batch })
    }

    pub(super) fn add(&mut self, spec: Arc<JobSpec>, belongs: &Belongs) -> usize {
        self.next_seq += 1;
        let job = Job {
            spec,
            submitter: belongs.submitter,
            class: belongs.class,
            batch: belongs.batch,
            seq: self.next_seq,
            attempts: 0,
            losses: 0,
            downs: 0,
            broken_off: 0,
            passed_over: 0,
            raced: false,
            runs: Vec::new(),
            tried: Vec::new(),
            refused: Vec::new(),
            waits: None,
            last: String::new(),
            checkpoint: None,
            ends_by: None,
        };
        let index = self.jobs.add(job);
        self.batches.change(belongs.batch, |batch| {
            batch.jobs.insert(index);
        });
        index
    }

    /// A run is with a machine.
    pub(super) fn add_run(&mut self, now: Now, index: usize, machine: usize, attempt: u32, race: bool) {
        let (place, suspect) = (self.machines[machine].place, self.machines[machine].suspect);
        let (progress, withdrawing) = (Progress::Offered, false);
        let since = now.mono;
        let run = Run { attempt, place, progress, since, accepted_in_ms: 0, suspect, race, withdrawing };
        self.jobs[index].runs.push(run);
        self.machines.change(machine, |machine| machine.take(index, attempt, now.mono));
        if !suspect {
            self.weigh(now, index);
        }
    }

    /// What a run that is over says of its job and of where it was.
    pub(super) fn count_over(
        &mut self,
        index: usize,
        place: crate::state::placement::Place,
        race: bool,
        over: Over,
        why: &str,
    ) {
        let job = &mut self.jobs[index];
        match over {
            Over::Vanished | Over::Down => {
                job.losses += u32::from(!race);
                job.downs += u32::from(over == Over::Down);
            }
            Over::BrokenOff => job.broken_off += 1,
            Over::GivenBack => {}
            Over::NotHere => job.refused.push((place, why.to_owned())),
        }
        let failed = matches!(over, Over::Vanished | Over::Down | Over::BrokenOff);
        if failed && !job.tried.contains(&place) {
            job.tried.push(place);
        }
        why.clone_into(&mut job.last);
    }

    /// One of a map has failed: those of it that have no run are not begun.
    pub(super) fn stop_batch(&mut self, now: Now, batch: usize, effects: &mut Vec<Effect>) {
        let jobs = self.batches.get(batch).map(|batch| batch.jobs.clone()).unwrap_or_default();
        for index in jobs {
            if self.jobs[index].runs.is_empty() {
                self.finish(now, index, End::Cancelled, None, effects);
            }
        }
    }
}
