//! Chances that can be repeated (SplitMix64).

use std::time::Duration;

/// A row of numbers that follows from a seed.
pub(super) struct Random(u64);

impl Random {
    /// One of the rows of a seed.
    pub(super) fn of(seed: u64, row: u64) -> Self {
        Self(seed ^ row.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    pub(super) fn of_these<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let len = u64::try_from(all.len()).expect("a length fits");
        &all[usize::try_from(self.below(len)).expect("it is below a length")]
    }

    /// Something between no time and `most`.
    pub(super) fn pause(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).expect("a pause is short")))
    }
}
