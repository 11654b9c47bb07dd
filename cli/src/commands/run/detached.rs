//! `potluck run -d`: the job is the node's from now on, and its id is all that is printed.

use super::{Line, RunArgs, StdinChoice, refusal};
use crate::exit::{self, Refusal, Trouble};
use crate::job_ids::JobIds;
use crate::signals::EndRequests;
use crate::{background, render, settings};
use potluck_node::client::{Client, Parcel, Submission, Wish};
use potluck_node::state::needs::Requirements;
use potluck_node::wire::{CancelJobs, JobId};
use serde::Serialize;

/// The object of `--json`.
#[derive(Serialize)]
struct GivenObject {
    id: String,
    /// The beginning of the id that tells it from all others here.
    short: String,
}

/// Gives the job to the node, which is started if none runs.
pub(super) async fn give(args: &RunArgs, line: &Line) -> anyhow::Result<u8> {
    let refuse = |text: &str| Err(Refusal::error(Trouble::Failed, text));
    if args.stdin == StdinChoice::Inherit {
        return refuse("nobody is there to type for a job with `-d`: put its input into a file and say `-f FILE`");
    }
    if args.outputs.is_some() {
        return refuse(
            "a job with `-d` keeps its files until they are fetched: leave `-o` out, `potluck get ID -o DIR` brings them",
        );
    }
    let mut requests = EndRequests::listen()?;
    let client = settings::client()?;
    // What is wrong with it is said before a node is started for it.
    args.wish.wish(line.on.as_deref())?;
    let submission = args.program.submission(&client, &line.program, line.args.clone(), args.quiet).await?;
    let parcel = parcel(&client, submission).await?;
    background::ensure(&client, args.quiet).await?;
    let wanted = args.wish.resolved(&client, line.on.as_deref()).await?;
    let job = hand_over(&client, parcel, &wanted, &mut requests).await?;
    print(&client, job, args.json)?;
    Ok(exit::SUCCESS)
}

/// Reads a job that is to be given.
pub(super) async fn parcel(client: &Client, submission: Submission) -> anyhow::Result<Parcel> {
    client.parcel(submission).await.map_err(refusal)
}

/// Gives one job to the node; who asks for the end meanwhile has none of it.
pub(in crate::commands) async fn hand_over(
    client: &Client,
    parcel: Parcel,
    (wish, requirements): &(Wish, Requirements),
    requests: &mut EndRequests,
) -> anyhow::Result<JobId> {
    let job = parcel.id();
    tokio::select! {
        given = client.give(None, vec![parcel], wish, requirements) => given?,
        () = requests.next() => {
            client.cancel_jobs(&CancelJobs { jobs: vec![job], batch: None, now: true }).await?;
            return Err(Refusal::error(Trouble::Cancelled, "cancelled before the job was accepted"));
        }
    }
    Ok(job)
}

/// Prints the id of a job that was given.
pub(in crate::commands) fn print(client: &Client, job: JobId, json: bool) -> anyhow::Result<()> {
    let short = JobIds::open(client)?.short(job);
    if json {
        return render::print_json(&GivenObject { id: job.to_string(), short });
    }
    render::print(&format!("{short}\n"))
}
