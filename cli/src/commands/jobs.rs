//! `potluck jobs`: the jobs this machine gave to its node, as far as they are.

use crate::exit;
use crate::guest_words::{self, OwnJson};
use crate::job_ids::JobIds;
use crate::render::{self, Table};
use crate::settings;
use crate::standing::Standing;
use clap::{Args, Subcommand};
use potluck_node::client::Client;
use potluck_node::clock::Clock;
use potluck_node::store::jobs::Role;
use potluck_node::store::jobs::history::{Filter, Listed};
use potluck_node::wire::{HomeJobs, JobId, JobNow};
use potluck_runtime::GuestProgress;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

const EXAMPLES: &str = "\
Examples:
  potluck jobs                       what waits and runs, and the 20 that ended last
  potluck jobs --all                 everything that is known
  potluck cancel $(potluck jobs -q --unended)
  potluck jobs --json | jq -r '.[] | select(.state == \"failed\") | .id'

`potluck logs ID` shows what a job says, `get ID` brings its files, `why ID` explains why it waits. An id may be shortened to
any beginning that is one job's alone.";

/// Jobs that have not ended and stand in the table unless all are asked for: a screen.
const UNENDED_MAX: usize = 50;
/// Jobs that have ended and are listed unless all are asked for.
const ENDED_MAX: usize = 20;
/// Why a job waits while its home does not run.
const NO_NODE: &str = "for the node of this machine, which does not run";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them, as without a word
    Ls(ListArgs),
}

#[derive(Args, Debug)]
struct ListArgs {
    /// All that are known: of those that ended the others as well, and in the table more than 50 that have not
    #[arg(short, long)]
    all: bool,
    /// Those alone that have not ended, and all of them
    #[arg(long)]
    unended: bool,
    /// Print ids alone, one on each line
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// A job in the list.
struct Row {
    standing: Standing,
    /// Which of its runs that is; none before the first.
    attempt: u32,
    progress: Option<GuestProgress>,
    checkpoint: Option<u64>,
    listed: Listed,
}

/// What is listed.
struct List {
    rows: Vec<Row>,
    /// Jobs that have not ended and are not listed.
    unended_left: u64,
    /// Whether there are others that have ended.
    ended_left: bool,
}

/// A job, for programs.
#[derive(Serialize)]
struct JobObject<'a> {
    id: String,
    state: &'static str,
    exit_code: Option<u8>,
    /// Why it waits again, or how it ended, in a sentence.
    why: Option<&'a str>,
    /// The machine that has it.
    place: Option<&'a str>,
    attempt: u32,
    map: Option<String>,
    task: Option<u32>,
    program: &'a str,
    args: &'a str,
    submitted_ms: u64,
    ended_ms: Option<u64>,
    keep_until_ms: Option<u64>,
    /// What the program says it has come to.
    result: Option<OwnJson>,
    /// What it has said last of how far it is.
    progress: Option<&'a GuestProgress>,
    /// What its next run would go on from.
    checkpoint: Option<CheckpointObject>,
}

#[derive(Clone, Copy, Serialize)]
struct CheckpointObject {
    size: u64,
}

pub(crate) fn execute(args: &JobsArgs) -> anyhow::Result<u8> {
    let args = match &args.action {
        Some(Action::Ls(list)) => list,
        None => &args.list,
    };
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    let home = settings::block_on(async { Ok(client.home_jobs(usize::MAX).await?) })?;
    let list = List::new(args, &client, &ids, &home)?;
    let rows = &list.rows;
    match (args.quiet, args.json) {
        (true, _) => render::print(&rows.iter().map(|row| format!("{}\n", row.listed.short)).collect::<String>())?,
        (false, true) => render::print_json(&rows.iter().map(Row::object).collect::<Vec<_>>())?,
        (false, false) if rows.is_empty() => {
            render::say("no jobs yet; `potluck run -d PROGRAM` gives one to the node of this machine");
        }
        (false, false) => render::print(&table(rows))?,
    }
    list.tell_what_is_missing(&client);
    Ok(exit::SUCCESS)
}

