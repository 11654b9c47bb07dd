//! What machines say, and what follows from it for their runs and jobs.

use super::Home;
use super::end::{End, Failure};
use super::refusal::EVICTED_RETRY_MS;
use super::run::{Over, Progress, RunId};
use super::spec::Input;
use super::words::{Effect, Kept, News, Record, Refusal};
use crate::state::now::Now;
use crate::state::placement::Place;
use potluck_runtime::Outcome;
use std::collections::BTreeSet;

impl Home {
    /// Something of a machine was heard.
    pub(super) fn heard_at(&mut self, now: Now, place: Place, effects: &mut Vec<Effect>) {
        if let Some(machine) = self.machines.find(place) {
            self.heard(now, machine, effects);
        }
    }

    pub(super) fn heard(&mut self, now: Now, machine: usize, effects: &mut Vec<Effect>) {
        let was_suspect = self.machines.change(machine, |machine| {
            machine.heard = now.mono;
            std::mem::take(&mut machine.suspect)
        });
        if was_suspect {
            self.trust_again(now, machine);
            self.ask(now, machine, effects);
        }
    }

    /// The runs of a machine that is heard again are what they were. Jobs that only waited to be started elsewhere do not.
    fn trust_again(&mut self, now: Now, machine: usize) {
        let place = self.machines[machine].place;
        for (index, attempt) in self.machines[machine].runs.clone() {
            if let Some(run) = self.jobs[index].run_mut(attempt, place) {
                run.suspect = false;
                self.weigh(now, index);
            }
            self.leave_queue(index);
        }
    }

    pub(super) fn reached(&mut self, now: Now, place: Place, effects: &mut Vec<Effect>) {
        let machine = self.machines.enter(place, now.mono);
        self.machines.change(machine, |machine| machine.reachable = true);
        self.classes.ask_anew(machine, &self.machines);
        self.heard(now, machine, effects);
        if self.machines[machine].owes.is_some() || !self.machines[machine].runs.is_empty() {
            self.ask(now, machine, effects);
        }
    }

    /// Asks for all that a machine keeps.
    pub(super) fn ask(&mut self, now: Now, machine: usize, effects: &mut Vec<Effect>) {
        self.next_ask += 1;
        let ask = self.next_ask;
        self.machines.change(machine, |machine| machine.asked = Some((ask, now.mono)));
        effects.push(Effect::Attach { place: self.machines[machine].place, ask });
    }

    /// A machine is no peer any more.
    pub(super) fn removed(&mut self, now: Now, place: Place, effects: &mut Vec<Effect>) {
        let Some(machine) = self.machines.find(place) else { return };
        self.machines.change(machine, |machine| machine.reachable = false);
        let why = format!("{} is no peer any more", self.machines[machine].name());
        self.give_up(now, machine, &why, effects);
        self.machines.forget(machine);
        self.classes.ask_anew(machine, &self.machines);
        self.classes.refit(machine, &self.machines);
    }

    /// Nothing that a machine has of ours is waited for.
    pub(super) fn give_up(&mut self, now: Now, machine: usize, why: &str, effects: &mut Vec<Effect>) {
        let place = self.machines[machine].place;
        self.machines.owes_release(place, now.mono);
        // The end of one may end others of its map.
        while let Some((index, attempt)) = self.machines[machine].runs.first().copied() {
            self.over(now, index, attempt, Over::Vanished, why, effects);
        }
    }

    /// A run is over, and its job is not.
    pub(super) fn over(
        &mut self,
        now: Now,
        index: usize,
        attempt: u32,
        over: Over,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        let job = &self.jobs[index];
        let race = job.runs.iter().any(|run| run.attempt == attempt && run.race);
        effects.push(Effect::Persist(Record::RunOver { run: job.run_id(attempt), over }));
        let place = self.drop_run(now, index, attempt);
        self.count_over(index, place, race, over, why);
        // What it is to keep off may have changed, so it waits elsewhere if it waits.
        if self.jobs[index].waits.is_some() {
            self.move_lane(now, index);
        }
        self.settle(now, index, effects);
    }

    /// The run of a job that is wanted, by its job's number; what is not wanted is released.
    fn wanted(&mut self, now: Now, place: Place, run: RunId, effects: &mut Vec<Effect>) -> Option<usize> {
        let found = self.jobs.find(run.job).filter(|index| {
            self.jobs[*index].runs.iter().any(|other| other.attempt == run.attempt && other.place == place)
        });
        if found.is_none() {
            effects.push(Effect::Release { place, run });
            self.machines.owes_release(place, now.mono);
        }
        found
    }

