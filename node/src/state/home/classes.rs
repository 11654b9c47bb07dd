//! Jobs with the same requirements are of one class: which machines fit is known for each class, and worked out again only
//! when a machine says something new of itself.

use super::bits::Bits;
use super::machines::Machines;
use crate::state::needs::Requirements;
use crate::state::placement::fit;
use std::collections::HashMap;
use std::sync::Arc;

/// Different requirements of jobs that have not ended, each with two bits for each machine.
pub(super) const CLASSES_MAX: usize = 4096;

/// How long a job is taken to run before any of its class has.
const TASK_MS_UNKNOWN: u64 = 1_000;

/// Jobs with the same requirements.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) requirements: Arc<Requirements>,
    /// Machines that fit.
    pub(super) fits: Bits,
    /// Those of them that are not to be avoided.
    pub(super) wished: Bits,
    /// How long its jobs run, in milliseconds: a mean that forgets.
    pub(super) task_ms: u64,
    jobs: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: Vec<Class>,
    free: Vec<usize>,
    by_requirements: HashMap<Arc<Requirements>, usize>,
}

impl Classes {
    /// The class of a job that comes; none when it would be one more than `most`.
    pub(super) fn enter(
        &mut self,
        requirements: &Arc<Requirements>,
        machines: &Machines,
        most: usize,
    ) -> Option<usize> {
        if let Some(index) = self.by_requirements.get(requirements).copied() {
            self.classes[index].jobs += 1;
            return Some(index);
        }
        if self.by_requirements.len() >= most {
            return None;
        }
        let requirements = requirements.clone();
        let (fits, wished, task_ms) = (Bits::default(), Bits::default(), TASK_MS_UNKNOWN);
        let class = Class { requirements: requirements.clone(), fits, wished, task_ms, jobs: 1 };
        let index = self.free.pop().unwrap_or(self.classes.len());
        if index == self.classes.len() {
            self.classes.push(class);
        } else {
            self.classes[index] = class;
        }
        self.by_requirements.insert(requirements, index);
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
            self.by_requirements.remove(&class.requirements);
            self.free.push(index);
        }
    }

    /// A machine has changed.
    pub(super) fn refit(&mut self, machine: usize, machines: &Machines) {
        for class in self.classes.iter_mut().filter(|class| class.jobs > 0) {
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

fn fit_one(class: &mut Class, machine: usize, machines: &Machines) {
    let facts = machines[machine].facts.as_ref();
    let fits = facts.is_some_and(|facts| fit::obstacle(facts, &class.requirements).is_none());
    let avoided = facts.is_some_and(|facts| fit::named(facts, &class.requirements.avoid));
    class.fits.put(machine, fits);
    class.wished.put(machine, fits && !avoided);
}
