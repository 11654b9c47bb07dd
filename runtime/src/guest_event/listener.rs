//! Takes what a guest writes into its events file, cut anywhere, and says what of it is to be passed on, and when. Pure: time
//! comes in as how long the run has taken.
//!
//! 1. At most one line, one progress, one result and the figures below are held, whatever is written.
//! 2. What is passed on of a run is bounded: words and results by [`EVENTS_MAX`] and [`EVENTS_LEN_MAX`], progress by its pace,
//!    which grows with the run's time, so that it comes to a few thousand in a day.
//! 3. The last progress and the last result get through, also beyond the bounds.

use super::line::{self, Said};
use super::{GuestEvent, GuestLog, GuestProgress, JsonText, LogLevel};
use potluck_guest::abi::{EVENT_LEN_MAX, EVENTS_LEN_MAX, EVENTS_MAX, PROGRESS_PER_SECOND};
use std::fmt::Display;
use std::time::Duration;

/// Between two of a run's progresses at least this part of its time so far.
const PROGRESS_PART: u32 = 1000;
/// Bytes of a reason that is told.
const WHY_LEN_MAX: usize = 200;

/// What is heard, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// To be passed on.
    Event(GuestEvent),
    /// The guest's state is in this file now; or nothing holds it any more.
    Checkpoint(Option<String>),
}

/// Listens to one run.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The line that is coming is too long, and passed over.
    is_too_long: bool,
    /// Whether a line that is none was told of.
    has_warned: bool,
    /// Words and results that were passed on.
    count: u64,
    /// Bytes of their lines.
    len: usize,
    /// Whether it was told that no more is passed on.
    is_full: bool,
    /// What waits for its time.
    progress: Option<GuestProgress>,
    /// When progress may be passed on again.
    progress_from: Duration,
    /// A result beyond what is passed on.
    result: Option<JsonText>,
}

impl Listener {
    /// The guest writes this.
    pub(crate) fn hear(&mut self, mut bytes: &[u8], at: Duration) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.gather(&bytes[..end], &mut heard);
            self.end_line(at, &mut heard);
            bytes = &bytes[end + 1..];
        }
        self.gather(bytes, &mut heard);
        heard
    }

    /// When what waits is due, if something does.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.progress.as_ref().map(|_| self.progress_from)
    }

    /// What has waited until now.
    pub(crate) fn take_due(&mut self, at: Duration) -> Option<GuestEvent> {
        if at < self.progress_from {
            return None;
        }
        let progress = self.progress.take()?;
        self.progress_from = at + pause(at);
        Some(GuestEvent::Progress(progress))
    }

    /// The guest writes no more. A last line may lack its end.
    pub(crate) fn finish(&mut self, at: Duration) -> Vec<Heard> {
        let mut heard = Vec::new();
        self.end_line(at, &mut heard);
        heard.extend(self.progress.take().map(|progress| Heard::Event(GuestEvent::Progress(progress))));
        heard.extend(self.result.take().map(|result| Heard::Event(GuestEvent::Result(result))));
        heard
    }

    fn gather(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) {
        if self.is_too_long {
            return;
        }
        // With its newline.
        if self.line.len() + bytes.len() >= EVENT_LEN_MAX {
            self.line = Vec::new();
            self.is_too_long = true;
            self.warn(&format_args!("it is longer than {EVENT_LEN_MAX} bytes"), heard);
            return;
        }
        self.line.extend_from_slice(bytes);
    }

    fn end_line(&mut self, at: Duration, heard: &mut Vec<Heard>) {
        if std::mem::take(&mut self.is_too_long) {
            return;
        }
        let line = std::mem::take(&mut self.line);
        if line.trim_ascii().is_empty() {
            return;
        }
        match line::read(&line) {
            Ok(Said::Event(event)) => self.said(event, line.len(), at, heard),
            Ok(Said::Checkpoint(file)) => heard.push(Heard::Checkpoint(file)),
            Err(why) => self.warn(&why, heard),
        }
    }

    fn said(&mut self, event: GuestEvent, len: usize, at: Duration, heard: &mut Vec<Heard>) {
        if let GuestEvent::Progress(progress) = event {
            self.progress = Some(progress);
            heard.extend(self.take_due(at).map(Heard::Event));
            return;
        }
        if self.has_room(len) {
            (self.count, self.len) = (self.count + 1, self.len + len);
            if matches!(event, GuestEvent::Result(_)) {
                self.result = None;
            }
            heard.push(Heard::Event(event));
            return;
        }
        if !std::mem::replace(&mut self.is_full, true) {
            heard.push(warning("no more of what this run logs is passed on: it is too much".to_owned()));
        }
        if let GuestEvent::Result(result) = event {
            self.result = Some(result);
        }
    }

    const fn has_room(&self, len: usize) -> bool {
        !self.is_full && self.count < EVENTS_MAX && self.len + len <= EVENTS_LEN_MAX
    }

    fn warn(&mut self, why: &impl Display, heard: &mut Vec<Heard>) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let why: String = why.to_string().chars().take(WHY_LEN_MAX).collect();
            heard.push(warning(format!("a line in the events file is no event: {why}")));
        }
    }
}

/// Between a progress at this time and the next.
fn pause(at: Duration) -> Duration {
    (Duration::from_secs(1) / PROGRESS_PER_SECOND).max(at / PROGRESS_PART)
}

fn warning(message: String) -> Heard {
    Heard::Event(GuestEvent::Log(GuestLog { level: LogLevel::Warn, message, fields: None }))
}

#[cfg(test)]
mod tests;
