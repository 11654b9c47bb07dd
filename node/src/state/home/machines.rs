//! The machines a home knows: what they say of themselves, what was measured of them, what they have of ours, and whether they
//! are heard from.

use super::bits::Bits;
use super::classes::mean;
use super::{ABSENCE_MS, ATTACH_INTERVAL_MS, LEASE_MS};
use crate::defaults::QUEUE_PER_PEER_MAX;
use crate::state::now::Mono;
use crate::state::placement::Place;
use crate::state::placement::machine::MachineFacts;
use crate::state::runs::RUNS_PER_HOME_MAX;
use potluck_runtime::Digest;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ops::Index;

/// What a link and the two nodes at its ends need to end one short run and start the next, at least. How long it is in fact is
/// measured: it is ten times as long where a disk takes its time to keep what was written.
const TURNAROUND_MS: u64 = 5;

/// Runs that are with a machine beyond its places, for each of its places, at most: what keeps it busy with tasks of one
/// millisecond over a link of 16.
const AHEAD_PER_PLACE_MAX: u64 = 16;

/// Runs that are with a machine beyond its places in all, at most: half of what it lets wait of one peer, which may send jobs from
/// its terminal, too. More would be refused, and the machine be left alone for that.
const WAITING_MAX: u64 = QUEUE_PER_PEER_MAX as u64 / 2;

/// Digests that are remembered of what a machine has, at a hundred bytes each.
const HOLDINGS_MAX: usize = 1024;

/// How long a machine is left alone after something went down there, at first and at most: it doubles.
const FAILURE_HOLD_MS: (u64, u64) = (500, 60_000);

/// How long a refusal is heeded: not so short that asking is all we do, not so long that it is never asked again.
const HOLD_MS: (u64, u64) = (200, 60 * 60_000);

/// A machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) place: Place,
    /// What it says; nothing of one that is known from records alone.
    pub(super) facts: Option<MachineFacts>,
    pub(super) reachable: bool,
    pub(super) paused: bool,
    pub(super) heard: Mono,
    /// When it was first given what it has now: a machine with nothing to do need not be heard.
    awaited: Mono,
    /// It was not heard for so long that its runs are started elsewhere.
    pub(super) suspect: bool,
    /// What of ours is with it: the job's number and the attempt.
    pub(super) runs: BTreeSet<(usize, u32)>,
    /// It may keep runs that nobody wants any more: since when. An answer to a question from before says nothing of that.
    pub(super) owes: Option<Mono>,
    /// The last question, and when it was asked.
    pub(super) asked: Option<(u64, Mono)>,
    pub(super) hold: Option<(Mono, String)>,
    /// Fuel it gets through in a millisecond.
    pub(super) speed: Option<u64>,
    /// How long runs there take, in milliseconds.
    task_ms: Option<u64>,
    /// How long they take beside that, with all that is written down and sent for them.
    turnaround_ms: Option<u64>,
    failures: u32,
    holdings: Holdings,
}

/// The bytes it is known to have, the oldest forgotten first.
#[derive(Debug, Default)]
struct Holdings {
    has: HashSet<Digest>,
    order: VecDeque<Digest>,
}

impl Machine {
    fn new(place: Place, now: Mono) -> Self {
        Self {
            place,
            facts: None,
            reachable: false,
            paused: false,
            heard: now,
            awaited: now,
            suspect: false,
            runs: BTreeSet::new(),
            owes: Some(now),
            asked: None,
            hold: None,
            speed: None,
            task_ms: None,
            turnaround_ms: None,
            failures: 0,
            holdings: Holdings::default(),
        }
    }

    /// Its label, or what stands for it.
    pub(super) fn name(&self) -> String {
        match (&self.facts, self.place) {
            (Some(facts), _) => facts.name.clone(),
            (None, Place::Here) => "this machine".to_owned(),
            (None, Place::Peer(id)) => id.short(),
        }
    }

    /// How long something of it has been waited for in vain, in milliseconds.
    pub(super) fn silent_ms(&self, now: Mono) -> u64 {
        now.since(self.heard.max(self.awaited))
    }

    /// A run of ours is with it.
    pub(super) fn take(&mut self, index: usize, attempt: u32, now: Mono) {
        if self.runs.is_empty() {
            self.awaited = now;
        }
        self.runs.insert((index, attempt));
    }

    /// Runs of ours that are with it.
    pub(super) fn bound(&self) -> u32 {
        u32::try_from(self.runs.len()).unwrap_or(u32::MAX)
    }

