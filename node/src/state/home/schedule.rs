//! Which job goes where, now: as long as somebody waits and a machine has a place, whoever is next goes to the machine where it
//! is expected to end first.

use super::Home;
use super::bits::Bits;
use super::classes::Class;
use super::end::{End, LostWhy};
use super::jobs::{Job, Waits};
use super::lanes::LaneKey;
use super::machines::Machines;
use super::run::RunId;
use super::words::{Effect, News, Record};
use super::{BROKEN_OFF_MAX, POISON_MAX, reasons};
use crate::state::now::Now;
use crate::state::placement::Place;
use crate::state::placement::fit;
use crate::state::placement::score::{Bid, Work, rank};
use std::cmp::Reverse;

/// Of a lane so many are looked at for one whose bytes a machine has already.
const LOOK_AHEAD: usize = 8;

/// So often a job lets another of its lane go first for that.
const PASSED_OVER_MAX: u32 = 8;

impl Home {
    /// Gives out what can be.
    pub(super) fn schedule(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while self.lanes.waiting() > 0 && !self.machines.free.is_empty() {
            let Self { lanes, classes, machines, batches, jobs, .. } = &mut *self;
            let can = |lane: &LaneKey| {
                batches.has_room(lane.batch)
                    && classes.get(lane.class).fits.meets(&machines.free)
                    && match lane.alone {
                        Some(job) => open_to(&jobs[job], classes.get(lane.class), machines).meets(&machines.free),
                        None => open_to_all(classes.get(lane.class), machines),
                    }
            };
            let Some((submitter, lane)) = lanes.next(now.mono, can) else { break };
            let Some((_, first)) = self.lanes.first(submitter, &lane, 1).next() else { break };
            let Some(machine) = self.best(first) else { break };
            let index = self.nearest(submitter, &lane, first, machine);
            self.bind(now, index, machine, false, effects);
        }
    }

    /// The machine with a place where a job is expected to end first.
    pub(super) fn best(&self, index: usize) -> Option<usize> {
        let job = &self.jobs[index];
        let class = self.classes.get(job.class);
        let open = open_to(job, class, &self.machines);
        let work = Work { task_ms: class.task_ms, speed: self.machines.speed };
        let inputs = &job.spec.inputs;
        let ranked = open.both(&self.machines.free).filter_map(|number| {
            let machine = &self.machines[number];
            let facts = machine.facts.as_ref()?;
            let bid = Bid {
                machine: facts,
                bound: machine.bound(),
                speed: machine.speed,
                missing_bytes: machine.missing_bytes(inputs),
                preferred: fit::named(facts, &class.requirements.prefer),
            };
            Some((rank(&bid, work), number))
        });
        ranked.min().map(|(_, number)| number)
    }

    /// The job of a lane that has least to send to that machine, among its first.
    fn nearest(&mut self, submitter: usize, lane: &LaneKey, first: usize, machine: usize) -> usize {
        let missing = |index: usize| self.machines[machine].missing_bytes(&self.jobs[index].spec.inputs);
        if missing(first) == 0 || self.jobs[first].passed_over >= PASSED_OVER_MAX {
            return first;
        }
        let tickets = self.lanes.first(submitter, lane, LOOK_AHEAD);
        let nearest = tickets.map(|(seq, index)| (missing(index), seq, index)).min();
        let nearest = nearest.map_or(first, |(_, _, index)| index);
        self.jobs[first].passed_over += u32::from(nearest != first);
        nearest
    }

    /// Gives a job to a machine.
    pub(super) fn bind(&mut self, now: Now, index: usize, machine: usize, race: bool, effects: &mut Vec<Effect>) {
        self.leave_queue(index);
        let place = self.machines[machine].place;
        let job = &mut self.jobs[index];
        job.attempts += 1;
        job.raced |= race;
        let (run, restore) = (RunId { job: job.spec.id, attempt: job.attempts }, job.checkpoint);
        self.add_run(now, index, machine, run.attempt, race);
        effects.push(Effect::Persist(Record::Run { run, place, race }));
        effects.push(Effect::Start { place, run, restore });
        effects.push(Effect::Tell { job: run.job, news: News::Sent { place, run } });
    }

    /// A run is no more with its machine.
    pub(super) fn drop_run(&mut self, now: Now, index: usize, attempt: u32) -> Place {
        let runs = &mut self.jobs[index].runs;
        let at = runs.iter().position(|run| run.attempt == attempt).expect("a run that is dropped is one of its job's");
        let run = runs.swap_remove(at);
        if let Some(machine) = self.machines.find(run.place) {
            self.machines.change(machine, |machine| machine.runs.remove(&(index, attempt)));
        }
        if !run.suspect {
            self.unweigh(now, index);
        }
        run.place
    }

    /// A run of a job counts for its submitter and its map.
    pub(super) fn weigh(&mut self, now: Now, index: usize) {
        let job = &self.jobs[index];
        let expected_ms = self.classes.get(job.class).task_ms;
        self.lanes.account(job.submitter, |account| account.bind(now.mono, expected_ms));
        self.batches.change(job.batch, |batch| batch.bound += 1);
    }

    /// It does no more.
    pub(super) fn unweigh(&mut self, now: Now, index: usize) {
        let job = &self.jobs[index];
        self.lanes.account(job.submitter, |account| account.unbind(now.mono));
        self.batches.change(job.batch, |batch| batch.bound -= 1);
    }