impl List {
    /// The newest first: those that have not ended, then the others.
    fn new(args: &ListArgs, client: &Client, ids: &JobIds, home: &HomeJobs) -> anyhow::Result<Self> {
        let mut rows = unended(client, ids, home)?;
        let unended_max = if args.all || args.unended || args.quiet || args.json { rows.len() } else { UNENDED_MAX };
        let unended_left = rows.len().saturating_sub(unended_max) as u64;
        rows.truncate(unended_max);
        if args.unended {
            return Ok(Self { rows, unended_left, ended_left: false });
        }
        let listed: HashSet<JobId> = rows.iter().map(Row::id).collect();
        let ended_max = if args.all { usize::MAX } else { ENDED_MAX };
        let limit = (!args.all).then_some(ENDED_MAX as u64 + 1);
        let filter = Filter { role: Some(Role::Sent), ended: true, limit, results: args.json, ..Filter::default() };
        let ended = ids.store().history(&filter)?;
        let ended_left = ended.len() > ended_max;
        for ended in ended.into_iter().take(ended_max).filter(|ended| !listed.contains(&ended.job.id)) {
            let Some(end) = &ended.job.end else { continue };
            rows.push(Row {
                standing: Standing::Ended(end.into()),
                attempt: ended.job.attempts,
                progress: None,
                checkpoint: None,
                listed: ended,
            });
        }
        Ok(Self { rows, unended_left, ended_left })
    }

    /// Says on stderr what the list does not have, whatever its form.
    fn tell_what_is_missing(&self, client: &Client) {
        if self.unended_left > 0 {
            render::say(&format!("{} more have not ended; `--unended` lists them all", self.unended_left));
        }
        if self.ended_left {
            render::say(&format!("of those that have ended the last {ENDED_MAX} are listed; `--all` lists all"));
        }
        let waits = self.rows.iter().any(|row| !matches!(row.standing, Standing::Ended(_)));
        if waits && !client.daemon_runs() {
            render::say(
                "no node runs on this machine, so jobs that have not ended do not go on, and how far they are is not known; \
                 `potluck up -d` starts it",
            );
        }
    }
}

/// Those that have not ended: which they are is in the records, how far they are the node says.
fn unended(client: &Client, ids: &JobIds, home: &HomeJobs) -> anyhow::Result<Vec<Row>> {
    if !client.daemon_runs() {
        let waits = |listed| Row {
            standing: Standing::Waits(Some(NO_NODE.to_owned())),
            attempt: 0,
            progress: None,
            checkpoint: None,
            listed,
        };
        return Ok(ids.unended()?.into_iter().map(waits).collect());
    }
    if home.jobs.is_empty() {
        return Ok(Vec::new());
    }
    let at_home: HashMap<JobId, &JobNow> = home.jobs.iter().map(|job| (job.job, job)).collect();
    let filter = Filter { role: Some(Role::Sent), unended: true, ..Filter::default() };
    let row = |listed: Listed| {
        let now = at_home.get(&listed.job.id)?;
        let (attempt, progress, checkpoint) = (now.attempt, now.progress.clone(), now.checkpoint);
        Some(Row { standing: Standing::from(*now), attempt, progress, checkpoint, listed })
    };
    Ok(ids.store().history(&filter)?.into_iter().filter_map(row).collect())
}

fn table(rows: &[Row]) -> String {
    let now = Clock::system().unix_now_ms();
    let mut table = Table::new(&["id", "state", "given", "program", "why"]);
    for Row { standing, progress, listed: Listed { short, job, .. }, .. } in rows {
        table.push(vec![
            short.clone(),
            with_progress(standing, progress.as_ref()),
            render::age(now.saturating_sub(job.submitted_ms)),
            job.program.clone(),
            standing.why().unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    table.render()
}

/// How far a job is, and its guest where it says so.
fn with_progress(standing: &Standing, progress: Option<&GuestProgress>) -> String {
    match progress {
        Some(progress) => format!("{standing}, {}", guest_words::progress_word(progress)),
        None => standing.to_string(),
    }
}

impl Row {
    const fn id(&self) -> JobId {
        self.listed.job.id
    }

    fn object(&self) -> JobObject<'_> {
        let record = &self.listed.job;
        let place = match &self.standing {
            Standing::Sent(place) | Standing::Runs(place) => Some(place.as_str()),
            Standing::Waits(_) => None,
            Standing::Ended(_) => record.peer.as_ref().map(|peer| peer.name.as_str()),
        };
        let exit_code = match &self.standing {
            Standing::Ended(ending) => Some(ending.exit_code),
            Standing::Waits(_) | Standing::Sent(_) | Standing::Runs(_) => None,
        };
        JobObject {
            id: self.id().to_string(),
            state: self.standing.word(),
            exit_code,
            why: self.standing.why(),
            place,
            attempt: self.attempt,
            map: record.task.map(|(map, _)| map.to_string()),
            task: record.task.map(|(_, task)| task),
            program: &record.program,
            args: &record.args,
            submitted_ms: record.submitted_ms,
            ended_ms: record.ended_ms,
            keep_until_ms: record.keep_until_ms,
            result: record.result.as_ref().map(OwnJson::from),
            progress: self.progress.as_ref(),
            checkpoint: self.checkpoint.map(|size| CheckpointObject { size }),
        }
    }
}
