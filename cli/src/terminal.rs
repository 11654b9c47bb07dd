//! The terminal a person types into. Lines are read from it only while somebody wants one, so that what is typed ahead is
//! not lost; its modes are given back whatever happens.

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io;
use std::time::Duration;

/// The most bytes of a line that are read at once; a terminal's longest line in Linux.
const LINE_LEN_MAX: usize = 4096;
/// How often the terminal is looked at while a line is awaited: quicker than a person notices, and no thread is left in a
/// read when nobody awaits it any more.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// The modes of the terminal at stdin, which are set again when this is dropped: an editor that is left in the middle of a
/// line leaves it raw.
pub(crate) struct Modes {
    before: Option<Termios>,
}

impl Modes {
    /// Those of now.
    pub(crate) fn keep() -> Self {
        Self { before: tcgetattr(io::stdin()).ok() }
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone has no modes.
            let _gone = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// The next line that the terminal at stdin gives, as it edits lines, with its end; or a piece of a long one. `None` after
/// Ctrl-D, and when the terminal is gone. Dropping the future loses nothing.
pub(crate) async fn next_line() -> Option<Bytes> {
    while !has_line() {
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    let mut line = [0; LINE_LEN_MAX];
    match rustix::io::read(io::stdin(), &mut line) {
        Ok(0) | Err(_) => None,
        Ok(len) => Some(Bytes::copy_from_slice(&line[..len])),
    }
}

/// Whether a read would not wait.
fn has_line() -> bool {
    let stdin = io::stdin();
    let mut waited_for = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut waited_for, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
