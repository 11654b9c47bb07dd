//! `potluck cancel`: nobody wants these jobs any more.

use crate::exit::{self, Refusal, Trouble};
use crate::job_ids::JobIds;
use crate::render::say;
use crate::settings;
use crate::standing::Ending;
use clap::{ArgGroup, Args};
use potluck_node::client::{Client, ClientError};
use potluck_node::wire::{CANCELLED_MAX, CancelJobs, JobId};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  potluck cancel 3fa9c1                          one job, wherever it is
  potluck cancel --map 77ab02                    all that is left of a map
  potluck cancel --all                           whatever has not ended
  potluck cancel --now 3fa9c1                    at once

A program that looks whether it is asked to end has five seconds, and what it leaves is kept. `--now`, or the same command
again, does not wait for it.";
/// How often it is looked whether jobs have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After so long it is said what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("which").required(true).multiple(false))]
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
    /// End programs at once that run, and do not ask them first
    #[arg(long)]
    now: bool,
}

pub(crate) fn execute(args: &CancelArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        if let Some(map) = &args.map {
            match ids.find_map(map).await? {
                (_, 0) => say("the map has ended already"),
                (batch, left) => {
                    client.cancel_jobs(&CancelJobs { jobs: Vec::new(), batch: Some(batch), now: args.now }).await?;
                    let mut waiting = Waiting::begin(&client);
                    while client.home_jobs(usize::MAX).await?.jobs.iter().any(|job| job.map == Some(batch)) {
                        waiting.go_on().await?;
                    }
                    say(&format!("{} of the map cancelled", counted(left)));
                }
            }
        } else if args.all {
            all(&client, &ids, args.now).await?;
        } else {
            some(&client, &ids, args).await?;
        }
        Ok(exit::SUCCESS)
    })
}

async fn some(client: &Client, ids: &JobIds, args: &CancelArgs) -> anyhow::Result<()> {
    let mut jobs = Vec::new();
    for job in ids.find_all(&args.ids).await? {
        match ids.record(job)?.and_then(|record| record.end) {
            Some(end) => say(&format!("{} has ended already: {}", ids.short(job), Ending::from(&end))),
            None => jobs.push(job),
        }
    }
    if jobs.is_empty() { Ok(()) } else { cancel(client, ids, jobs, args.now).await }
}

/// Whatever has not ended.
async fn all(client: &Client, ids: &JobIds, now: bool) -> anyhow::Result<()> {
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
    cancel(client, ids, home.jobs.iter().map(|job| job.job).collect(), now).await
}

/// Returns when they have ended.
async fn cancel(client: &Client, ids: &JobIds, mut jobs: Vec<JobId>, now: bool) -> anyhow::Result<()> {
    for some in jobs.chunks(CANCELLED_MAX) {
        client.cancel_jobs(&CancelJobs { jobs: some.to_vec(), batch: None, now }).await?;
    }
    let count = jobs.len() as u64;
    let mut waiting = Waiting::begin(client);
    loop {
        let mut left = Vec::new();
        for job in jobs {
            // One that nobody remembers has ended, too.
            if ids.record(job)?.is_some_and(|record| record.end.is_none()) {
                left.push(job);
            }
        }
        if left.is_empty() {
            break;
        }
        jobs = left;
        waiting.go_on().await?;
    }
    say(&format!("{} cancelled", counted(count)));
    Ok(())
}

/// Waits for programs that were asked to end.
struct Waiting<'a> {
    client: &'a Client,
    since: Instant,
    has_spoken: bool,
}

impl<'a> Waiting<'a> {
    fn begin(client: &'a Client) -> Self {
        Self { client, since: Instant::now(), has_spoken: false }
    }

    /// A moment longer.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        if !self.client.daemon_runs() {
            return Err(ClientError::NoDaemon.into());
        }
        if !self.has_spoken && self.since.elapsed() >= PATIENCE {
            self.has_spoken = true;
            say("programs that look for it were asked to end, and may take 5 s; `--now` does not wait for them");
        }
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(())
    }
}

fn counted(jobs: u64) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}
