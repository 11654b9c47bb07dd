//! Chance under a seed: the same on every machine.

/// A stream of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..below`.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.number() % below.max(1)
    }

    /// One of `0..below`.
    pub(super) fn index(&mut self, below: usize) -> usize {
        usize::try_from(self.below(below as u64)).expect("it is less than a usize")
    }

    /// One of these, both included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// As likely in every order of magnitude between the two.
    pub(super) fn spread(&mut self, least: u64, most: u64) -> u64 {
        let magnitude = self.between(u64::from(least.max(1).ilog2()), u64::from(most.ilog2()));
        self.between(1 << magnitude, (2 << magnitude) - 1).clamp(least, most)
    }

    /// Whether one in a thousand so often came up.
    pub(super) fn permille(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }
}
