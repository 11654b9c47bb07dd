//! `potluck rm`: forgets jobs that have ended.

use crate::exit::{self, Refusal, Trouble};
use crate::quantity::Span;
use crate::{records, render, settings};
use anyhow::Context as _;
use clap::Args;
use potluck_node::clock::Clock;
use potluck_node::store::jobs::history::Filter;
use potluck_node::store::jobs::{Change, JobStore, Role};
use potluck_node::store::recording::Folder;
use potluck_node::wire::JobId;

const EXAMPLES: &str = "\
Examples:
  potluck rm 3fa9c1                              one job, by any beginning of its id
  potluck rm --before 30d                        all that were submitted longer ago
  potluck history --failed --json | jq -r '.[].id' | xargs potluck rm

What was run for whom stays in the ledger.";

/// Jobs that are forgotten in one step; a crash between two leaves the rest.
const AT_ONCE: usize = 4096;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
#[group(required = true, multiple = true)]
pub(crate) struct RmArgs {
    /// Which jobs
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that were submitted longer ago than this
    #[arg(long, value_name = "TIME")]
    before: Option<Span>,
}

pub(crate) fn execute(args: &RmArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let store = records::open(&client)?;
    let mut jobs = Vec::new();
    for text in &args.ids {
        jobs.extend(ended(&store, store.find(text)?)?);
    }
    if let Some(before) = args.before {
        let before_ms = Clock::system().unix_now_ms().saturating_sub(before.milliseconds());
        let filter = Filter { before_ms: Some(before_ms), ended: true, ..Filter::default() };
        jobs.extend(store.ids(&filter)?);
    }
    jobs.sort_unstable();
    jobs.dedup();
    settings::block_on(async {
        for some in jobs.chunks(AT_ONCE) {
            store.synced(some.iter().map(|(id, role)| Change::Remove { id: *id, role: *role }).collect()).await?;
        }
        Ok(())
    })?;
    let gone = jobs.iter().filter(|(_, role)| *role == Role::Sent).map(|(id, _)| *id).collect();
    Folder::at(client.paths().recordings_dir())
        .remove_of(&gone)
        .context("cannot remove what the jobs printed and made")?;
    render::say(&format!(
        "{} forgotten",
        if jobs.len() == 1 { "1 job".to_owned() } else { format!("{} jobs", jobs.len()) }
    ));
    Ok(exit::SUCCESS)
}

/// What is known of a job, on either side, if it has ended.
fn ended(store: &JobStore, id: JobId) -> anyhow::Result<Vec<(JobId, Role)>> {
    let mut known = Vec::new();
    for role in [Role::Sent, Role::Ran] {
        match store.job(id, role)? {
            Some(job) if job.end.is_none() => {
                let (short, program) = (store.shortened(id)?, job.program);
                let cure = match role {
                    Role::Sent => format!("; `potluck cancel {short}` first"),
                    Role::Ran => String::new(),
                };
                let text = format!("{short} ({program}) has not ended, and only jobs that have can be forgotten{cure}");
                return Err(Refusal::error(Trouble::Failed, text));
            }
            Some(_) => known.push((id, role)),
            None => {}
        }
    }
    Ok(known)
}
