//! The keyboard, read on a thread of its own, since a read blocks and a look at the node must not wait for it.

use ratatui::crossterm::event::{Event, poll, read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};

/// How long a read may be under way when nobody listens any more.
const POLL: Duration = Duration::from_millis(50);
/// Keys that wait to be taken.
const WAITING_MAX: usize = 64;

/// What is typed, and changes of the terminal's size.
pub(super) struct Keyboard {
    events: Receiver<Event>,
    over: Arc<AtomicBool>,
}

impl Keyboard {
    /// Listens until this is dropped.
    pub(super) fn open() -> Self {
        let (sender, events) = channel(WAITING_MAX);
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                match poll(POLL) {
                    Ok(false) => {}
                    Ok(true) => {
                        let Ok(event) = read() else { return };
                        if sender.blocking_send(event).is_err() {
                            return;
                        }
                    }
                    // The terminal is gone.
                    Err(_) => return,
                }
            }
        });
        Self { events, over }
    }

    /// The next event; nothing when the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
