//! What a map came to: every task is counted once, and those that failed are listed with where to look.

use super::MapArgs;
use super::account::{Account, Counts, FAILURES_MAX, Failure, LeftBehind};
use crate::exit;
use crate::render::{self, say, tame};
use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Bytes of entries that are printed together.
const PRINTED_LEN: usize = 64 << 10;

/// The object of `--json`, but for its last field.
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
}

/// The name of its last field, which is written as it is read: what the programs of its tasks say they have come to, by the names
/// of the tasks; also of those that were done before.
const RESULTS: &str = "results";

#[derive(Serialize)]
struct NotBroughtBack<'a> {
    tasks: u64,
    first: &'a [LeftBehind],
}

/// Says it, and gives the exit code.
pub(super) fn show(account: &mut Account, args: &MapArgs) -> anyhow::Result<u8> {
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
        let object = serde_json::to_string(&MapObject { counts, dir, machines, failures, not_brought_back })?;
        print_object(&object, |out| account.each_result(|task, result| out.entry(task, result)))?;
    }
    Ok(if all_done { exit::SUCCESS } else { exit::SOME_FAILED })
}

/// Prints an object with one more field: the entries that are told.
fn print_object(object: &str, tell: impl FnOnce(&mut Entries) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let head = object.strip_suffix('}').context("an object ends")?;
    render::print(&format!("{head},\"{RESULTS}\":{{"))?;
    let mut entries = Entries::default();
    tell(&mut entries)?;
    entries.text.push_str("}}\n");
    render::print(&entries.text)
}

/// Entries of an object, printed before they are many.
#[derive(Default)]
struct Entries {
    text: String,
    has_any: bool,
}

impl Entries {
    fn entry(&mut self, name: &str, value: &RawValue) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.has_any, true) {
            self.text.push(',');
        }
        self.text.push_str(&serde_json::to_string(name)?);
        self.text.push(':');
        self.text.push_str(value.get());
        if self.text.len() < PRINTED_LEN {
            return Ok(());
        }
        render::print(&std::mem::take(&mut self.text))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_many_are_one_field_of_the_object() {
        let value = RawValue::from_string(format!("[{}]", "1,".repeat(PRINTED_LEN) + "1")).unwrap();
        let mut entries = Entries::default();
        entries.entry("a \"b\"", RawValue::NULL).unwrap();
        entries.entry("c", RawValue::TRUE).unwrap();
        assert_eq!(entries.text, r#""a \"b\"":null,"c":true"#);
        entries.entry("d", &value).unwrap();
        assert_eq!(entries.text, "", "no more is held than is printed together");
    }
}