    fn progressed(&mut self, now: Now, index: usize, place: Place, run: RunId, to: Progress) -> bool {
        let run = self.jobs[index].run_mut(run.attempt, place);
        let run = run.filter(|run| run.progress < to);
        run.map(|run| run.comes_to(to, now.mono)).is_some()
    }

    pub(super) fn run_accepted(&mut self, now: Now, place: Place, run: RunId, effects: &mut Vec<Effect>) {
        self.heard_at(now, place, effects);
        if let Some(index) = self.wanted(now, place, run, effects) {
            self.progressed(now, index, place, run, Progress::Accepted);
        }
    }

    pub(super) fn run_started(&mut self, now: Now, place: Place, run: RunId, effects: &mut Vec<Effect>) {
        self.heard_at(now, place, effects);
        let Some(index) = self.wanted(now, place, run, effects) else { return };
        if self.progressed(now, index, place, run, Progress::Running) {
            effects.push(Effect::Tell { job: run.job, news: News::Started { place, run } });
            if let Some(machine) = self.machines.find(place) {
                self.machines.holds(machine, &self.jobs[index].spec.inputs);
            }
        }
    }

    pub(super) fn run_refused(&mut self, now: Now, place: Place, run: RunId, why: Refusal, effects: &mut Vec<Effect>) {
        self.heard_at(now, place, effects);
        let (Some(index), Some(machine)) = (self.asked_of(place, run), self.machines.find(place)) else { return };
        // One that was refused when its turn had come is kept there like any other that ended.
        self.machines.owes_release(place, now.mono);
        let name = self.machines[machine].name();
        let was_taken =
            self.jobs[index].run_mut(run.attempt, place).is_some_and(|run| run.progress > Progress::Offered);
        match why {
            Refusal::NotNow { why, retry_after_ms } => {
                let (over, text) = if was_taken {
                    (Over::BrokenOff, format!("{name} did not go on with it: {why}"))
                } else {
                    (Over::GivenBack, format!("{name} does not take it now: {why}"))
                };
                self.machines.hold(machine, now.mono, retry_after_ms, why);
                self.over(now, index, run.attempt, over, &text, effects);
            }
            Refusal::NotHere(why) => {
                self.classes.refuse(self.jobs[index].class, machine, now.mono, &why);
                self.over(now, index, run.attempt, Over::NotHere, &why, effects);
            }
            Refusal::Nowhere(why) => {
                self.finish(now, index, End::Failed(Failure::Refused(format!("{name}: {why}"))), None, effects);
            }
            Refusal::Withdrawn => {
                let text = format!("{name} had not started it, and another machine has a place");
                self.over(now, index, run.attempt, Over::GivenBack, &text, effects);
            }
        }
    }

    /// A run has given a checkpoint. Of several runs of a job it cannot be told which is farther: the last that came of one
    /// that is wanted counts.
    pub(super) fn checkpointed(
        &mut self,
        now: Now,
        place: Place,
        run: RunId,
        checkpoint: Option<Input>,
        effects: &mut Vec<Effect>,
    ) {
        self.heard_at(now, place, effects);
        let Some(index) = self.asked_of(place, run) else { return };
        let job = &mut self.jobs[index];
        if job.checkpoint != checkpoint {
            job.checkpoint = checkpoint;
            effects.push(Effect::Persist(Record::Checkpointed { run, checkpoint }));
        }
    }

    /// As [`wanted`](Self::wanted), of a run that the machine says it has not.
    fn asked_of(&self, place: Place, run: RunId) -> Option<usize> {
        self.jobs.find(run.job).filter(|index| {
            self.jobs[*index].runs.iter().any(|other| other.attempt == run.attempt && other.place == place)
        })
    }

    pub(super) fn run_ended(
        &mut self,
        now: Now,
        place: Place,
        run: RunId,
        outcome: Outcome,
        (wall_ms, fuel): (u64, u64),
        effects: &mut Vec<Effect>,
    ) {
        self.heard_at(now, place, effects);
        let (Some(index), Some(machine)) = (self.wanted(now, place, run, effects), self.machines.find(place)) else {
            return;
        };
        let is_ending = self.jobs[index].ends_by.is_some();
        let end = match outcome {
            Outcome::Lost(why) => return self.run_lost(now, place, run, &why, effects),
            // However it came to its end, nobody wanted more of it than what it left.
            _ if is_ending => return self.finish(now, index, End::Cancelled, Some(run), effects),
            Outcome::Exited(0) => End::Done,
            Outcome::Exited(_) | Outcome::Trapped(_) | Outcome::Limit(_) => End::Failed(Failure::Outcome(outcome)),
            Outcome::Cancelled => return self.run_evicted(now, place, run, EVICTED_RETRY_MS, effects),
        };
        let job = &self.jobs[index];
        let ended = job.runs.iter().find(|other| other.attempt == run.attempt);
        let turnaround_ms = ended.and_then(|run| run.turnaround_ms(wall_ms, now.mono));
        self.machines.measured(machine, wall_ms, fuel, turnaround_ms);
        self.machines.holds(machine, &job.spec.inputs);
        self.classes.measured(job.class, wall_ms);
        self.batches.change(job.batch, |batch| batch.times.add(wall_ms));
        self.finish(now, index, end, Some(run), effects);
    }

