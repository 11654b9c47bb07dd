//! `potluck cancel`: nobody wants these jobs any more.

use crate::exit;
use crate::job_ids::JobIds;
use crate::render::say;
use crate::settings;
use crate::standing::Ending;
use clap::Args;
use potluck_node::client::Client;
use potluck_node::wire::{CANCELLED_MAX, CancelJobs, JobId};
use std::collections::HashSet;

const EXAMPLES: &str = "\
Examples:
  potluck cancel 3fa9c1                          one job, wherever it is
  potluck cancel --map 77ab02                    all that is left of a map
  potluck cancel --all                           whatever has not ended";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(id = "which", required = true, multiple = false)]
pub(crate) struct CancelArgs {
    /// Which jobs, each by any beginning of its id that is its alone
    #[arg(value_name = "ID", group = "which")]
    ids: Vec<String>,
    /// All jobs of this machine that have not ended
    #[arg(long, group = "which")]
    all: bool,
    /// All jobs of a map
    #[arg(long, value_name = "ID", group = "which")]
    map: Option<String>,
}

pub(crate) fn execute(args: &CancelArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        if let Some(map) = &args.map {
            let batch = ids.find_map(map).await?;
            client.cancel_jobs(&CancelJobs { jobs: Vec::new(), batch: Some(batch) }).await?;
            say("what was left of the map is cancelled");
        } else if args.all {
            let count = all(&client).await?;
            say(&format!("{} cancelled", counted(count)));
        } else {
            some(&client, &ids, &args.ids).await?;
        }
        Ok(exit::SUCCESS)
    })
}

async fn some(client: &Client, ids: &JobIds, texts: &[String]) -> anyhow::Result<()> {
    let mut jobs = Vec::new();
    for job in ids.find_all(texts).await? {
        match ids.record(job)?.and_then(|record| record.end) {
            Some(end) => say(&format!("{} has ended already: {}", ids.short(job), Ending::from(&end))),
            None => jobs.push(job),
        }
    }
    for some in jobs.chunks(CANCELLED_MAX) {
        client.cancel_jobs(&CancelJobs { jobs: some.to_vec(), batch: None }).await?;
    }
    if !jobs.is_empty() {
        say(&format!("{} cancelled", counted(jobs.len())));
    }
    Ok(())
}

/// Cancels until none is listed that was not cancelled before: the node lists but so many at once.
async fn all(client: &Client) -> anyhow::Result<usize> {
    let mut cancelled: HashSet<JobId> = HashSet::new();
    loop {
        let home = client.home_jobs().await?;
        let jobs: Vec<JobId> = home.jobs.iter().map(|job| job.job).filter(|job| !cancelled.contains(job)).collect();
        if jobs.is_empty() {
            return Ok(cancelled.len());
        }
        cancelled.extend(&jobs);
        client.cancel_jobs(&CancelJobs { jobs, batch: None }).await?;
    }
}

fn counted(jobs: usize) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}
