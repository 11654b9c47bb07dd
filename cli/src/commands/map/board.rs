//! How far a map is, on stderr: a bar in a terminal, a line now and then elsewhere; in both the rate and how long the rest takes
//! at that, and of each machine what it did, how fast, and its share of the rest. Only tasks that ended while this command
//! looked on count for that: what was done before says nothing of how fast it goes.

use super::account::{Account, Counts};
use crate::progress::Manner;
use crate::quantity::Span;
use crate::render::{say, tame};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a line is written where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(30);
/// Machines that are counted by name in the bar: those that did most.
const PLACES_MAX: usize = 5;

/// How often the node is asked how far each task is.
const TASKS_PERIOD: Duration = Duration::from_secs(1);
/// Tasks that are named in the bar.
const TASKS_MAX: usize = 4;

/// Shows one map.
pub(super) struct Board {
    manner: Manner,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
    /// How far the tasks are that run and say so.
    tasks: Vec<String>,
    tasks_seen: Instant,
}

impl Board {
    pub(super) fn new(manner: Manner, total: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = (manner == Manner::Bar).then(|| ProgressBar::new(total).with_style(style));
        let began = Instant::now();
        Self { manner, bar, began, last_line: began, tasks: Vec::new(), tasks_seen: began }
    }

    /// Shows where the map stands now.
    pub(super) fn show(&mut self, account: &Account) {
        let counts = account.counts();
        let ended = counts.total - counts.open - counts.running;
        if let Some(bar) = &self.bar {
            let mut message = details(&counts, &account.places, self.began.elapsed());
            if !self.tasks.is_empty() {
                message.push_str(&format!(" | {}", tame(&self.tasks.join(", "))));
            }
            bar.set_message(message);
            bar.set_position(ended);
        } else if self.manner == Manner::Lines && self.last_line.elapsed() >= LINE_PERIOD {
            self.last_line = Instant::now();
            say(&format!(
                "{ended} of {} tasks: {}",
                counts.total,
                details(&counts, &account.places, self.began.elapsed())
            ));
        }
    }

    /// Whether it is time to ask how far each task is.
    pub(super) fn wants_tasks(&self) -> bool {
        self.bar.is_some() && self.tasks_seen.elapsed() >= TASKS_PERIOD
    }

    /// So far are those tasks that run and say so.
    pub(super) fn tasks_are(&mut self, mut tasks: Vec<String>) {
        tasks.truncate(TASKS_MAX);
        (self.tasks, self.tasks_seen) = (tasks, Instant::now());
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

/// How many were done and failed, how fast, how long the rest takes, and what each machine does.
fn details(counts: &Counts, places: &BTreeMap<String, u64>, passed: Duration) -> String {
    let ended = counts.done + counts.failed + counts.cancelled + counts.lost;
    let left = counts.open + counts.running;
    let bad = counts.failed + counts.lost + counts.cancelled + counts.unreadable;
    let head = format!("{} done, {bad} not", counts.done + counts.skipped);
    let pace = (ended > 0).then(|| format!("{}, {} for the rest", rate(ended, passed), time_for(left, ended, passed)));
    let all: u64 = places.values().sum();
    let mut busiest: Vec<(&String, u64)> = places.iter().map(|(name, count)| (name, *count)).collect();
    busiest.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = busiest.iter().take(PLACES_MAX).map(|(name, count)| {
        let share = left.saturating_mul(*count) / all.max(1);
        format!("{} {count} ({}, {share} of the rest)", tame(name), rate(*count, passed))
    });
    std::iter::once(head).chain(pace).chain(named).collect::<Vec<_>>().join(" | ")
}

/// How long so many more tasks take if they go on as these did, to the second.
fn time_for(left: u64, ended: u64, passed: Duration) -> Span {
    let ms = u128::from(left) * passed.as_millis() / u128::from(ended.max(1));
    Span(Duration::from_secs(u64::try_from(ms / 1000).unwrap_or(u64::MAX)))
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
    fn the_rest_is_estimated_from_what_ended_here_and_shared_as_it_was() {
        let places = BTreeMap::from([("attic".to_owned(), 300), ("desk".to_owned(), 100)]);
        // Nine tenths were done before: they say nothing of how fast it goes.
        let counts = Counts { total: 10_000, skipped: 9_000, done: 400, open: 500, running: 100, ..Counts::default() };
        let text = details(&counts, &places, Duration::from_secs(100));
        assert_eq!(
            text,
            "9400 done, 0 not | 4/s, 2m30s for the rest | attic 300 (3/s, 450 of the rest) | desk 100 (1/s, 150 of the rest)"
        );
        let none = Counts { total: 2, skipped: 1, open: 1, ..Counts::default() };
        assert_eq!(details(&none, &BTreeMap::new(), Duration::ZERO), "1 done, 0 not");
    }

    #[test]
    fn a_rate_is_told_by_the_second_or_where_that_is_little_by_the_minute() {
        let of = |count, seconds| rate(count, Duration::from_secs(seconds));
        assert_eq!(
            [of(0, 0), of(3, 60), of(59, 60), of(60, 60), of(900, 60)],
            ["0/min", "3/min", "59/min", "1/s", "15/s"]
        );
    }
}
