//! `potluck wait`: until jobs have ended.

use crate::exit::{self, Refusal, Trouble};
use crate::following::end_of;
use crate::job_ids::JobIds;
use crate::quantity::Span;
use crate::render::{self, say};
use crate::settings;
use crate::signals::EndRequests;
use crate::standing::Ending;
use clap::Args;
use potluck_node::client::Client;
use potluck_node::wire::JobId;
use serde::Serialize;
use std::future::pending;
use tokio::task::JoinSet;

const EXAMPLES: &str = "\
Examples:
  potluck wait 3fa9c1 && echo done               ends with the job's own exit code
  potluck wait 3fa9c1 77ab02 --timeout 1h
  potluck wait --any $(potluck jobs -q --unended)

Of several jobs, it ends with 0 if all are done, and with the code of the first in the line that is not otherwise; with --any,
with the code of the one that ended. After --timeout it ends with 124, and says of those that have ended how.";

/// Jobs of which the first to end may be waited for: each takes a connection to the node.
const ANY_MAX: usize = 256;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::TABLE))]
pub(crate) struct WaitArgs {
    /// Which jobs, each by any beginning of its id that is its alone
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// For so long at most
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Until one of them has ended
    #[arg(long)]
    any: bool,
    /// Print a JSON array with an object for each job that has ended
    #[arg(long)]
    json: bool,
}

/// A job that has ended, for programs.
#[derive(Serialize)]
struct EndObject {
    id: String,
    state: &'static str,
    exit_code: u8,
    why: Option<String>,
}

pub(crate) fn execute(args: &WaitArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let jobs = ids.find_all(&args.ids).await?;
        let ended =
            async { if args.any { first(&client, &ids, &jobs).await } else { all(&client, &ids, &jobs).await } };
        let left_with = tokio::select! {
            ended = ended => Ok(ended?),
            () = over(args.timeout) => {
                say(if args.any { "none of them has ended in that time" } else { "not all of them have ended in that time" });
                Err(exit::WALL_TIME)
            }
            () = requests.next() => Err(exit::CANCELLED),
        };
        let ended = match left_with {
            Ok(ended) => ended,
            Err(code) => {
                tell(&ids, &those_that_ended(&ids, &jobs)?, args.json)?;
                return Ok(code);
            }
        };
        tell(&ids, &ended, args.json)?;
        let failed = ended.iter().map(|(_, ending)| ending.exit_code).find(|code| *code != exit::SUCCESS);
        Ok(failed.unwrap_or(exit::SUCCESS))
    })
}

fn tell(ids: &JobIds, ended: &[(JobId, Ending)], json: bool) -> anyhow::Result<()> {
    if json {
        let object = |(id, ending): &(JobId, Ending)| EndObject {
            id: id.to_string(),
            state: ending.kind.word(),
            exit_code: ending.exit_code,
            why: ending.why.clone(),
        };
        return render::print_json(&ended.iter().map(object).collect::<Vec<_>>());
    }
    for (id, ending) in ended {
        let why = ending.why.as_ref().map(|why| format!(": {}", why.lines().next().unwrap_or_default()));
        say(&format!("{} {ending}{}", ids.short(*id), why.unwrap_or_default()));
    }
    Ok(())
}

/// One after the other: all have to end.
async fn all(client: &Client, ids: &JobIds, jobs: &[JobId]) -> anyhow::Result<Vec<(JobId, Ending)>> {
    let mut ended = Vec::with_capacity(jobs.len());
    for job in jobs.iter().copied() {
        let ending = match recorded(ids, job)? {
            Some(ending) => ending,
            None => end_of(client, job).await?,
        };
        ended.push((job, ending));
    }
    Ok(ended)
}

/// Those of them that have ended, as the records know it.
fn those_that_ended(ids: &JobIds, jobs: &[JobId]) -> anyhow::Result<Vec<(JobId, Ending)>> {
    let mut ended = Vec::new();
    for job in jobs.iter().copied() {
        ended.extend(recorded(ids, job)?.map(|ending| (job, ending)));
    }
    Ok(ended)
}

/// The end of a job that the records know already; no node is needed for that.
fn recorded(ids: &JobIds, job: JobId) -> anyhow::Result<Option<Ending>> {
    Ok(ids.record(job)?.and_then(|record| record.end).map(|end| Ending::from(&end)))
}

async fn first(client: &Client, ids: &JobIds, jobs: &[JobId]) -> anyhow::Result<Vec<(JobId, Ending)>> {
    if jobs.len() > ANY_MAX {
        let text = format!("`--any` waits for {ANY_MAX} jobs at most, and {} were named", jobs.len());
        return Err(Refusal::error(Trouble::Failed, text));
    }
    for job in jobs.iter().copied() {
        if let Some(ending) = recorded(ids, job)? {
            return Ok(vec![(job, ending)]);
        }
    }
    // Those that are not waited for any more end with the set.
    let mut waiting = JoinSet::new();
    for job in jobs.iter().copied() {
        let client = client.clone();
        waiting.spawn(async move { end_of(&client, job).await.map(|ending| (job, ending)) });
    }
    match waiting.join_next().await {
        Some(ended) => Ok(vec![ended??]),
        None => Ok(Vec::new()),
    }
}

async fn over(timeout: Option<Span>) {
    match timeout {
        Some(Span(timeout)) => tokio::time::sleep(timeout).await,
        None => pending().await,
    }
}
