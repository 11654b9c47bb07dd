//! What time alone brings about: leases end, waits end, stragglers are raced, and runs that wait at one machine while another is
//! free are asked back.

use super::run::{Over, Progress, RunId};
use super::words::Effect;
use super::{Home, OVERDUE_MS, SWEEP_MS};
use crate::state::now::Now;
use crate::state::placement::Place;

/// At the end of a map, a run that takes so many times what half of the others did is given to a second machine as well: three
/// times is beyond what different processors make of the same work, and costs a third of what it may save.
const STRAGGLER_FACTOR: u64 = 3;

/// A run is no straggler before so long, whatever the others took.
const STRAGGLER_MS_MIN: u64 = 2_000;

/// A run that has waited so long at a machine is asked back when another has a place.
const WITHDRAW_AFTER_MS: u64 = 2_000;

impl Home {
    pub(super) fn sweep(&mut self, now: Now, effects: &mut Vec<Effect>) {
        debug_assert!(now.mono.since(self.swept_at) >= SWEEP_MS);
        self.swept_at = now.mono;
        self.wake_at = None;
        self.lanes.decay(now.mono);
        self.classes.end_refusals(now.mono, &self.machines);
        for machine in self.machines.numbers() {
            self.look_at(now, machine, effects);
        }
        self.time_out(now, effects);
        self.end_the_asked(now, effects);
        self.schedule(now, effects);
        if !self.machines.free.is_empty() {
            self.race_stragglers(now, effects);
            self.ask_back(now, effects);
        }
    }

    /// A machine that is silent, or is to be asked.
    fn look_at(&mut self, now: Now, machine: usize, effects: &mut Vec<Effect>) {
        let known = &self.machines[machine];
        if known.is_absent(now.mono) {
            let silent_s = known.silent_ms(now.mono) / 1000;
            let why = format!("{} was not heard from for {silent_s} s", known.name());
            self.give_up(now, machine, &why, effects);
        } else if known.lease_is_over(now.mono) {
            self.suspect(now, machine, effects);
        }
        self.give_up_overdue(now, machine, effects);
        if self.machines[machine].is_to_be_asked(now.mono) {
            self.ask(now, machine, effects);
        }
    }

    /// The runs of a machine are started elsewhere, as far as their jobs may; what it does with them counts all the same.
    fn suspect(&mut self, now: Now, machine: usize, effects: &mut Vec<Effect>) {
        let place = self.machines.change(machine, |machine| {
            machine.suspect = true;
            machine.place
        });
        let why = format!("{} is not heard from", self.machines[machine].name());
        for (index, attempt) in self.machines[machine].runs.clone() {
            if !self.machines[machine].runs.contains(&(index, attempt)) {
                continue;
            }
            let Some(run) = self.jobs[index].run_mut(attempt, place) else { continue };
            run.suspect = true;
            self.unweigh(now, index);
            self.jobs[index].last.clone_from(&why);
            self.settle(now, index, effects);
        }
    }

    /// Runs of a machine that should long have met their wall time, and that it says to go on all the same.
    fn give_up_overdue(&mut self, now: Now, machine: usize, effects: &mut Vec<Effect>) {
        let place = self.machines[machine].place;
        let overdue = |(index, attempt): &(usize, u32)| {
            let job = &self.jobs[*index];
            let over_ms = job.spec.wall_ms.map(|wall_ms| wall_ms.saturating_mul(2).saturating_add(OVERDUE_MS));
            job.runs.iter().find(|run| run.attempt == *attempt && run.place == place).is_some_and(|run| {
                let running = run.progress == Progress::Running && !run.suspect;
                running && over_ms.is_some_and(|over_ms| now.mono.since(run.since) > over_ms)
            })
        };
        let overdue: Vec<(usize, u32)> = self.machines[machine].runs.iter().copied().filter(overdue).collect();
        for (index, attempt) in overdue {
            // The end of one may have ended others of its map.
            if self.machines[machine].runs.contains(&(index, attempt)) {
                let why = format!("{} did not end it when its time was over", self.machines[machine].name());
                let run = self.jobs[index].run_id(attempt);
                self.released_after(now, index, place, run, Over::Vanished, &why, effects);
            }
        }
    }

    /// At the end of a map, what takes much longer than the others is given to a second machine; the first result counts.
    fn race_stragglers(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for batch in self.batches.numbers() {
            let Some(batch) = self.batches.get(batch) else { continue };
            let Some(median_ms) = batch.times.median_ms() else { continue };
            if batch.waiting >= self.machines.free.len() {
                continue;
            }
            let late_ms = (median_ms * STRAGGLER_FACTOR).max(STRAGGLER_MS_MIN);
            let late = |index: &usize| {
                let job = &self.jobs[*index];
                let is_late = |run: &super::run::Run| {
                    run.progress == Progress::Running && !run.suspect && now.mono.since(run.since) >= late_ms
                };
                !job.raced
                    && job.ends_by.is_none()
                    && job.waits.is_none()
                    && job.runs.len() == 1
                    && job.runs.iter().all(is_late)
            };
            let late: Vec<usize> = batch.jobs.iter().copied().filter(late).collect();
            for index in late {
                if let Some(machine) = self.best(index) {
                    self.bind(now, index, machine, true, effects);
                }
            }
        }
    }

    /// Asks those runs back that wait at a machine while another has a place for them.
    fn ask_back(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut places = self.machines.free.len();
        for machine in self.machines.numbers() {
            let known = &self.machines[machine];
            if !known.online() || known.bound() <= known.facts.as_ref().map_or(0, |facts| facts.places) {
                continue;
            }
            let place = known.place;
            for (index, attempt) in known.runs.clone() {
                if places == 0 {
                    return;
                }
                if self.is_to_be_asked_back(now, index, attempt, place) {
                    places -= 1;
                    if let Some(run) = self.jobs[index].run_mut(attempt, place) {
                        run.withdrawing = true;
                    }
                    effects.push(Effect::Withdraw { place, run: RunId { job: self.jobs[index].spec.id, attempt } });
                }
            }
        }
    }

    fn is_to_be_asked_back(&self, now: Now, index: usize, attempt: u32, place: Place) -> bool {
        let job = &self.jobs[index];
        let waits = job.runs.iter().any(|run| {
            let waits_there = run.attempt == attempt && run.place == place && run.progress == Progress::Accepted;
            waits_there && !run.withdrawing && now.mono.since(run.since) >= WITHDRAW_AFTER_MS
        });
        let elsewhere = |number: usize| self.machines[number].has_a_place();
        waits && job.runs.len() == 1 && self.best(index).is_some_and(elsewhere)
    }
}
