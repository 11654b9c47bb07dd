//! How long an interrupted turn may take to end by itself. Only time in which its worker could run counts: on a machine
//! that is busy for others a worker, which is the last of all to get a processor, may need long for a moment's work.

use crate::worker_process::Worker;
use std::time::Duration;
use tokio::time::Instant;

/// How long it may run. A library's long calculation looks for no interrupt.
const RUNNING_MAX: Duration = Duration::from_secs(2);
/// How long it may take in all.
const TOTAL_MAX: Duration = Duration::from_secs(20);

/// The time since a turn was interrupted.
pub(super) struct Patience {
    since: Instant,
    /// How long the worker had waited for a processor by then.
    waited_before: Duration,
    /// When to look again whether it has had its time.
    pub(super) until: Instant,
}

impl Patience {
    pub(super) fn with(worker: &Worker) -> Self {
        let since = Instant::now();
        Self { since, waited_before: worker.waited(), until: since + RUNNING_MAX }
    }

    /// Whether it has had its time.
    pub(super) fn is_over(&mut self, worker: &Worker) -> bool {
        let waited = worker.waited().saturating_sub(self.waited_before);
        self.until = self.since + TOTAL_MAX.min(RUNNING_MAX + waited);
        self.until <= Instant::now()
    }
}
