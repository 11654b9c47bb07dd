//! What is shown on stderr while a job is on its way to its start: a bar or a clock in a terminal, one line at the
//! start and one at the end elsewhere, nothing when asked to be quiet. Nothing short is worth a line, except that
//! something was fetched to this machine.

use crate::quantity::Span;
use crate::render::{say, tame};
use indicatif::{ProgressBar, ProgressStyle};
use potluck_node::wire;
use potluck_runtime::{Stage, Watch};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What takes less than this is not mentioned.
const WORTH_MENTIONING: Duration = Duration::from_millis(700);
/// How often the clock of a bar moves.
const TICK: Duration = Duration::from_millis(120);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A bar that is redrawn.
    Bar,
    /// Lines that stay.
    Lines,
    /// Not at all.
    Silent,
}

impl Manner {
    /// What suits the stderr of this process.
    pub(crate) fn suitable(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Silent,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// Shows one activity at a time.
pub(crate) struct Progress {
    manner: Manner,
    current: Mutex<Option<Activity>>,
}

struct Activity {
    what: String,
    start: Instant,
    /// It has been on screen, so its end is too.
    shown: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) const fn new(manner: Manner) -> Self {
        Self { manner, current: Mutex::new(None) }
    }

    /// So many bytes of something are through.
    pub(crate) fn bytes(&self, what: &str, done: u64, total: Option<u64>) {
        self.transfer(what, WORTH_MENTIONING, done, total);
    }

    /// So many bytes of an environment have come to this machine, which is said however quick it was.
    fn fetched(&self, what: &str, done: u64, total: Option<u64>) {
        self.transfer(&format!("fetching {what}"), Duration::ZERO, done, total);
    }

    fn transfer(&self, what: &str, worth: Duration, done: u64, total: Option<u64>) {
        self.update(what, Duration::ZERO, worth, |bar| {
            if let Some(total) = total.filter(|total| *total > 0) {
                bar.set_length(total);
                bar.set_style(style("{msg} {bar:24} {bytes}/{total_bytes} {elapsed}"));
            }
            bar.set_position(done);
        });
    }

    /// Something has taken so long.
    pub(crate) fn elapsed(&self, what: &str, elapsed: Duration) {
        self.update(what, elapsed, WORTH_MENTIONING, |_| {});
    }

    /// A sentence for whoever sits at a terminal, which says no more than they could ask for.
    pub(crate) fn remark(&self, text: &str) {
        if self.manner == Manner::Bar {
            self.finish();
            say(text);
        }
    }

    /// The activity, if there was one, has ended.
    pub(crate) fn finish(&self) {
        let ended = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(activity) = ended {
            activity.end();
        }
    }

    /// The activity has come to nothing, which is said elsewhere.
    pub(crate) fn abandon(&self) {
        let ended = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = ended.and_then(|activity| activity.bar) {
            bar.finish_and_clear();
        }
    }

    /// What a node says of the job.
    pub(crate) fn wire_stage(&self, stage: &wire::Stage) {
        match stage {
            wire::Stage::Fetching { what, done, total } => self.fetched(what, *done, *total),
            wire::Stage::Compiling { what, elapsed_ms } => {
                self.elapsed(&format!("compiling {what} (once)"), Duration::from_millis(*elapsed_ms));
            }
            wire::Stage::Warming { what, elapsed_ms } => {
                self.elapsed(&format!("making the image {what} (once)"), Duration::from_millis(*elapsed_ms));
            }
            // Worth mentioning at once: nothing more is heard until a place is free.
            wire::Stage::Waiting { .. } => self.elapsed("waiting for a free place", WORTH_MENTIONING),
            wire::Stage::Ready => self.finish(),
        }
    }

    /// One more sign of an activity, which is mentioned once it has taken as long as `worth`.
    fn update(&self, what: &str, elapsed: Duration, worth: Duration, draw: impl FnOnce(&ProgressBar)) {
        if self.manner == Manner::Silent {
            return;
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = current.take_if(|activity| activity.what != what) {
            other.end();
        }
        let activity = current.get_or_insert_with(|| Activity::new(what, elapsed));
        if !activity.shown && activity.start.elapsed() >= worth {
            activity.show(self.manner);
        }
        if let Some(bar) = &activity.bar {
            draw(bar);
        }
    }
}

impl Watch for Progress {
    fn stage(&self, stage: Stage) {
        match stage {
            Stage::Fetching { what, done, total } => self.fetched(&what, done, total),
            Stage::Compiling { what, elapsed_ms } => {
                self.elapsed(&format!("compiling {what} (once)"), Duration::from_millis(elapsed_ms));
            }
            Stage::Warming { what, elapsed_ms } => {
                self.elapsed(&format!("making the image {what} (once)"), Duration::from_millis(elapsed_ms));
            }
            Stage::Ready => self.finish(),
        }
    }
}

impl Activity {
    fn new(what: &str, elapsed: Duration) -> Self {
        let now = Instant::now();
        Self { what: what.to_owned(), start: now.checked_sub(elapsed).unwrap_or(now), shown: false, bar: None }
    }

    fn show(&mut self, manner: Manner) {
        self.shown = true;
        let what = tame(&self.what);
        if manner == Manner::Bar {
            let bar = ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}"));
            bar.set_message(format!("potluck: {what}"));
            bar.enable_steady_tick(TICK);
            self.bar = Some(bar);
        } else {
            say(&format!("{what} ..."));
        }
    }

    fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        if self.shown {
            say(&format!("{}: done in {}", tame(&self.what), Span(self.start.elapsed())));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
