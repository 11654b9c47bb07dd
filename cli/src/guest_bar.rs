//! How far a guest says that it is, as a bar on stderr: only in a terminal, and never in the middle of what the guest prints.
//! Whatever is written to the terminal goes through here, so that the bar is out of its way. Clones are the same bar.

use crate::guest_words::{progress_text, share};
use crate::progress::Manner;
use indicatif::{ProgressBar, ProgressStyle};
use potluck_runtime::{GuestProgress, OutputStream};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Parts of a bar.
const PARTS: u64 = 1000;
/// The bar is drawn again after output no sooner than this, so that a guest that prints much is not held up.
const REDRAW: Duration = Duration::from_millis(100);

/// The bar of one guest, if one is to be seen.
#[derive(Clone)]
pub(crate) struct GuestBar {
    /// None where nobody sees it.
    state: Option<Arc<Mutex<State>>>,
}

struct State {
    bar: Option<ProgressBar>,
    progress: Option<GuestProgress>,
    drawn: Instant,
    /// What was written last has not ended its line.
    within_line: bool,
}

impl GuestBar {
    /// A bar where that suits.
    pub(crate) fn new(manner: Manner) -> Self {
        let state = State { bar: None, progress: None, drawn: Instant::now(), within_line: false };
        Self { state: (manner == Manner::Bar).then(|| Arc::new(Mutex::new(state))) }
    }

    /// None.
    pub(crate) const fn none() -> Self {
        Self { state: None }
    }

    /// The guest is so far.
    pub(crate) fn show(&self, progress: GuestProgress) {
        if let Some(mut state) = self.lock() {
            state.progress = Some(progress);
            state.draw();
        }
    }

    /// Writes what the guest prints, which may be seen in the same terminal.
    pub(crate) fn beside(
        &self,
        stream: OutputStream,
        bytes: &[u8],
        write: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let is_seen = match stream {
            OutputStream::Stdout => io::stdout().is_terminal(),
            OutputStream::Stderr => io::stderr().is_terminal(),
        };
        let Some(mut state) = self.lock().filter(|_| is_seen) else { return write() };
        state.hide();
        let written = write();
        state.within_line = bytes.last().is_some_and(|byte| *byte != b'\n');
        if state.drawn.elapsed() >= REDRAW {
            state.draw();
        }
        written
    }

    /// Writes a line of its own to stderr. A stderr that is gone is no trouble.
    pub(crate) fn line(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        match self.lock() {
            Some(mut state) => {
                state.hide();
                let before = if std::mem::take(&mut state.within_line) { "\n" } else { "" };
                let _gone = writeln!(stderr, "{before}{text}");
                drop(stderr);
                state.draw();
            }
            None => drop(writeln!(stderr, "{text}")),
        }
    }

    /// Nothing is shown any more.
    pub(crate) fn finish(&self) {
        if let Some(mut state) = self.lock() {
            state.hide();
            state.progress = None;
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn hide(&mut self) {
        self.bar.take().iter().for_each(ProgressBar::finish_and_clear);
    }

    fn draw(&mut self) {
        let Some(progress) = self.progress.as_ref().filter(|_| !self.within_line) else { return };
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
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
