//! What a map came to: every task is counted once, and those that failed are listed with where to look.

use super::MapArgs;
use super::account::{Account, Counts, FAILURES_MAX, Failure, LeftBehind};
use crate::exit;
use crate::guest_words::OwnJson;
use crate::render::{self, say, tame};
use serde::Serialize;
use std::collections::BTreeMap;

/// The object of `--json`.
#[derive(Serialize)]
struct MapObject<'a> {
    #[serde(flatten)]
    counts: Counts,
    dir: String,
    /// How many tasks were done on each machine by this command.
    machines: &'a BTreeMap<String, u64>,
    /// The first of those that did not end well.
    failures: Vec<&'a Failure>,
    /// How many tasks left files that were not brought back, and the first of them.
    not_brought_back: NotBroughtBack<'a>,
    /// What the programs of its tasks say they have come to, by the names of the tasks; also of those that were done before.
    results: BTreeMap<String, OwnJson>,
}

#[derive(Serialize)]
struct NotBroughtBack<'a> {
    tasks: u64,
    first: &'a [LeftBehind],
}

/// Says it, and gives the exit code.
pub(super) fn show(account: &mut Account, args: &MapArgs) -> anyhow::Result<u8> {
    let results = if args.json { account.results()? } else { BTreeMap::new() };
    let counts = account.counts();
    let failures: Vec<&Failure> = account.failures().collect();
    for failure in &failures {
        let log = failure.log.as_ref().map(|log| format!(" ({log})")).unwrap_or_default();
        let state = failure.state.word();
        say(&format!("{} {state} with {}: {}{log}", failure.task, failure.exit_code, tame(&failure.last_line)));
    }
    let (first, tasks) = account.left_behind();
    tell_left_behind(first, tasks);
    let bad = counts.failed + counts.cancelled + counts.lost + counts.unreadable;
    if bad > FAILURES_MAX as u64 {
        say(&format!("and {} more that did not end well", bad - failures.len() as u64));
    }
    if !args.quiet || bad > 0 {
        say(&sentence(&counts));
    }
    let all_done = counts.done + counts.skipped == counts.total;
    if args.json {
        let dir = account.dir.display().to_string();
        let not_brought_back = NotBroughtBack { tasks, first };
        let machines = &account.places;
        render::print_json(&MapObject { counts, dir, machines, failures, not_brought_back, results })?;
    }
    Ok(if all_done { exit::SUCCESS } else { exit::SOME_FAILED })
}

/// What of the tasks' files could not be brought.
fn tell_left_behind(first: &[LeftBehind], tasks: u64) {
    for LeftBehind { task, count, paths } in first {
        let more = count - paths.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        say(&format!("{task}: not brought back: {}{more}", tame(&paths.join(", "))));
    }
    let others = tasks - first.len() as u64;
    if others > 0 {
        say(&format!("and {others} more tasks of whose files some were not brought back"));
    }
}

/// The account in one line.
fn sentence(counts: &Counts) -> String {
    let Counts { total, given, done, failed, cancelled, lost, skipped, unreadable, open, running } = counts;
    let mut text = format!(
        "{total} tasks: {skipped} done before, {given} given; of those {done} done, {failed} failed, {cancelled} cancelled, \
         {lost} lost"
    );
    if *running > 0 {
        text.push_str(&format!(", {running} go on at the node"));
    }
    if *unreadable > 0 {
        text.push_str(&format!("; {unreadable} unreadable"));
    }
    if *open > 0 {
        text.push_str(&format!("; {open} not given"));
    }
    text
}
