//! `potluck history`: the jobs this machine gave away and those it ran for others, the newest first, or what they come to.

use crate::exit::{self, Refusal, Trouble};
use crate::guest_words::OwnJson;
use crate::quantity::{ByteSize, Fuel, Span};
use crate::records;
use crate::render::{self, Table};
use crate::settings;
use clap::{Args, ValueEnum};
use potluck_node::clock::Clock;
use potluck_node::store::jobs::history::{Filter, Listed, Statistics, Totals};
use potluck_node::store::jobs::{End, JobRecord, JobStore, Role};
use serde::Serialize;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  potluck history                                the newest jobs
  potluck history --since 1d --failed            what went wrong today
  potluck history --on attic --stats             what attic ran, in numbers
  potluck history --role ran --limit 0           all that was run here for others
  potluck history --json | jq '.[] | select(.wall_ms > 60000) | .id'

An id may be shortened to any beginning that is one job's alone. `potluck config set history_max N` and `history_days N` \
bound what is kept; `potluck rm` forgets at once.";

/// Jobs that are listed unless asked otherwise: a screen.
const LIMIT_DEFAULT: u64 = 40;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HistoryArgs {
    /// Those alone that were submitted so long ago or later
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Those alone that did not end well
    #[arg(long)]
    failed: bool,
    /// Those alone that ran there, or for that machine; `local`: here, for its owner
    #[arg(long, value_name = "PEER")]
    on: Option<String>,
    /// Those alone that this machine gave away, or that it ran for others
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleArg>,
    /// Counts, sums and medians instead of jobs
    #[arg(long)]
    stats: bool,
    /// At most so many; 0 for all [default: 40, with --stats and --json all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print JSON: an array of jobs, or one object with --stats
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    Sent,
    Ran,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Sent => Self::Sent,
            RoleArg::Ran => Self::Ran,
        }
    }
}

pub(crate) fn execute(args: &HistoryArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let store = records::open(&client)?;
    let filter = filter(args, &store)?;
    match (args.stats, args.json) {
        (true, json) => show_statistics(&store.statistics(&filter)?, json)?,
        (false, true) => {
            let jobs = store.history(&filter)?;
            render::print_json(&jobs.iter().map(|listed| JobObject::new(&listed.job)).collect::<Vec<_>>())?;
        }
        (false, false) => list(&store.history(&filter)?, filter.limit)?,
    }
    Ok(exit::SUCCESS)
}

fn filter(args: &HistoryArgs, store: &JobStore) -> anyhow::Result<Filter> {
    let now = Clock::system().unix_now_ms();
    let limit_default = if args.stats || args.json { 0 } else { LIMIT_DEFAULT };
    let mut filter = Filter {
        since_ms: args.since.map(|since| now.saturating_sub(since.milliseconds())),
        failed: args.failed,
        role: args.role.map(Role::from),
        results: args.json,
        limit: Some(args.limit.unwrap_or(limit_default)).filter(|limit| *limit > 0),
        ..Filter::default()
    };
    match args.on.as_deref() {
        None => {}
        Some("local") => filter.here = true,
        Some(name) => {
            let peers = store.peers_called(name)?;
            if peers.is_empty() {
                let text = format!("no job that is known here ran on {name} or for it");
                return Err(Refusal::error(Trouble::Failed, text));
            }
            filter.peers = Some(peers);
        }
    }
    Ok(filter)
}

fn list(jobs: &[Listed], limit: Option<u64>) -> anyhow::Result<()> {
    let mut table = Table::new(&["id", "submitted", "program", "where", "outcome", "fuel", "time"]);
    for Listed { short, submitted_local, job } in jobs {
        let ended = job.end.is_some();
        let quantity = |text: String| if ended && job.started_ms.is_some() { text } else { String::new() };
        table.push(vec![
            short.clone(),
            submitted_local.clone(),
            job.program.clone(),
            place(job),
            job.end.as_ref().map_or_else(|| unended(job).to_owned(), outcome),
            quantity(Fuel(job.fuel).to_string()),
            quantity(Span(Duration::from_millis(job.wall_ms)).to_string()),
        ]);
    }
    render::print(&table.render())?;
    if jobs.is_empty() {
        render::say("no such job is known here");
    }
    if limit.is_some_and(|limit| jobs.len() as u64 >= limit) {
        render::say("there may be more: `--limit 0` lists all, `--stats` sums up");
    }
    Ok(())
}

/// How it ended; of one that was ended from outside also by whom, where that is known.
fn outcome(end: &End) -> String {
    match end {
        End::Cancelled(why) if !why.is_empty() => format!("{end}: {}", render::tame(why)),
        end => end.to_string(),
    }
}

/// How far it is. Where a job is that waits for a machine, or is with one, `potluck jobs` says.
const fn unended(job: &JobRecord) -> &'static str {
    if job.started_ms.is_some() { "running" } else { "not ended" }
}

/// Where it ran, or for whom; empty of one that has run nowhere as far as is known.
fn place(job: &JobRecord) -> String {
    match (&job.peer, job.role) {
        (None, Role::Sent) if job.end.is_none() && job.started_ms.is_none() => String::new(),
        (None, _) => "here".to_owned(),
        (Some(peer), Role::Sent) => format!("on {}", peer.name),
        (Some(peer), Role::Ran) => format!("for {}", peer.name),
    }
}

