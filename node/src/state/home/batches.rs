//! Maps: how many of their jobs are with machines, how long their jobs take, and whether one has failed.

use super::spec::{BatchId, BatchSpec, OnFailure};
use std::collections::{BTreeSet, HashMap};

/// Maps with jobs that have not ended, each with a kilobyte.
pub(super) const BATCHES_MAX: usize = 4096;

/// A map.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) spec: BatchSpec,
    /// Its jobs that have not ended.
    pub(super) jobs: BTreeSet<usize>,
    /// Its runs that are with machines that are heard from.
    pub(super) bound: u32,
    /// Its jobs that wait.
    pub(super) waiting: usize,
    /// How long its runs took.
    pub(super) times: Times,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Batches {
    batches: Vec<Option<Batch>>,
    by_id: HashMap<BatchId, usize>,
}

impl Batches {
    /// The map of jobs that come; none when it would be one more than `most`.
    pub(super) fn enter(&mut self, spec: &BatchSpec, most: usize) -> Option<usize> {
        if let Some(index) = self.by_id.get(&spec.id) {
            return Some(*index);
        }
        if self.by_id.len() >= most {
            return None;
        }
        let vacant = self.batches.iter().position(Option::is_none);
        let index = vacant.unwrap_or(self.batches.len());
        if vacant.is_none() {
            self.batches.push(None);
        }
        let (jobs, times) = (BTreeSet::new(), Times::default());
        self.batches[index] = Some(Batch { spec: spec.clone(), jobs, bound: 0, waiting: 0, times });
        self.by_id.insert(spec.id, index);
        Some(index)
    }

    pub(super) fn find(&self, id: BatchId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Batch> {
        self.batches.get(index)?.as_ref()
    }

    pub(super) fn change(&mut self, index: Option<usize>, change: impl FnOnce(&mut Batch)) {
        if let Some(batch) = index.and_then(|index| self.batches.get_mut(index)?.as_mut()) {
            change(batch);
        }
    }

    pub(super) fn numbers(&self) -> Vec<usize> {
        self.batches.iter().enumerate().filter(|(_, batch)| batch.is_some()).map(|(index, _)| index).collect()
    }

    /// Whether the map may have another run with a machine.
    pub(super) fn has_room(&self, index: Option<usize>) -> bool {
        let batch = index.and_then(|index| self.get(index));
        batch.is_none_or(|batch| batch.spec.jobs_max.is_none_or(|most| batch.bound < most))
    }

    /// A map that no job came to is none.
    pub(super) fn leave_if_empty(&mut self, index: usize) {
        if let Some(id) = self.get(index).filter(|batch| batch.jobs.is_empty()).map(|batch| batch.spec.id) {
            self.by_id.remove(&id);
            self.batches[index] = None;
        }
    }

    /// A job of it has ended; whether the others are to be stopped.
    pub(super) fn job_ended(&mut self, index: usize, job: usize, failed: bool) -> bool {
        let Some(Some(batch)) = self.batches.get_mut(index) else { return false };
        batch.jobs.remove(&job);
        let stop = failed && batch.spec.on_failure == OnFailure::StopTheRest;
        self.leave_if_empty(index);
        stop
    }
}

/// How long runs took, by quarters of powers of two: enough for a median, however many there were.
#[derive(Debug)]
pub(super) struct Times {
    counts: [u32; 160],
    all: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: [0; 160], all: 0 }
    }
}

impl Times {
    pub(super) fn add(&mut self, ms: u64) {
        let bucket = bucket(ms);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.all = self.all.saturating_add(1);
    }

    /// The time that half of them did not take longer than, and up to a fifth more; none while there are few.
    pub(super) fn median_ms(&self) -> Option<u64> {
        if self.all < 3 {
            return None;
        }
        let mut left = self.all.div_ceil(2);
        let index = self.counts.iter().position(|count| {
            left = left.saturating_sub(*count);
            left == 0
        });
        index.map(upper_bound)
    }
}

/// Which quarter of which power of two.
fn bucket(ms: u64) -> usize {
    let ms = ms.clamp(4, 1 << 40);
    let power = ms.ilog2();
    let quarter = (ms >> (power - 2)) & 3;
    // Both are small by the bound above: at most 40 powers of four quarters.
    usize::try_from(u64::from(power - 2) * 4 + quarter).map_or(159, |index| index.min(159))
}

/// The greatest time of a bucket.
fn upper_bound(index: usize) -> u64 {
    let (power, quarter) = (index / 4, index as u64 % 4);
    ((5 + quarter) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_times_is_right_within_a_fifth() {
        for (times, median) in
            [(vec![5, 5, 5], 5), ((1..=999).collect(), 500), (vec![1, 10_000, 10_000, 10_000], 10_000)]
        {
            let mut all = Times::default();
            times.iter().for_each(|ms| all.add(*ms));
            let found = all.median_ms().unwrap();
            assert!((median..=median * 6 / 5 + 1).contains(&found), "{found} for {median}");
        }
        let mut two = Times::default();
        two.add(1);
        two.add(u64::MAX);
        assert_eq!(two.median_ms(), None);
    }
}
