//! `potluck cancel`: nobody wants these jobs any more.

use crate::exit::{self, Refusal, Trouble};
use crate::job_ids::JobIds;
use crate::render::say;
use crate::settings;
use crate::standing::Ending;
use clap::Args;
use potluck_node::client::Client;
use potluck_node::wire::{CANCELLED_MAX, CancelJobs, JobId};

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
            match ids.find_map(map).await? {
                (_, 0) => say("the map has ended already"),
                (batch, left) => {
                    client.cancel_jobs(&CancelJobs { jobs: Vec::new(), batch: Some(batch) }).await?;
                    say(&format!("{} of the map cancelled", counted(left)));
                }
            }
        } else if args.all {
            all(&client, &ids).await?;
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
    if jobs.is_empty() { Ok(()) } else { cancel(client, &jobs).await }
}

/// Whatever has not ended.
async fn all(client: &Client, ids: &JobIds) -> anyhow::Result<()> {
    if !client.daemon_runs() {
        let left = ids.unended()?.len() as u64;
        if left > 0 {
            let text = format!(
                "{} of this machine not ended, and no node runs here that could end them: `potluck up -d` first",
                if left == 1 { "1 job has".to_owned() } else { format!("{left} jobs have") }
            );
            return Err(Refusal::error(Trouble::Failed, text));
        }
    }
    let home = client.home_jobs(usize::MAX).await?;
    cancel(client, &home.jobs.iter().map(|job| job.job).collect::<Vec<_>>()).await
}

async fn cancel(client: &Client, jobs: &[JobId]) -> anyhow::Result<()> {
    for some in jobs.chunks(CANCELLED_MAX) {
        client.cancel_jobs(&CancelJobs { jobs: some.to_vec(), batch: None }).await?;
    }
    say(&format!("{} cancelled", counted(jobs.len() as u64)));
    Ok(())
}

fn counted(jobs: u64) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}