/// A job, for programs.
#[derive(Serialize)]
pub(crate) struct JobObject {
    id: String,
    role: &'static str,
    peer: Option<PeerObject>,
    program: String,
    digest: Option<String>,
    args: String,
    submitted_ms: u64,
    started_ms: Option<u64>,
    ended_ms: Option<u64>,
    outcome: Option<EndObject>,
    fuel_used: u64,
    wall_ms: u64,
    memory_peak_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
    attempts: u32,
    /// What the program says it has come to.
    result: Option<OwnJson>,
}

#[derive(Serialize)]
struct PeerObject {
    id: String,
    name: String,
}

#[derive(Serialize)]
struct EndObject {
    word: String,
    exit_code: Option<i32>,
    why: Option<String>,
}

impl JobObject {
    pub(crate) fn new(job: &JobRecord) -> Self {
        let end = |end: &End| EndObject {
            word: end.to_string(),
            exit_code: end.exit_code(),
            why: end.why().map(str::to_owned),
        };
        Self {
            id: job.id.to_string(),
            role: job.role.word(),
            peer: job.peer.as_ref().map(|peer| PeerObject { id: peer.id.to_string(), name: peer.name.clone() }),
            program: job.program.clone(),
            digest: job.digest.map(|digest| digest.to_string()),
            args: job.args.clone(),
            submitted_ms: job.submitted_ms,
            started_ms: job.started_ms,
            ended_ms: job.ended_ms,
            outcome: job.end.as_ref().map(end),
            fuel_used: job.fuel,
            wall_ms: job.wall_ms,
            memory_peak_bytes: job.memory_peak_bytes,
            bytes_in: job.bytes_in,
            bytes_out: job.bytes_out,
            attempts: job.attempts,
            result: job.result.as_ref().map(OwnJson::from),
        }
    }
}

#[derive(Serialize)]
struct StatisticsObject {
    all: TotalsObject,
    kinds: Vec<KindObject>,
}

#[derive(Serialize)]
struct KindObject {
    role: &'static str,
    peer: Option<PeerObject>,
    program: String,
    #[serde(flatten)]
    totals: TotalsObject,
}

#[derive(Serialize)]
struct TotalsObject {
    jobs: u64,
    outcomes: std::collections::BTreeMap<&'static str, u64>,
    fuel: u64,
    fuel_median: u64,
    wall_ms: u64,
    wall_ms_median: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl TotalsObject {
    fn new(totals: &Totals) -> Self {
        Self {
            jobs: totals.jobs,
            outcomes: totals.ends.clone(),
            fuel: totals.fuel,
            fuel_median: totals.fuel_median,
            wall_ms: totals.wall_ms,
            wall_ms_median: totals.wall_ms_median,
            bytes_in: totals.bytes_in,
            bytes_out: totals.bytes_out,
        }
    }
}

fn show_statistics(statistics: &Statistics, json: bool) -> anyhow::Result<()> {
    let Statistics { all, kinds } = statistics;
    if json {
        let kinds = kinds.iter().map(|(kind, totals)| KindObject {
            role: kind.role.word(),
            peer: kind.peer.as_ref().map(|(id, name)| PeerObject { id: id.to_string(), name: name.clone() }),
            program: kind.program.clone(),
            totals: TotalsObject::new(totals),
        });
        return render::print_json(&StatisticsObject { all: TotalsObject::new(all), kinds: kinds.collect() });
    }
    let span = |ms| Span(Duration::from_millis(ms)).to_string();
    let mut text = match all.jobs {
        0 => "0 jobs\n".to_owned(),
        1 => format!("1 job: {}\n", outcomes(all)),
        count => format!("{count} jobs: {}\n", outcomes(all)),
    };
    text.push_str(&format!("fuel {} (median {}), ", Fuel(all.fuel), Fuel(all.fuel_median)));
    text.push_str(&format!("time {} (median {}), ", span(all.wall_ms), span(all.wall_ms_median)));
    text.push_str(&format!("{} in, {} out\n\n", ByteSize(all.bytes_in), ByteSize(all.bytes_out)));
    let mut table = Table::new(&["program", "where", "jobs", "outcomes", "fuel", "median", "time", "median"]);
    for (kind, totals) in kinds {
        let place = match (&kind.peer, kind.role) {
            (None, _) => "here".to_owned(),
            (Some((_, name)), Role::Sent) => format!("on {name}"),
            (Some((_, name)), Role::Ran) => format!("for {name}"),
        };
        table.push(vec![
            kind.program.clone(),
            place,
            totals.jobs.to_string(),
            outcomes(totals),
            Fuel(totals.fuel).to_string(),
            Fuel(totals.fuel_median).to_string(),
            span(totals.wall_ms),
            span(totals.wall_ms_median),
        ]);
    }
    text.push_str(&table.render());
    render::print(&text)
}

fn outcomes(totals: &Totals) -> String {
    let outcomes: Vec<String> = totals.ends.iter().map(|(word, count)| format!("{count} {word}")).collect();
    outcomes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_node::wire::JobId;

    #[test]
    fn a_job_of_which_no_run_has_begun_is_nowhere_and_does_not_run() {
        let waiting = JobRecord::begun(JobId([1; 16]), Role::Sent, "a.py", &[], 5);
        assert_eq!((unended(&waiting), place(&waiting).as_str()), ("not ended", ""));
        let running = JobRecord { started_ms: Some(6), ..waiting.clone() };
        assert_eq!((unended(&running), place(&running).as_str()), ("running", "here"));
        let ended = waiting.ended(End::Exited(0), 7);
        assert_eq!(place(&ended), "here");
    }
}
