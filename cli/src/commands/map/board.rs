//! How far a map is, on stderr: a bar with rate and estimate in a terminal, a line now and then elsewhere.

use super::account::{Account, Counts};
use crate::progress::Manner;
use crate::render::{say, tame};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How often a line is written where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(30);
/// Machines that are counted by name in the bar: those that did most.
const PLACES_MAX: usize = 5;

/// Shows one map.
pub(super) struct Board {
    manner: Manner,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Board {
    pub(super) fn new(manner: Manner, total: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {per_sec} eta {eta} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = (manner == Manner::Bar).then(|| ProgressBar::new(total).with_style(style));
        Self { manner, bar, last_line: Instant::now() }
    }

    /// Shows where the map stands now.
    pub(super) fn show(&mut self, account: &Account) {
        let counts = account.counts();
        let ended = counts.total - counts.open - counts.running;
        if let Some(bar) = &self.bar {
            bar.set_message(details(&counts, account));
            bar.set_position(ended);
        } else if self.manner == Manner::Lines && self.last_line.elapsed() >= LINE_PERIOD {
            self.last_line = Instant::now();
            say(&format!("{ended} of {} tasks: {}", counts.total, details(&counts, account)));
        }
    }

    /// A sentence beside the bar.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    /// Nothing more is shown.
    pub(super) fn finish(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// How many were done and failed, and where.
fn details(counts: &Counts, account: &Account) -> String {
    let mut places: Vec<(&String, &u64)> = account.places.iter().collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let named = places.iter().take(PLACES_MAX).map(|(name, count)| format!("{} {count}", tame(name)));
    let bad = counts.failed + counts.lost + counts.cancelled;
    let head = format!("{} done, {bad} not", counts.done + counts.skipped);
    std::iter::once(head).chain(named).collect::<Vec<_>>().join(" | ")
}
