//! Jobs with the same requirements and of one kind are of one class: which machines fit is known for each class, and worked out
//! again only when a machine says something new of itself. A machine that never takes one of them is not asked for the others.

use super::bits::Bits;
use super::machines::Machines;
use super::spec::{JobSpec, Kind};
use crate::state::needs::Requirements;
use crate::state::now::Mono;
use crate::state::placement::fit;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Different requirements and kinds of jobs that have not ended, each with two bits for each machine.
pub(super) const CLASSES_MAX: usize = 4096;

/// How long a job is taken to run before any of its class has.
const TASK_MS_UNKNOWN: u64 = 1_000;

/// How long a machine that said it never takes a job is not asked for others of the class: its owner may have lent it more since.
const REFUSED_MS: u64 = 10 * 60_000;

/// Jobs with the same requirements, of one kind.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) requirements: Arc<Requirements>,
    kind: Kind,
    /// Machines that fit, without those that refuse.
    pub(super) fits: Bits,
    /// Those of them that are not to be avoided.
    pub(super) wished: Bits,
    /// How long its jobs run, in milliseconds: a mean that forgets.
    pub(super) task_ms: u64,
    /// Machines that never take one of these, as they said until some time, and why.
    refused: BTreeMap<usize, (Mono, String)>,
    jobs: usize,
}

/// What the jobs of a class have in common.
type Key = (Arc<Requirements>, Kind);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: Vec<Class>,
    free: Vec<usize>,
    by_key: HashMap<Key, usize>,
    /// Of which class a refusal is over when.
    refusals: BTreeSet<(Mono, usize, usize)>,
}

impl Classes {
    /// The class of a job that comes; none when it would be one more than `most`.
    pub(super) fn enter(&mut self, spec: &JobSpec, machines: &Machines, most: usize) -> Option<usize> {
        let key = (spec.requirements.clone(), spec.kind);
        if let Some(index) = self.by_key.get(&key).copied() {
            self.classes[index].jobs += 1;
            return Some(index);
        }
        if self.by_key.len() >= most {
            return None;
        }
        let (requirements, kind) = key.clone();
        let (fits, wished, task_ms) = (Bits::default(), Bits::default(), TASK_MS_UNKNOWN);
        let class = Class { requirements, kind, fits, wished, task_ms, refused: BTreeMap::new(), jobs: 1 };
        let index = self.free.pop().unwrap_or(self.classes.len());
        if index == self.classes.len() {
            self.classes.push(class);
        } else {
            self.classes[index] = class;
        }
        self.by_key.insert(key, index);
        for machine in machines.numbers() {
            fit_one(&mut self.classes[index], machine, machines);
        }
        Some(index)
    }

    /// A job of it has ended.
    pub(super) fn leave(&mut self, index: usize) {
        let class = &mut self.classes[index];
        class.jobs -= 1;
        if class.jobs == 0 {
            self.by_key.remove(&(class.requirements.clone(), class.kind));
            for (machine, (until, _)) in std::mem::take(&mut class.refused) {
                self.refusals.remove(&(until, index, machine));
            }
            self.free.push(index);
        }
    }

    /// A machine has changed.
    pub(super) fn refit(&mut self, machine: usize, machines: &Machines) {
        for class in self.classes.iter_mut().filter(|class| class.jobs > 0) {
            fit_one(class, machine, machines);
        }
    }

    /// A machine never takes a job of this class.
    pub(super) fn refuse(&mut self, index: usize, machine: usize, now: Mono, why: &str) {
        let until = now.after(REFUSED_MS);
        let class = &mut self.classes[index];
        if let Some((before, _)) = class.refused.insert(machine, (until, why.to_owned())) {
            self.refusals.remove(&(before, index, machine));
        }
        self.refusals.insert((until, index, machine));
        class.fits.put(machine, false);
        class.wished.put(machine, false);
    }

    /// Machines may be asked again that refused long enough ago.
    pub(super) fn end_refusals(&mut self, now: Mono, machines: &Machines) {
        while let Some((until, index, machine)) = self.refusals.first().copied().filter(|(until, ..)| *until <= now) {
            self.refusals.remove(&(until, index, machine));
            self.classes[index].refused.remove(&machine);
            fit_one(&mut self.classes[index], machine, machines);
        }
    }

    /// A machine comes anew, perhaps as another than it was: it may be asked for all again.
    pub(super) fn ask_anew(&mut self, machine: usize, machines: &Machines) {
        let refusals: Vec<_> = self.refusals.iter().copied().filter(|(.., refuses)| *refuses == machine).collect();
        for refusal in refusals {
            self.refusals.remove(&refusal);
            let class = &mut self.classes[refusal.1];
            class.refused.remove(&machine);
            fit_one(class, machine, machines);
        }
    }

    pub(super) fn get(&self, index: usize) -> &Class {
        &self.classes[index]
    }

    /// A job of it has run for so long.
    pub(super) fn measured(&mut self, index: usize, wall_ms: u64) {
        let class = &mut self.classes[index];
        class.task_ms = mean(class.task_ms, wall_ms);
    }
}

/// A mean that forgets: an eighth of it is the newest.
pub(super) fn mean(old: u64, new: u64) -> u64 {
    let sum = u128::from(old) * 7 + u128::from(new);
    u64::try_from(sum.div_ceil(8)).unwrap_or(u64::MAX)
}

impl Class {
    /// Why a machine never takes one of these, if it said so.
    pub(super) fn refusal(&self, machine: usize) -> Option<&str> {
        self.refused.get(&machine).map(|(_, why)| why.as_str())
    }
}

fn fit_one(class: &mut Class, machine: usize, machines: &Machines) {
    let facts = machines[machine].facts.as_ref().filter(|_| class.refusal(machine).is_none());
    let fits = facts.is_some_and(|facts| fit::obstacle(facts, &class.requirements).is_none());
    let avoided = facts.is_some_and(|facts| fit::named(facts, &class.requirements.avoid));
    class.fits.put(machine, fits);
    class.wished.put(machine, fits && !avoided);
}
