//! How a turn is interrupted: its number goes to the worker over a pipe, where a thread of its own reads it; whoever waits
//! for the turn's end is told as well, because a guest may not look.

use crate::handed::Handed;
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// The pipe to a session's worker, and which turn runs.
pub(super) struct Interrupts {
    reader: File,
    writer: File,
    /// The number of the turn that runs; 0 for none.
    turn: AtomicU64,
    /// The last turn somebody wanted to end.
    asked: watch::Sender<u64>,
}

impl Interrupts {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        // A full pipe holds thousands of interrupts; one more need not wait.
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (reader, writer) = pipe_with(flags)?;
        let (reader, writer) = (File::from(reader), File::from(writer));
        Ok(Arc::new(Self { reader, writer, turn: AtomicU64::new(0), asked: watch::Sender::new(0) }))
    }

    /// Where the worker reads.
    pub(super) fn handed(&self) -> io::Result<Handed> {
        Handed::to_read(&self.reader)
    }

    /// This turn runs from now on.
    pub(super) fn begin(&self, number: u64) {
        self.turn.store(number, Ordering::Release);
    }

    /// None runs.
    pub(super) fn end(&self) {
        self.turn.store(0, Ordering::Release);
    }

    /// Waits until somebody wants this turn to end.
    pub(super) async fn asked(&self, number: u64) {
        let mut asked = self.asked.subscribe();
        if asked.wait_for(|asked| *asked == number).await.is_err() {
            // The sender is ours.
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn interrupter(self: &Arc<Self>) -> Interrupter {
        Interrupter { interrupts: self.clone() }
    }
}

/// Interrupts the turns of one session, as Ctrl-C does.
#[derive(Clone)]
pub struct Interrupter {
    interrupts: Arc<Interrupts>,
}

impl Interrupter {
    /// Interrupts the turn that runs, if one does: in Python it raises `KeyboardInterrupt`. A turn that does not end upon
    /// it, because it is in the midst of a long calculation of a library, is ended and undone.
    pub fn interrupt(&self) {
        let number = self.interrupts.turn.load(Ordering::Acquire);
        if number == 0 {
            return;
        }
        if let Err(error) = (&self.interrupts.writer).write_all(&number.to_le_bytes()) {
            tracing::debug!(%error, "the worker hears no interrupt");
        }
        self.interrupts.asked.send_replace(number);
    }
}
