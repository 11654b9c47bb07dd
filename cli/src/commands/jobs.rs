//! `potluck jobs`: the jobs this machine gave to its node, as far as they are.

use crate::exit;
use crate::job_ids::JobIds;
use crate::render::{self, Table};
use crate::settings;
use crate::standing::Standing;
use clap::{Args, Subcommand};
use potluck_node::client::Client;
use potluck_node::clock::Clock;
use potluck_node::store::jobs::history::Filter;
use potluck_node::store::jobs::{JobRecord, Role};
use potluck_node::wire::{HomeJobs, JobId};
use serde::Serialize;
use std::collections::HashSet;

const EXAMPLES: &str = "\
Examples:
  potluck jobs                       what waits and runs, and what ended lately
  potluck jobs --all                 everything that is known
  potluck cancel $(potluck jobs -q --unended)
  potluck jobs --json | jq -r '.[] | select(.state == \"failed\") | .id'

`potluck logs ID` shows what a job says, `get ID` brings its files, `why ID` explains why it waits. An id may be shortened to
any beginning that is one job's alone.";

/// Jobs that have not ended and are listed unless all are asked for: a screen.
const UNENDED_MAX: usize = 50;
/// Jobs that have ended and are listed unless all are asked for.
const ENDED_MAX: u64 = 20;

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
    /// All that are known, and not the newest alone
    #[arg(short, long)]
    all: bool,
    /// Those alone that have not ended
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
    id: JobId,
    standing: Standing,
    /// Which of its runs that is; none before the first.
    attempt: u32,
    record: Option<JobRecord>,
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
    program: Option<&'a str>,
    args: Option<&'a str>,
    submitted_ms: Option<u64>,
    ended_ms: Option<u64>,
    keep_until_ms: Option<u64>,
}

pub(crate) fn execute(args: &JobsArgs) -> anyhow::Result<u8> {
    let args = match &args.action {
        Some(Action::Ls(list)) => list,
        None => &args.list,
    };
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    let home = settings::block_on(async { Ok(client.home_jobs().await?) })?;
    let rows = rows(args, &ids, &home)?;
    match (args.quiet, args.json) {
        (true, _) => render::print(&rows.iter().map(|row| format!("{}\n", ids.short(row.id))).collect::<String>())?,
        (false, true) => render::print_json(&rows.iter().map(Row::object).collect::<Vec<_>>())?,
        (false, false) => list(&client, &ids, &rows, &home)?,
    }
    Ok(exit::SUCCESS)
}

/// The newest first: those that have not ended, then the others.
fn rows(args: &ListArgs, ids: &JobIds, home: &HomeJobs) -> anyhow::Result<Vec<Row>> {
    let unended_max = if args.all { usize::MAX } else { UNENDED_MAX };
    let mut rows = Vec::new();
    for job in home.jobs.iter().take(unended_max) {
        let record = ids.record(job.job)?;
        rows.push(Row { id: job.job, standing: Standing::from(job), attempt: job.attempt, record });
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.record.as_ref().map_or(u64::MAX, |record| record.submitted_ms)));
    if args.unended {
        return Ok(rows);
    }
    let limit = (!args.all).then_some(ENDED_MAX);
    let filter = Filter { role: Some(Role::Sent), ended: true, limit, ..Filter::default() };
    let listed: HashSet<JobId> = rows.iter().map(|row| row.id).collect();
    for ended in ids.store().history(&filter)?.into_iter().filter(|ended| !listed.contains(&ended.job.id)) {
        let Some(end) = &ended.job.end else { continue };
        let standing = Standing::Ended(end.into());
        rows.push(Row { id: ended.job.id, standing, attempt: ended.job.attempts, record: Some(ended.job) });
    }
    Ok(rows)
}

fn list(client: &Client, ids: &JobIds, rows: &[Row], home: &HomeJobs) -> anyhow::Result<()> {
    if rows.is_empty() {
        render::say("no jobs yet; `potluck run -d PROGRAM` gives one to the node of this machine");
        return Ok(());
    }
    let now = Clock::system().unix_now_ms();
    let mut table = Table::new(&["id", "state", "given", "program", "why"]);
    for row in rows {
        let age = |record: &JobRecord| render::age(now.saturating_sub(record.submitted_ms));
        table.push(vec![
            ids.short(row.id),
            row.standing.to_string(),
            row.record.as_ref().map_or_else(|| "now".to_owned(), age),
            row.record.as_ref().map_or_else(String::new, |record| record.program.clone()),
            row.standing.why().unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    render::print(&table.render())?;
    let shown = rows.iter().filter(|row| !matches!(row.standing, Standing::Ended(_))).count() as u64;
    if home.count > shown {
        render::say(&format!("{} more have not ended (`--all` lists up to {})", home.count - shown, home.jobs.len()));
    }
    if !client.daemon_runs() {
        render::say(
            "no node runs on this machine, so jobs that have not ended are not listed and do not go on; `potluck up -d` starts it",
        );
    }
    Ok(())
}

impl Row {
    fn object(&self) -> JobObject<'_> {
        let record = self.record.as_ref();
        let place = match &self.standing {
            Standing::Sent(place) | Standing::Runs(place) => Some(place.as_str()),
            Standing::Waits(_) => None,
            Standing::Ended(_) => record.and_then(|record| record.peer.as_ref()).map(|peer| peer.name.as_str()),
        };
        let exit_code = match &self.standing {
            Standing::Ended(ending) => Some(ending.exit_code),
            Standing::Waits(_) | Standing::Sent(_) | Standing::Runs(_) => None,
        };
        let task = record.and_then(|record| record.task);
        JobObject {
            id: self.id.to_string(),
            state: self.standing.word(),
            exit_code,
            why: self.standing.why(),
            place,
            attempt: self.attempt,
            map: task.map(|(map, _)| map.to_string()),
            task: task.map(|(_, task)| task),
            program: record.map(|record| record.program.as_str()),
            args: record.map(|record| record.args.as_str()),
            submitted_ms: record.map(|record| record.submitted_ms),
            ended_ms: record.and_then(|record| record.ended_ms),
            keep_until_ms: record.and_then(|record| record.keep_until_ms),
        }
    }
}
