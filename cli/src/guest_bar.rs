//! How far a guest says that it is, as a bar on stderr: only in a terminal, and never in the middle of what the guest prints.
//! Whatever is written to the terminal goes through here, so that the bar is out of its way. It belongs to the thread that
//! writes: a terminal that is stopped holds up nobody else.

use crate::guest_words::{progress_text, share};
use crate::progress::Manner;
use indicatif::{ProgressBar, ProgressStyle};
use potluck_runtime::{GuestProgress, OutputStream};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Parts of a bar.
const PARTS: u64 = 1000;
/// The bar is drawn again after output no sooner than this, so that a guest that prints much is not held up.
pub(crate) const REDRAW: Duration = Duration::from_millis(100);

/// The bar of one guest, if one is to be seen, and whether the line is ended that it would stand in.
pub(crate) struct GuestBar {
    is_seen: bool,
    bar: Option<ProgressBar>,
    progress: Option<GuestProgress>,
    drawn: Instant,
    /// What was written last where stderr goes has not ended its line.
    within_line: bool,
}

impl GuestBar {
    /// A bar where that suits.
    pub(crate) fn new(manner: Manner) -> Self {
        let is_seen = manner == Manner::Bar;
        Self { is_seen, bar: None, progress: None, drawn: Instant::now(), within_line: false }
    }

    /// None.
    pub(crate) fn none() -> Self {
        Self::new(Manner::Silent)
    }

    /// The guest is so far; or nothing is shown any more.
    pub(crate) fn show(&mut self, progress: Option<GuestProgress>) {
        self.progress = progress;
        match self.progress {
            Some(_) => self.draw(),
            None => self.hide(),
        }
    }

    /// Writes what the guest prints, which may be seen where stderr is.
    pub(crate) fn beside(
        &mut self,
        stream: OutputStream,
        bytes: &[u8],
        write: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let is_seen = match stream {
            OutputStream::Stdout => io::stdout().is_terminal() && io::stderr().is_terminal(),
            OutputStream::Stderr => true,
        };
        if !is_seen {
            return write();
        }
        self.hide();
        let written = write();
        self.within_line = bytes.last().is_some_and(|byte| *byte != b'\n');
        if self.drawn.elapsed() >= REDRAW {
            self.draw();
        }
        written
    }

    /// Writes a line of its own to stderr. A stderr that is gone is no trouble.
    pub(crate) fn line(&mut self, text: &str) {
        self.hide();
        let before = self.before_line();
        let _gone = writeln!(io::stderr().lock(), "{before}{text}");
        self.draw();
    }

    /// Whether there is something to be drawn that output has hidden.
    pub(crate) fn is_hidden(&self) -> bool {
        self.is_seen && self.bar.is_none() && self.progress.is_some() && !self.within_line
    }

    /// Draws how far the guest is, unless that would break a line.
    pub(crate) fn draw(&mut self) {
        let Some(progress) = self.progress.as_ref().filter(|_| self.is_seen && !self.within_line) else { return };
        self.drawn = Instant::now();
        let bar = self.bar.get_or_insert_with(|| ProgressBar::new(PARTS).with_message(progress_text(progress)));
        match share(progress) {
            Some(share) => {
                bar.set_style(style("{bar:24} {msg}"));
                // From 0 to the number of parts, so that the cast loses a fraction alone.
                bar.set_position((share * PARTS as f64) as u64);
            }
            None => bar.set_style(style("{spinner} {msg}")),
        }
        bar.set_message(progress_text(progress));
        bar.tick();
    }

    /// What ends the line that the guest has begun.
    fn before_line(&mut self) -> &'static str {
        if std::mem::take(&mut self.within_line) { "\n" } else { "" }
    }

    fn hide(&mut self) {
        self.bar.take().iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_its_own_begins_where_the_guest_has_ended_one() {
        for manner in [Manner::Silent, Manner::Lines] {
            let mut bar = GuestBar::new(manner);
            let mut before = |text: &[u8]| {
                bar.beside(OutputStream::Stderr, text, || Ok(())).unwrap();
                bar.before_line()
            };
            assert_eq!([b"abc".as_slice(), b"abc\n", b"\n"].map(&mut before), ["\n", "", ""]);
        }
    }
}
