//! Tasks whose jobs were removed from the records meanwhile, with `potluck rm`: the node has nothing to tell of them any more,
//! so they are looked for when it has told nothing for a while.

use super::account::Account;
use crate::job_ids::JobIds;
use crate::standing::Ending;
use potluck_node::client::Client;
use potluck_node::wire::JobId;
use std::time::{Duration, Instant};

/// How long nothing is heard before it is looked, and between two looks.
const QUIET: Duration = Duration::from_secs(2);
/// Jobs that are looked for at once: some milliseconds.
const LOOKED_AT_MAX: usize = 1000;

/// Looks for them.
pub(super) struct Forgotten {
    /// When something was heard last, or looked for.
    since: Instant,
    /// Those that are to be looked for before any is once more.
    left: Vec<JobId>,
}

impl Default for Forgotten {
    fn default() -> Self {
        Self { since: Instant::now(), left: Vec::new() }
    }
}

impl Forgotten {
    /// The node has told something.
    pub(super) fn heard(&mut self) {
        self.since = Instant::now();
    }

    /// Looks, if it is time to. All tasks are given: what is about to be is in no record yet.
    pub(super) fn look(&mut self, client: &Client, account: &mut Account) -> anyhow::Result<()> {
        if self.since.elapsed() < QUIET {
            return Ok(());
        }
        self.heard();
        if self.left.is_empty() {
            self.left.extend(account.unended());
        }
        let some = self.left.split_off(self.left.len().saturating_sub(LOOKED_AT_MAX));
        let ids = JobIds::open(client)?;
        for job in some {
            if ids.record(job)?.is_none() {
                let why = "its record was removed before its results were here; the same command runs it again";
                account.end(job, &Ending::lost(why.to_owned()), None, String::new())?;
            }
        }
        Ok(())
    }
}
