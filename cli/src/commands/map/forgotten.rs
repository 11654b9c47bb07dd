//! Tasks whose jobs were removed from the records meanwhile, with `potluck rm`: the node has nothing to tell of them any more,
//! so they are looked for when it has told nothing for a while.

use super::account::{Account, Came};
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
            let why = match ids.record(job)? {
                None => "its record was removed before its results were here; the same command runs it again",
                Some(record) if record.output_is_gone() => {
                    "its results were kept no longer (`potluck config` keep_days); the same command runs it again"
                }
                Some(_) => continue,
            };
            account.end(job, &Ending::lost(why.to_owned()), None, Came::default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::Journal;
    use super::super::plan::Task;
    use super::*;
    use potluck_node::client::ClientConfig;
    use potluck_node::config::Config;
    use potluck_node::paths::Paths;
    use potluck_node::state::home::spec::BatchId;
    use potluck_runtime::{Digest, WorkerCommand};

    #[test]
    fn a_task_whose_record_is_gone_is_lost_with_the_reason_once_it_was_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(dir.path());
        let config = Config::load(&paths).unwrap();
        let worker = WorkerCommand { program: "potluck".into(), args: Vec::new() };
        let client = Client::open(ClientConfig { paths, config, worker });
        let task = Task { name: "a".to_owned(), inputs: vec!["a.txt".into()] };
        let mut account = Account::new(dir.path(), vec![task], Journal::open(dir.path()).unwrap(), true);
        account.begin(BatchId(JobId([1; 16]))).unwrap();
        account.give(0, Vec::new(), Digest::of(b"a"), JobId([2; 16])).unwrap();
        let mut forgotten = Forgotten::default();
        forgotten.look(&client, &mut account).unwrap();
        assert_eq!((account.counts().running, account.counts().lost), (1, 0), "it may be told yet");
        forgotten.since = Instant::now().checked_sub(QUIET).unwrap();
        forgotten.look(&client, &mut account).unwrap();
        assert_eq!((account.counts().running, account.counts().lost), (0, 1));
        assert!(account.failures().next().unwrap().last_line.contains("its record was removed"));
    }
}
