//! The home of jobs: the scheduler of the machine they were given to. It holds the queue, binds a job to a machine when that
//! machine has a place for it, follows its runs until one has decided, and never lets go of a job before it has ended.
//!
//! Invariants:
//! 1. A job that was accepted is in `jobs` until its [`End`](end::End) is written down, and it ends once: whatever arrives of
//!    it afterwards is released and changes nothing.
//! 2. A job in `jobs` waits in exactly one lane, or has a run at a machine that is heard from, or has only runs at machines
//!    that are not and may have no more; or its guest was asked to end, and it ends by then. No job is in none of these, so none
//!    is stuck.
//! 3. A run is written down before it is given to a machine, under a number that was never used, so that a home that
//!    crashed asks that machine for it and no result is counted that was not asked for.
//! 4. A run stays with its machine until that machine says how it ended or [`ABSENCE_MS`] have passed without a word. Machines
//!    are asked for all they keep ([`Effect::Attach`]); what is kept and not wanted any more is released, what is wanted and
//!    not kept is lost. So no message needs to arrive for things to come right, only some of them, some day.
//! 5. What one event costs does not grow with the number of jobs: a choice looks at submitters and lanes (kinds of job that
//!    wait), and at the machines that have a place.

pub mod words;

pub mod refusal;

pub mod spec;

pub mod run;

pub mod end;

pub mod saved;

mod shared;

mod jobs;

mod machines;

mod bits;

mod classes;

mod lanes;

mod share;

mod batches;

mod submit;

mod ending;

mod schedule;

mod answers;

mod sweep;

pub mod reasons;

pub mod rehearsal;

use self::batches::Batches;
use self::classes::Classes;
use self::jobs::Jobs;
use self::lanes::Lanes;
use self::machines::Machines;
use self::run::RunId;
use self::words::{Effect, Event, News, Record};
use super::now::{Mono, Now};
use super::placement::Place;
use crate::wire::JobId;
use std::collections::BTreeSet;

/// A machine that says nothing for so long may be dead, and its runs are started elsewhere. Three unanswered questions
/// ([`ATTACH_INTERVAL_MS`]), and twice what a link takes to notice (7 s), so that one lost connection is no alarm.
pub const LEASE_MS: u64 = 15_000;

/// A machine with runs of ours is asked for them so often.
pub const ATTACH_INTERVAL_MS: u64 = 5_000;

/// A run of a machine that says nothing for so long is given up: longer than a restart, shorter than a night.
pub const ABSENCE_MS: u64 = 10 * 60_000;

/// A run that its machine says to go on is given up so long after its time is over, twice what its limits allow: a machine that
/// slept meanwhile counts its time otherwise, and one that ends nothing must not hold a job for ever.
pub const OVERDUE_MS: u64 = 10 * 60_000;

/// A job whose runs took down their worker or node so often is sent to nobody else: once is the machine's, twice is chance.
pub const POISON_MAX: u32 = 3;

/// A job whose runs were begun and broken off so often is sent to nobody else: a machine that was full for ten minutes, or one
/// that takes what it never means to end.
pub const BROKEN_OFF_MAX: u32 = 20;

/// A job whose guest was asked to end is ended after so long: its runner ends it long before, and what it left may be large.
pub const ENDING_MS: u64 = 60_000;

/// Waits, leases and stragglers are looked at so often.
pub const SWEEP_MS: u64 = 1_000;

/// Jobs that a home holds at once, at half a kilobyte each.
pub const JOBS_MAX: usize = 250_000;

/// The scheduler of one home.
#[derive(Debug)]
pub struct Home {
    jobs: Jobs,
    machines: Machines,
    classes: Classes,
    lanes: Lanes,
    batches: Batches,
    /// When those that wait want to wait no more.
    deadlines: BTreeSet<(Mono, usize)>,
    /// When those whose guests were asked to end are ended.
    endings: BTreeSet<(Mono, usize)>,
    next_seq: u64,
    next_ask: u64,
    swept_at: Mono,
    /// The wake that was asked for and has not come.
    wake_at: Option<Mono>,
}

