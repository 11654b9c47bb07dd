//! What a map came to: every task is counted once, and those that failed are listed with where to look.

use super::MapArgs;
use super::account::{Account, Counts, FAILURES_MAX, Failure};
use crate::exit;
use crate::render::{self, say, tame};
use serde::Serialize;

/// The object of `--json`.
#[derive(Serialize)]
struct MapObject<'a> {
    #[serde(flatten)]
    counts: Counts,
    dir: String,
    /// How many tasks were done on each machine by this command.
    machines: &'a std::collections::BTreeMap<String, u64>,
    /// The first of those that did not end well.
    failures: Vec<&'a Failure>,
}

/// Says it, and gives the exit code.
pub(super) fn show(account: &Account, args: &MapArgs) -> anyhow::Result<u8> {
    let counts = account.counts();
    let failures: Vec<&Failure> = account.failures().collect();
    for failure in &failures {
        let log = failure.log.as_ref().map(|log| format!(" ({log})")).unwrap_or_default();
        let state = failure.state.word();
        say(&format!("{} {state} with {}: {}{log}", failure.task, failure.exit_code, tame(&failure.last_line)));
    }
    let bad = counts.failed + counts.cancelled + counts.lost;
    if bad > FAILURES_MAX as u64 {
        say(&format!("and {} more that did not end well", bad - failures.len() as u64));
    }
    if !args.quiet || bad > 0 {
        say(&sentence(&counts));
    }
    let all_done = counts.done + counts.skipped == counts.total;
    if args.json {
        let dir = account.dir.display().to_string();
        render::print_json(&MapObject { counts, dir, machines: &account.places, failures })?;
    }
    Ok(if all_done { exit::SUCCESS } else { exit::SOME_FAILED })
}

/// The account in one line.
fn sentence(counts: &Counts) -> String {
    let Counts { total, given, done, failed, cancelled, lost, skipped, open, running } = counts;
    let mut text = format!(
        "{total} tasks: {skipped} done before, {given} given; of those {done} done, {failed} failed, {cancelled} cancelled, \
         {lost} lost"
    );
    if *running > 0 {
        text.push_str(&format!(", {running} go on at the node"));
    }
    if *open > 0 {
        text.push_str(&format!("; {open} not given"));
    }
    text
}
