//! What a submitter has had of the machines lately, so that whoever had least is served first.
//!
//! Counted is the time that runs were with machines, which nobody can hide, and it is forgotten by halves. Who comes anew, or
//! comes back, stands no further ahead of the others than [`CREDIT_MS`], so that nobody waits for long behind who has saved up.

use crate::state::now::Mono;

/// What is counted loses 1/64 so often, and half in eleven minutes.
const DECAY_INTERVAL_MS: u64 = 15_000;

/// How far ahead of the others a newcomer starts: a minute of one place.
pub(super) const CREDIT_MS: u64 = 60_000;

/// How much of a run's expected time counts when it is given out.
const EXPECTED_MS_MAX: u64 = 60_000;

/// What one submitter has had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    used_ms: u64,
    bound: u64,
    expected_ms: u64,
    counted_at: Mono,
    decayed_at: Mono,
}

impl Account {
    /// An account that starts with so much.
    pub(super) fn new(now: Mono) -> Self {
        Self { used_ms: 0, bound: 0, expected_ms: 0, counted_at: now, decayed_at: now }
    }

    /// What it has had by now.
    pub(super) fn used_ms(&self, now: Mono) -> u64 {
        self.used_ms.saturating_add(self.bound.saturating_mul(now.since(self.counted_at)))
    }

    /// What it has had, and is about to have by what runs: whoever has least is next.
    pub(super) fn standing_ms(&self, now: Mono) -> u64 {
        self.used_ms(now).saturating_add(self.expected_ms)
    }

    /// It starts with no less than this.
    pub(super) fn raise_to(&mut self, now: Mono, least_ms: u64) {
        self.count(now);
        self.used_ms = self.used_ms.max(least_ms);
    }

    /// A run that is expected to take so long is given out.
    pub(super) fn bind(&mut self, now: Mono, expected_ms: u64) {
        self.count(now);
        self.bound += 1;
        self.expected_ms = self.expected_ms.saturating_add(expected_ms.min(EXPECTED_MS_MAX));
    }

    /// A run is over, or not counted any more.
    pub(super) fn unbind(&mut self, now: Mono) {
        self.count(now);
        // What was expected of the others is their mean: what was expected of this one is not kept.
        self.expected_ms -= self.expected_ms.checked_div(self.bound).unwrap_or(0);
        self.bound = self.bound.saturating_sub(1);
    }

    /// Forgets what has grown old.
    pub(super) fn decay(&mut self, now: Mono) {
        self.count(now);
        let steps = now.since(self.decayed_at) / DECAY_INTERVAL_MS;
        self.decayed_at = self.decayed_at.after(steps * DECAY_INTERVAL_MS);
        for _ in 0..steps.min(4096) {
            self.used_ms -= self.used_ms / 64;
        }
    }

    fn count(&mut self, now: Mono) {
        self.used_ms = self.used_ms(now);
        self.counted_at = self.counted_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_had_grows_with_every_run_and_is_forgotten_by_halves() {
        let mut account = Account::new(Mono(0));
        account.bind(Mono(0), 500);
        account.bind(Mono(1_000), 1_500);
        assert_eq!((account.used_ms(Mono(2_000)), account.standing_ms(Mono(2_000))), (3_000, 5_000));
        account.unbind(Mono(2_000));
        assert_eq!((account.used_ms(Mono(3_000)), account.standing_ms(Mono(3_000))), (4_000, 5_000));
        account.unbind(Mono(3_000));
        assert_eq!(account.standing_ms(Mono(9_000)), 4_000);
        account.decay(Mono(DECAY_INTERVAL_MS * 44));
        assert!((1_900..2_200).contains(&account.used_ms(Mono(0))), "{account:?}");
    }
}
