//! How long an interrupted turn may take to end by itself. Only time in which its worker could run counts: on a machine
//! that is busy for others a worker, which is the last of all to get a processor, may need long for a moment's work.

use crate::worker_process::{Times, Worker};
use std::time::Duration;
use tokio::time::Instant;

/// How long it may run or sleep. A library's long calculation looks for no interrupt.
const USED_MAX: Duration = Duration::from_secs(2);
/// How long it may take in all.
const TOTAL_MAX: Duration = Duration::from_secs(60);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The time since a turn was interrupted.
pub(super) struct Patience {
    since: Instant,
    /// How much of it the worker ran or slept.
    used: Duration,
    /// What the last look saw, and when.
    last: (Instant, Times),
    /// When to look again whether it has had its time.
    pub(super) until: Instant,
}

impl Patience {
    pub(super) fn with(worker: &Worker) -> Self {
        let since = Instant::now();
        Self { since, used: Duration::ZERO, last: (since, worker.times()), until: since + PAUSE }
    }

    /// Whether it has had its time.
    pub(super) fn is_over(&mut self, worker: &Worker) -> bool {
        let now = Instant::now();
        let times = worker.times();
        self.used += used(now - self.last.0, &self.last.1, &times);
        self.last = (now, times);
        self.until = now + PAUSE;
        self.used >= USED_MAX || now - self.since >= TOTAL_MAX
    }
}

/// How much of the time that `passed` between two looks the worker used. While it waits only what it ran is certain: the
/// system counts a wait when it is over.
fn used(passed: Duration, before: &Times, after: &Times) -> Duration {
    let ran = after.ran.saturating_sub(before.ran);
    let waited = after.waited.saturating_sub(before.waited);
    if after.is_held { ran } else { ran.max(passed.saturating_sub(waited)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn times(ran: u64, waited: u64, is_held: bool) -> Times {
        Times { ran: Duration::from_millis(ran), waited: Duration::from_millis(waited), is_held }
    }

    #[test]
    fn only_what_a_worker_ran_or_slept_counts() {
        let passed = Duration::from_millis(50);
        let before = times(100, 1_000, false);
        for (after, ms) in [
            // Asleep all the time.
            (times(100, 1_000, false), 50),
            // Never given a processor.
            (times(100, 1_000, true), 0),
            // Given one late, and asleep again.
            (times(103, 1_040, false), 10),
            // Given one, and waiting again.
            (times(103, 1_020, true), 3),
            // At work all the time.
            (times(150, 1_000, true), 50),
            // One thread waited longer than another worked.
            (times(120, 1_200, false), 20),
            // A thread has ended, and its times with it.
            (times(10, 20, true), 0),
        ] {
            assert_eq!(used(passed, &before, &after), Duration::from_millis(ms), "{after:?}");
        }
    }
}