    pub(super) fn run_lost(&mut self, now: Now, place: Place, run: RunId, why: &str, effects: &mut Vec<Effect>) {
        self.heard_at(now, place, effects);
        let (Some(index), Some(machine)) = (self.wanted(now, place, run, effects), self.machines.find(place)) else {
            return;
        };
        let text = format!("{} went down with it: {why}", self.machines[machine].name());
        self.machines.failed(machine, now.mono, why);
        self.released_after(now, index, place, run, Over::Down, &text, effects);
    }

    pub(super) fn run_evicted(
        &mut self,
        now: Now,
        place: Place,
        run: RunId,
        retry_after_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        self.heard_at(now, place, effects);
        let (Some(index), Some(machine)) = (self.wanted(now, place, run, effects), self.machines.find(place)) else {
            return;
        };
        let text = format!("the owner of {} took it back", self.machines[machine].name());
        self.machines.hold(machine, now.mono, retry_after_ms, "its owner took it back".to_owned());
        self.released_after(now, index, place, run, Over::GivenBack, &text, effects);
    }

    /// A run is over that its runner may still keep: once that is written down, it need not.
    #[expect(clippy::too_many_arguments, reason = "the run, how it was over, and when")]
    pub(super) fn released_after(
        &mut self,
        now: Now,
        index: usize,
        place: Place,
        run: RunId,
        over: Over,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        let from = effects.len();
        self.over(now, index, run.attempt, over, why, effects);
        // Behind the record, which is the first of what was added.
        effects.insert(from + 1, Effect::Release { place, run });
        self.machines.owes_release(place, now.mono);
    }

    /// All that a machine keeps for us: what is kept and not wanted is released, what is wanted and not kept is started if it
    /// was not yet there, and lost if it was.
    pub(super) fn inventory(
        &mut self,
        now: Now,
        place: Place,
        ask: u64,
        kept: &[(RunId, Kept)],
        effects: &mut Vec<Effect>,
    ) {
        let Some(machine) = self.machines.find(place) else { return };
        let Some((_, asked_at)) = self.machines[machine].asked.filter(|(asked, _)| *asked == ask) else { return };
        self.heard(now, machine, effects);
        self.machines.paid(machine, asked_at);
        let mut there = BTreeSet::new();
        for (run, kept) in kept {
            let Some(index) = self.wanted(now, place, *run, effects) else { continue };
            there.insert((index, run.attempt));
            match kept {
                Kept::Waiting => {
                    self.progressed(now, index, place, *run, Progress::Accepted);
                }
                Kept::Running => self.run_started(now, place, *run, effects),
                Kept::Ended => effects.push(Effect::Collect { place, run: *run }),
                Kept::Evicted => self.run_evicted(now, place, *run, EVICTED_RETRY_MS, effects),
                Kept::Lost => self.run_lost(now, place, *run, "it was restarted while the job ran", effects),
            }
        }
        for (index, attempt) in self.machines[machine].runs.clone() {
            if there.contains(&(index, attempt)) || !self.machines[machine].runs.contains(&(index, attempt)) {
                continue;
            }
            let Some(run) = self.jobs[index].run_mut(attempt, place).copied() else { continue };
            let run_id = self.jobs[index].run_id(attempt);
            match run.progress {
                // What was offered or taken after it was asked need not be in the answer.
                Progress::Offered if run.since > asked_at => {}
                Progress::Offered => {
                    effects.push(Effect::Start { place, run: run_id, restore: self.jobs[index].checkpoint });
                }
                Progress::Accepted | Progress::Running if run.since >= asked_at => {}
                Progress::Accepted | Progress::Running => {
                    let why = format!("{} does not know of it any more", self.machines[machine].name());
                    self.over(now, index, attempt, Over::Vanished, &why, effects);
                }
            }
        }
    }
}
