//! What people read: tables, sentences about errors, ages. stdout is results and stderr is talk; what comes from other
//! machines never carries a control character to the terminal.

use crate::exit::{Refusal, Trouble};
use anyhow::Context;
use serde::Serialize;
use std::io::{self, Write};

/// Rows under headings, each column as wide as its widest cell.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// One more row; a cell for each heading.
    pub(crate) fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headings.len(), "a row has a cell for each heading");
        self.rows.push(cells.iter().map(|cell| tame(cell)).collect());
    }

    /// The lines of the table, each ended.
    pub(crate) fn render(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(|heading| heading.to_uppercase()).collect();
        let lines = || std::iter::once(&headings).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let mut text = String::new();
        for row in lines() {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// One or more lines on stderr, each with Potluck's prefix. A stderr that is gone is no trouble.
pub(crate) fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    for line in text.lines() {
        // Nobody is left to be told when stderr is closed.
        let _gone = writeln!(stderr, "potluck: {}", tame(line));
    }
}

/// Text on stdout.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Refusal::error(Trouble::ReaderGone, "nobody reads the output any more"))
        }
        Err(error) => Err(error).context("cannot write to stdout"),
    }
}

/// One JSON value on one line of stdout.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(value).context("cannot write the result as JSON")?;
    text.push('\n');
    print(&text)
}

/// An error and its causes in one sentence; a cause that was already said is not repeated.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.split('\n').map(tame).collect::<Vec<_>>().join("\n")
}

/// Text without control characters.
pub(crate) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// How long ago something was.
pub(crate) fn age(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        0..=2 => "now".to_owned(),
        seconds @ 3..=119 => format!("{seconds}s ago"),
        seconds @ 120..=7199 => format!("{}m ago", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h ago", seconds / 3600),
        seconds => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_lines_have_no_trailing_space() {
        let mut table = Table::new(&["name", "cores"]);
        table.push(vec!["attic".into(), "8".into()]);
        table.push(vec!["Zoë's-old-laptop".into(), String::new()]);
        assert_eq!(table.render(), "NAME              CORES\nattic             8\nZoë's-old-laptop\n");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let mut table = Table::new(&["name"]);
        table.push(vec!["a\u{1b}[2Jb\n".into()]);
        assert_eq!(table.render(), "NAME\na\u{fffd}[2Jb\u{fffd}\n");
    }

    #[test]
    fn an_error_is_one_sentence_that_says_each_cause_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read x.py").context("cannot run x.py");
        assert_eq!(sentence(&error), "cannot run x.py: cannot read x.py: no such file");
        let error = anyhow::anyhow!("no such file").context("cannot read x.py: no such file");
        assert_eq!(sentence(&error), "cannot read x.py: no such file");
    }

    #[test]
    fn ages_are_coarse() {
        let ages: Vec<String> = [0, 5_000, 150_000, 7_300_000, 200_000_000].into_iter().map(age).collect();
        assert_eq!(ages, ["now", "5s ago", "2m ago", "2h ago", "2d ago"]);
    }
}