    /// What is next for a job that may have no run that is heard from: it waits again, or has had all it may.
    pub(super) fn settle(&mut self, now: Now, index: usize, effects: &mut Vec<Effect>) {
        let job = &self.jobs[index];
        if job.ends_by.is_some() {
            if !job.runs_somewhere() {
                self.finish(now, index, End::Cancelled, None, effects);
            }
            return;
        }
        let (times, broken_off, last) = (job.downs, job.broken_off, job.last.clone());
        if times >= POISON_MAX {
            return self.finish(now, index, End::Lost(LostWhy::Poison { times, last }), None, effects);
        }
        if broken_off >= BROKEN_OFF_MAX {
            return self.finish(now, index, End::Lost(LostWhy::BrokenOff { times: broken_off, last }), None, effects);
        }
        if job.runs_somewhere() {
            return;
        }
        if job.may_run_again() {
            if job.waits.is_none() {
                let (id, again) = (job.spec.id, job.attempts > 0);
                effects.extend(again.then_some(Effect::Tell { job: id, news: News::WaitsAgain(last) }));
                self.wait(now, index);
            }
        } else if job.runs.is_empty() {
            let runs = job.attempts;
            self.finish(now, index, End::Lost(LostWhy::Vanished { runs, last }), None, effects);
        }
        // Otherwise its last run is at a machine that may be heard from again.
    }

    /// Puts a job in its lane.
    pub(super) fn wait(&mut self, now: Now, index: usize) {
        let job = &mut self.jobs[index];
        let alone = (!job.tried.is_empty() || !job.refused.is_empty() || !job.runs.is_empty()).then_some(index);
        let lane = LaneKey { priority: Reverse(job.spec.priority), class: job.class, batch: job.batch, alone };
        // Before its first run it has waited since it was accepted, also while the node was stopped.
        let waited = if job.attempts == 0 { now.wall.since(job.spec.submitted) } else { 0 };
        let left = job.spec.queue_timeout_ms.map(|timeout| timeout.saturating_sub(waited));
        let deadline = left.map(|left| now.mono.after(left));
        self.enter_queue(now, index, Waits { lane, since: now.mono, before_ms: waited, deadline });
    }

    /// Puts a job that waits in the lane it belongs in now, without waiting anew.
    pub(super) fn move_lane(&mut self, now: Now, index: usize) {
        let Some(before) = self.jobs[index].waits else { return };
        self.leave_queue(index);
        self.enter_queue(now, index, Waits { lane: LaneKey { alone: Some(index), ..before.lane }, ..before });
    }

    fn enter_queue(&mut self, now: Now, index: usize, waits: Waits) {
        let job = &mut self.jobs[index];
        job.waits = Some(waits);
        let (submitter, ticket, batch) = (job.submitter, (job.seq, index), job.batch);
        self.deadlines.extend(waits.deadline.map(|deadline| (deadline, index)));
        self.lanes.wait(submitter, waits.lane, ticket, now.mono);
        self.batches.change(batch, |batch| batch.waiting += 1);
    }

    /// Takes a job out of its lane, if it is in one.
    pub(super) fn leave_queue(&mut self, index: usize) {
        let job = &mut self.jobs[index];
        let Some(waits) = job.waits.take() else { return };
        let (submitter, ticket, batch) = (job.submitter, (job.seq, index), job.batch);
        if let Some(deadline) = waits.deadline {
            self.deadlines.remove(&(deadline, index));
        }
        self.lanes.stop_waiting(submitter, waits.lane, ticket);
        self.batches.change(batch, |batch| batch.waiting -= 1);
    }

    /// Ends those that have waited for as long as they wanted to.
    pub(super) fn time_out(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let due: Vec<usize> = self.deadlines.range(..=(now.mono, usize::MAX)).map(|(_, index)| *index).collect();
        for index in due {
            let job = &self.jobs[index];
            // One that waits beside a run at a silent machine may still be heard of, and is ended when that is given up.
            let Some(waits) = job.waits.filter(|_| job.runs.is_empty()) else { continue };
            let waited_ms = now.mono.since(waits.since).saturating_add(waits.before_ms);
            let why = reasons::commonest(&self.why(now, job.spec.id));
            self.finish(now, index, End::Lost(LostWhy::NoMachine { waited_ms, why }), None, effects);
        }
    }
}

/// The machines that a job may go to: of those that fit and refused it not, the ones that are neither to be avoided nor
/// failed it; only where none of these can be given work, those that are or did.
pub(super) fn open_to(job: &Job, class: &Class, machines: &Machines) -> Bits {
    let mut all = class.fits.clone();
    let live = job.runs.iter().map(|run| run.place);
    for place in job.refused.iter().map(|(place, _)| *place).chain(live) {
        machines.find(place).into_iter().for_each(|number| all.put(number, false));
    }
    let tried = |bits: &Bits| {
        let mut bits = bits.clone();
        for place in &job.tried {
            machines.find(*place).into_iter().for_each(|number| bits.put(number, false));
        }
        bits
    };
    let wished = all.meeting(&class.wished);
    let tiers = [tried(&wished), tried(&all), wished];
    tiers.into_iter().find(|tier| tier.meets(&machines.online)).unwrap_or(all)
}

/// Whether a machine with a place is one that any job of this class may go to.
fn open_to_all(class: &Class, machines: &Machines) -> bool {
    let wished = class.wished.meets(&machines.online);
    if wished { class.wished.meets(&machines.free) } else { class.fits.meets(&machines.free) }
}