impl Home {
    /// A home without jobs.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            jobs: Jobs::default(),
            machines: Machines::default(),
            classes: Classes::default(),
            lanes: Lanes::default(),
            batches: Batches::default(),
            deadlines: BTreeSet::new(),
            endings: BTreeSet::new(),
            next_seq: 0,
            // Answers to questions of an earlier start are told from answers to this one's as well as a clock can.
            next_ask: now.wall.0,
            swept_at: now.mono,
            wake_at: None,
        }
    }

    /// Takes an event in, and says what is to be done.
    #[must_use]
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.machines.end_holds(now.mono);
        self.take(now, event, &mut effects);
        self.schedule(now, &mut effects);
        if now.mono.since(self.swept_at) >= SWEEP_MS {
            self.sweep(now, &mut effects);
        }
        self.wake(now, &mut effects);
        effects
    }

    fn take(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Submitted { batch, jobs } => self.submitted(now, batch, jobs, effects),
            Event::Cancelled { job, how } => self.cancelled(now, job, how, effects),
            Event::BatchCancelled { batch, how } => self.batch_cancelled(now, batch, how, effects),
            Event::Seen { facts } => {
                let offers_anew = self.machines.offers_other_containers(&facts);
                let machine = self.machines.learn(facts, now.mono);
                if offers_anew {
                    self.classes.ask_anew(machine, &self.machines);
                }
                self.classes.refit(machine, &self.machines);
                self.heard(now, machine, effects);
            }
            Event::Reached { place } => self.reached(now, place, effects),
            Event::Gone { place } => self.machines.gone(place),
            Event::Removed { place } => self.removed(now, place, effects),
            Event::Heard { place } => self.heard_at(now, place, effects),
            Event::RunAccepted { place, run } => self.run_accepted(now, place, run, effects),
            Event::RunStarted { place, run } => self.run_started(now, place, run, effects),
            Event::RunRefused { place, run, why } => self.run_refused(now, place, run, why, effects),
            Event::RunEnded { place, run, outcome, wall_ms, fuel } => {
                self.run_ended(now, place, run, outcome, (wall_ms, fuel), effects);
            }
            Event::RunLost { place, run, why } => self.run_lost(now, place, run, &why, effects),
            Event::RunEvicted { place, run, retry_after_ms } => {
                self.run_evicted(now, place, run, retry_after_ms, effects);
            }
            Event::Checkpointed { place, run, checkpoint } => self.checkpointed(now, place, run, checkpoint, effects),
            Event::Inventory { place, ask, runs } => self.inventory(now, place, ask, &runs, effects),
            Event::Paused { paused } => self.machines.pause(paused),
            Event::Tick => {
                if self.wake_at.is_some_and(|at| at <= now.mono) {
                    self.wake_at = None;
                }
            }
        }
    }

    /// Jobs that have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether every job has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.len() == 0
    }

    /// Jobs that wait for a machine.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.waiting()
    }

    /// Whether a job is here and has not ended.
    #[must_use]
    pub fn has(&self, job: JobId) -> bool {
        self.jobs.find(job).is_some()
    }

    /// The runs of a job that may still end, and where.
    #[must_use]
    pub fn runs_of(&self, job: JobId) -> Vec<(RunId, Place)> {
        let job = self.jobs.find(job).map(|index| &self.jobs[index]);
        job.map(|job| job.runs.iter().map(|run| (job.run_id(run.attempt), run.place)).collect()).unwrap_or_default()
    }

    /// Asks to be woken while there is something that time alone moves.
    fn wake(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.jobs.len() == 0 && !self.machines.any_to_ask() {
            return;
        }
        let sweep = self.swept_at.after(SWEEP_MS).max(now.mono.after(1));
        let hold = self.machines.next_hold().filter(|_| self.lanes.waiting() > 0);
        let at = hold.map_or(sweep, |hold| hold.min(sweep));
        if self.wake_at.is_none_or(|asked| at < asked || asked <= now.mono) {
            self.wake_at = Some(at);
            effects.push(Effect::WakeAt(at));
        }
    }

    /// Ends a job: written down, told, and released wherever it still runs or is kept.
    fn finish(&mut self, now: Now, index: usize, end: end::End, winner: Option<RunId>, effects: &mut Vec<Effect>) {
        self.leave_queue(index);
        let job = &self.jobs[index];
        if let Some(by) = job.ends_by {
            self.endings.remove(&(by, index));
        }
        let id = job.spec.id;
        let winner = winner.and_then(|winner| {
            let run = job.runs.iter().find(|run| run.attempt == winner.attempt);
            run.map(|run| (winner, run.place))
        });
        effects.push(Effect::Persist(Record::End { job: id, end: end.clone(), winner, at: now.wall }));
        effects.push(Effect::Tell { job: id, news: News::Ended(end.clone()) });
        while let Some(run) = self.jobs[index].runs.last().copied() {
            let place = self.drop_run(now, index, run.attempt);
            effects.push(Effect::Release { place, run: RunId { job: id, attempt: run.attempt } });
            self.machines.owes_release(place, now.mono);
        }
        let Some(job) = self.jobs.remove(index) else { return };
        self.classes.leave(job.class);
        self.lanes.leave(job.submitter);
        if let Some(batch) = job.batch {
            let stop = self.batches.job_ended(batch, index, matches!(end, end::End::Failed(_)));
            if stop {
                self.stop_batch(now, batch, effects);
            }
        }
    }
}

#[cfg(test)]
mod sound;

#[cfg(test)]
mod tests;
