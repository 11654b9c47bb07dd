//! Chances that can be repeated (SplitMix64), and the variables by which they are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A row of numbers that follows from a seed.
pub(crate) struct Random(u64);

impl Random {
    /// One of the rows of a seed.
    pub(crate) fn of(seed: u64, row: u64) -> Self {
        Self(seed ^ row.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    pub(crate) fn of_these<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let len = u64::try_from(all.len()).expect("a length fits");
        &all[usize::try_from(self.below(len)).expect("it is below a length")]
    }

    /// Something between no time and `most`.
    pub(crate) fn pause(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).expect("a pause is short")))
    }
}

/// The seed that this variable of the environment names, or a new one, which is printed so that it can be named.
pub(crate) fn seed(variable: &str) -> u64 {
    let seed = number_in(variable).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        now.as_secs() ^ u64::from(now.subsec_nanos()) << 32
    });
    eprintln!("{variable}={seed}");
    seed
}

/// The number in a variable of the environment, if it is set.
pub(crate) fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}