    /// Runs of ours that may be with it: its places, and as many more as it ends while one end and the next start travel.
    pub(super) fn window(&self) -> u32 {
        let Some(facts) = &self.facts else { return 0 };
        let places = u64::from(facts.places);
        let turnaround = u64::from(facts.round_trip_ms).max(TURNAROUND_MS).max(self.turnaround_ms.unwrap_or(0));
        let ahead = self.task_ms.map_or(0, |task| (turnaround / task.max(1)).min(AHEAD_PER_PLACE_MAX));
        let most = places.saturating_add(WAITING_MAX).min(RUNS_PER_HOME_MAX as u64);
        u32::try_from(places.saturating_mul(1 + ahead).min(most)).unwrap_or(u32::MAX)
    }

    /// Whether it can be given work.
    pub(super) fn online(&self) -> bool {
        self.facts.is_some() && self.reachable && !self.suspect && !self.paused
    }

    /// Whether a run given to it now would start at once.
    pub(super) fn has_a_place(&self) -> bool {
        self.free() && self.facts.as_ref().is_some_and(|facts| self.bound() < facts.places)
    }

    fn free(&self) -> bool {
        self.online() && self.hold.is_none() && self.bound() < self.window()
    }

    /// Bytes of these that it has not got, as far as is known.
    pub(super) fn missing_bytes(&self, inputs: &[super::spec::Input]) -> u64 {
        if self.place == Place::Here {
            return 0;
        }
        let missing = inputs.iter().filter(|input| !self.holdings.has.contains(&input.digest));
        missing.fold(0, |sum, input| sum.saturating_add(input.size))
    }

    /// Whether it is time to ask what it keeps.
    pub(super) fn is_to_be_asked(&self, now: Mono) -> bool {
        let due = self.asked.is_none_or(|(_, at)| now.since(at) >= ATTACH_INTERVAL_MS);
        self.reachable && due && (self.owes.is_some() || !self.runs.is_empty())
    }

    /// Whether its lease is over, and it has runs of ours.
    pub(super) fn lease_is_over(&self, now: Mono) -> bool {
        !self.suspect && !self.runs.is_empty() && self.silent_ms(now) > LEASE_MS
    }

