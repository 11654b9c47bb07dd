//! `potluck why`: what each machine is to a job, and what would change it.

use crate::exit;
use crate::job_ids::JobIds;
use crate::reasons::MachineObject;
use crate::render::{self, tame};
use crate::settings;
use crate::standing::{Ending, Standing};
use clap::Args;
use potluck_node::client::{Client, HomeEvent};
use potluck_node::wire::{FollowJob, JobId, WhyLine};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  potluck why 3fa9c1                             a line for each machine
  potluck why 3fa9c1 --json | jq -r '.machines[] | select(.change) | .name'

Of a job that has ended it says how.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WhyArgs {
    /// Which job, by any beginning of its id that is its alone
    #[arg(value_name = "ID")]
    id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct WhyObject<'a> {
    id: String,
    state: &'static str,
    why: Option<&'a str>,
    machines: Vec<MachineObject<'a>>,
}

pub(crate) fn execute(args: &WhyArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        let job = ids.find(&args.id).await?;
        let (standing, lines) = match ids.record(job)?.and_then(|record| record.end) {
            Some(end) => (Standing::Ended(Ending::from(&end)), Vec::new()),
            None => (standing(&client, job).await?, client.why(job).await?),
        };
        if args.json {
            return render::print_json(&object(job, &standing, &lines));
        }
        let mut text = String::new();
        lines.iter().for_each(|line| text.push_str(&format!("{}\n", MachineObject::from(line))));
        if lines.is_empty() || standing.why().is_some() {
            let why = standing.why().map(|why| format!(": {why}")).unwrap_or_default();
            text.push_str(&tame(&format!("{} is {standing}{why}", ids.short(job))));
            text.push('\n');
        }
        render::print(&text)
    })?;
    Ok(exit::SUCCESS)
}

/// How the job stands now.
async fn standing(client: &Client, job: JobId) -> anyhow::Result<Standing> {
    let mut following = client.follow(FollowJob { job, output: false, now: true }).await?;
    let mut standing = Standing::Waits(None);
    while let Some(event) = following.next().await? {
        if let HomeEvent::Job(now) = event {
            standing = Standing::from(&now);
        }
    }
    Ok(standing)
}

fn object<'a>(job: JobId, standing: &'a Standing, lines: &'a [WhyLine]) -> WhyObject<'a> {
    WhyObject {
        id: job.to_string(),
        state: standing.word(),
        why: standing.why(),
        machines: lines.iter().map(MachineObject::from).collect(),
    }
}
