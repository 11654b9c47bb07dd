//! The signals by which a user or the system asks a command to end: Ctrl-C, `kill`, a terminal that closes.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for requests to end.
pub(crate) struct EndRequests {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl EndRequests {
    /// From now on such a signal no longer ends the process by itself.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let open = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: open(SignalKind::interrupt())?,
            terminate: open(SignalKind::terminate())?,
            hang_up: open(SignalKind::hangup())?,
        })
    }

    /// The next request to end, whatever it is.
    pub(crate) async fn next(&mut self) {
        self.next_asked().await;
    }

    /// The next request, for whoever goes on after Ctrl-C.
    pub(crate) async fn next_asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::End,
            _ = self.hang_up.recv() => Asked::End,
        }
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// The end of the process.
    End,
}
