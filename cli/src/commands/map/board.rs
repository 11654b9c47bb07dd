//! How far a map is, on stderr: a bar with rate and estimate in a terminal, a line now and then elsewhere; in both how much each
//! machine does.

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
    began: Instant,
    last_line: Instant,
}

impl Board {
    pub(super) fn new(manner: Manner, total: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {per_sec} eta {eta} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = (manner == Manner::Bar).then(|| ProgressBar::new(total).with_style(style));
        let began = Instant::now();
        Self { manner, bar, began, last_line: began }
    }

    /// Shows where the map stands now.
    pub(super) fn show(&mut self, account: &Account) {
        let counts = account.counts();
        let ended = counts.total - counts.open - counts.running;
        if let Some(bar) = &self.bar {
            bar.set_message(details(&counts, account, self.began.elapsed()));
            bar.set_position(ended);
        } else if self.manner == Manner::Lines && self.last_line.elapsed() >= LINE_PERIOD {
            self.last_line = Instant::now();
            say(&format!("{ended} of {} tasks: {}", counts.total, details(&counts, account, self.began.elapsed())));
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

/// How many were done and failed, and where and how fast.
fn details(counts: &Counts, account: &Account, passed: Duration) -> String {
    let mut places: Vec<(&String, u64)> = account.places.iter().map(|(name, count)| (name, *count)).collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = places.iter().take(PLACES_MAX);
    let named = named.map(|(name, count)| format!("{} {count} ({})", tame(name), rate(*count, passed)));
    let bad = counts.failed + counts.lost + counts.cancelled;
    let head = format!("{} done, {bad} not", counts.done + counts.skipped);
    std::iter::once(head).chain(named).collect::<Vec<_>>().join(" | ")
}

/// Tasks of this command in a second, or in a minute where they are few.
fn rate(count: u64, passed: Duration) -> String {
    let per_minute = u128::from(count) * 60_000 / passed.as_millis().max(1);
    if per_minute < 60 { format!("{per_minute}/min") } else { format!("{}/s", per_minute / 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_by_the_second_or_where_that_is_little_by_the_minute() {
        let of = |count, seconds| rate(count, Duration::from_secs(seconds));
        assert_eq!(
            [of(0, 0), of(3, 60), of(59, 60), of(60, 60), of(900, 60)],
            ["0/min", "3/min", "59/min", "1/s", "15/s"]
        );
    }
}