    /// Whether it is given up.
    pub(super) fn is_absent(&self, now: Mono) -> bool {
        !self.runs.is_empty() && self.silent_ms(now) > ABSENCE_MS
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Machines {
    machines: Vec<Machine>,
    by_place: BTreeMap<Place, usize>,
    vacant: Vec<usize>,
    /// Those that can be given work.
    pub(super) online: Bits,
    /// Those of them that have a place.
    pub(super) free: Bits,
    holds: BTreeSet<(Mono, usize)>,
    /// The mean of what was measured.
    pub(super) speed: Option<u64>,
}

impl Machines {
    pub(super) fn find(&self, place: Place) -> Option<usize> {
        self.by_place.get(&place).copied()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.machines.len()
    }

    /// The machine's number; a new one is not reachable and has said nothing.
    pub(super) fn enter(&mut self, place: Place, now: Mono) -> usize {
        if let Some(index) = self.find(place) {
            return index;
        }
        let index = self.vacant.pop().unwrap_or(self.machines.len());
        if index == self.machines.len() {
            self.machines.push(Machine::new(place, now));
        } else {
            self.machines[index] = Machine::new(place, now);
        }
        self.by_place.insert(place, index);
        index
    }

    /// Whether a machine says now that it offers other containers than before: what it refused then says nothing of now.
    pub(super) fn offers_other_containers(&self, facts: &MachineFacts) -> bool {
        let before = self.find(facts.place).and_then(|index| self.machines[index].facts.as_ref());
        before.is_some_and(|before| before.docker != facts.docker)
    }

    /// What a machine says of itself.
    pub(super) fn learn(&mut self, facts: MachineFacts, now: Mono) -> usize {
        let index = self.enter(facts.place, now);
        self.change(index, |machine| machine.facts = Some(facts));
        index
    }

    /// Changes one, and what is known by it.
    pub(super) fn change<T>(&mut self, index: usize, change: impl FnOnce(&mut Machine) -> T) -> T {
        let machine = &mut self.machines[index];
        let result = change(machine);
        let (online, free) = (machine.online(), machine.free());
        self.online.put(index, online);
        self.free.put(index, free);
        result
    }

    pub(super) fn gone(&mut self, place: Place) {
        if let Some(index) = self.find(place) {
            self.change(index, |machine| machine.reachable = false);
        }
    }

    /// A machine that has no run of ours is none of ours. Its number may be given to another.
    pub(super) fn forget(&mut self, index: usize) {
        self.change(index, |machine| (machine.facts, machine.reachable) = (None, false));
        self.by_place.remove(&self.machines[index].place);
        self.holds.retain(|(_, other)| *other != index);
        self.vacant.push(index);
    }

    /// The owner of this machine wants it back, or lends it again: then what ended their runs does not keep it empty.
    pub(super) fn pause(&mut self, paused: bool) {
        let Some(index) = self.find(Place::Here) else { return };
        if let Some((until, _)) = self.machines[index].hold.take() {
            self.holds.remove(&(until, index));
        }
        self.change(index, |machine| machine.paused = paused);
    }

    /// Something is to be released there.
    pub(super) fn owes_release(&mut self, place: Place, now: Mono) {
        if let Some(index) = self.find(place) {
            self.machines[index].owes = Some(now);
        }
    }

    /// It has said what it keeps, as it was after this time.
    pub(super) fn paid(&mut self, index: usize, asked_at: Mono) {
        let owes = &mut self.machines[index].owes;
        *owes = owes.filter(|since| *since > asked_at);
    }

    /// Leaves a machine alone for a while.
    pub(super) fn hold(&mut self, index: usize, now: Mono, ms: u64, why: String) {
        let until = now.after(ms.clamp(HOLD_MS.0, HOLD_MS.1));
        if let Some((before, _)) = self.machines[index].hold.take() {
            self.holds.remove(&(before, index));
        }
        self.holds.insert((until, index));
        self.change(index, |machine| machine.hold = Some((until, why)));
    }

    /// Something went down there: it is left alone, each time for longer.
    pub(super) fn failed(&mut self, index: usize, now: Mono, why: &str) {
        let machine = &mut self.machines[index];
        let ms = FAILURE_HOLD_MS.0.saturating_mul(1 << machine.failures.min(16)).min(FAILURE_HOLD_MS.1);
        machine.failures = machine.failures.saturating_add(1);
        self.hold(index, now, ms, why.to_owned());
    }

    /// Those that were left alone for long enough may be asked again.
    pub(super) fn end_holds(&mut self, now: Mono) {
        while let Some((until, index)) = self.holds.first().copied().filter(|(until, _)| *until <= now) {
            self.holds.remove(&(until, index));
            self.change(index, |machine| machine.hold = None);
        }
    }

    /// When the next may be asked again.
    pub(super) fn next_hold(&self) -> Option<Mono> {
        self.holds.first().map(|(until, _)| *until)
    }

    /// A run has ended there.
    pub(super) fn measured(&mut self, index: usize, wall_ms: u64, fuel: u64, turnaround_ms: Option<u64>) {
        let speed = (wall_ms >= 10 && fuel > 0).then(|| fuel / wall_ms);
        let all = self.speed;
        self.change(index, |machine| {
            machine.failures = 0;
            machine.task_ms = Some(machine.task_ms.map_or(wall_ms, |old| mean(old, wall_ms)));
            let turnaround_ms = turnaround_ms.map(|new| machine.turnaround_ms.map_or(new, |old| mean(old, new)));
            machine.turnaround_ms = turnaround_ms.or(machine.turnaround_ms);
            machine.speed = speed.map_or(machine.speed, |new| Some(machine.speed.map_or(new, |old| mean(old, new))));
        });
        self.speed = speed.map_or(all, |new| Some(all.map_or(new, |old| mean(old, new))));
    }

    /// A machine has these bytes now.
    pub(super) fn holds(&mut self, index: usize, inputs: &[super::spec::Input]) {
        let Holdings { has, order } = &mut self.machines[index].holdings;
        for input in inputs.iter().filter(|input| has.insert(input.digest)) {
            order.push_back(input.digest);
        }
        while order.len() > HOLDINGS_MAX {
            if let Some(oldest) = order.pop_front() {
                has.remove(&oldest);
            }
        }
    }

    /// Whether any is to be asked some time for what it keeps.
    pub(super) fn any_to_ask(&self) -> bool {
        self.machines.iter().any(|machine| machine.reachable && machine.owes.is_some())
    }
}

impl Index<usize> for Machines {
    type Output = Machine;

    fn index(&self, index: usize) -> &Machine {
        &self.machines[index]
    }
}
