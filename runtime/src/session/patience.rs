//! How long an interrupted turn may take to end by itself. Only time in which its worker could run counts: on a machine
//! that is busy for others a worker, which is the last of all to get a processor, may need long for a moment's work.

use crate::worker_process::{ThreadTime, Worker};
use std::time::Duration;
use tokio::time::Instant;

/// How long it may run. A library's long calculation looks for no interrupt.
const RUNNING_MAX: Duration = Duration::from_secs(2);
/// How long it may take in all.
const TOTAL_MAX: Duration = Duration::from_secs(20);
/// The time between two looks, which tell whether a thread waits: the system counts a wait only when it is over.
const PAUSE: Duration = Duration::from_millis(50);

/// The time since a turn was interrupted.
pub(super) struct Patience {
    since: Instant,
    /// How long its threads had waited for a processor by then, all together.
    waited_before: Duration,
    /// When to look again whether it has had its time.
    pub(super) until: Instant,
    /// What the last look saw.
    threads: Vec<ThreadTime>,
}

impl Patience {
    pub(super) fn with(worker: &Worker) -> Self {
        let (since, threads) = (Instant::now(), worker.threads());
        Self { since, waited_before: waited(&threads), until: since + RUNNING_MAX - PAUSE, threads }
    }

    /// Whether it has had its time.
    pub(super) fn is_over(&mut self, worker: &Worker) -> bool {
        let now = Instant::now();
        let threads = worker.threads();
        let waits = threads.iter().any(|thread| thread.is_ready && self.threads.contains(thread));
        let running_max = RUNNING_MAX + waited(&threads).saturating_sub(self.waited_before);
        self.threads = threads;
        self.until = now + PAUSE;
        let passed = now - self.since;
        passed >= TOTAL_MAX || (passed >= running_max && !waits)
    }
}

fn waited(threads: &[ThreadTime]) -> Duration {
    threads.iter().map(|thread| thread.waited).sum()
}
