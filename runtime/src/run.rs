//! One run, seen from the node's side, whatever backend drives it. Nothing is collected here; a slow reader of [`RunEvents`]
//! slows the guest, and a guest that does not read slows the writer of [`RunStdin`].

mod worker;

pub(crate) use worker::{BACKSTOP, Back, attach, open_stdin};

use crate::docker::{ContainerCanceller, ContainerEvents};
use crate::guest_event::GuestEvent;
use crate::outcome::Report;
use crate::outputs::Outputs;
use crate::protocol::CHUNK_LEN_MAX;
use bytes::Bytes;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;
use worker::{WorkerCanceller, WorkerEvents};

/// Chunks of stdin on the way to the guest; with [`CHUNK_LEN_MAX`] this bounds them at 1 MiB.
const STDIN_CHUNKS_MAX: usize = 4;
/// A guest that runs. Dropping `events` (or the whole) ends it and removes its directories.
pub struct Run {
    /// The guest's standard input.
    pub stdin: RunStdin,
    /// What it prints, and how it ends.
    pub events: RunEvents,
    /// Ends it early.
    pub canceller: Canceller,
}

/// The guest's standard input; dropping it is the end of input.
pub struct RunStdin {
    chunks: mpsc::Sender<Bytes>,
    /// How many bytes were handed over, counted before the guest can have them.
    sent: Arc<AtomicU64>,
}

impl RunStdin {
    /// The stdin of a guest, and the end from which its backend takes it.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (chunks, receiver) = mpsc::channel(STDIN_CHUNKS_MAX);
        (Self { chunks, sent: Arc::default() }, receiver)
    }

    /// Hands bytes to the guest, waiting while it does not read.
    ///
    /// # Errors
    /// `BrokenPipe` when the guest has ended.
    pub async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK_LEN_MAX));
            let place = self.chunks.reserve().await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            place.send(chunk);
        }
        Ok(())
    }

    /// How many bytes were handed over so far; nothing to be asked once this is dropped.
    pub(crate) fn sent(&self) -> Weak<AtomicU64> {
        Arc::downgrade(&self.sent)
    }

    /// Ends the guest's input.
    #[expect(clippy::unused_async, reason = "closing is part of the stream's contract and may come to wait")]
    pub async fn close(self) {
        drop(self);
    }
}

/// Which stream of the guest bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What happens in a run, in order.
pub enum RunEvent {
    /// The guest printed something.
    Output {
        /// Where.
        stream: OutputStream,
        /// What; never empty.
        bytes: Bytes,
    },
    /// The guest said something of itself.
    Said(GuestEvent),
    /// The guest keeps its state, so that another run can go on from it.
    Checkpoint(CheckpointPart),
    /// The run is over; nothing follows.
    Ended {
        /// How it ended.
        report: Report,
        /// What it left in its working directory.
        outputs: Outputs,
    },
}

/// A checkpoint as it comes. It is whole when all of it has come; until then, and for ever if it does not come whole, the
/// one before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointPart {
    /// One begins, of so many bytes: at most [`CHECKPOINT_LEN_MAX`](crate::CHECKPOINT_LEN_MAX). What has come of another that is not whole is of no use.
    Begins {
        /// How many.
        len: u64,
    },
    /// The next of its bytes.
    Bytes(Bytes),
    /// The guest forgets those it gave.
    Forgotten,
}

/// The events of a run.
pub struct RunEvents(Driver);

/// What drives a run.
enum Driver {
    Worker(Box<WorkerEvents>),
    Container(ContainerEvents),
}

impl RunEvents {
    pub(crate) fn of_worker(events: WorkerEvents) -> Self {
        Self(Driver::Worker(Box::new(events)))
    }

    pub(crate) fn of_container(events: ContainerEvents) -> Self {
        Self(Driver::Container(events))
    }

    /// The next event; after [`RunEvent::Ended`] it never returns. Dropping the future loses nothing.
    pub async fn next(&mut self) -> RunEvent {
        match &mut self.0 {
            Driver::Worker(events) => events.next().await,
            Driver::Container(events) => events.next().await,
        }
    }
}

/// Ends a run. Cancelling one that has ended does nothing.
#[derive(Clone)]
pub struct Canceller(Brake);

/// What ends a run, by what drives it.
#[derive(Clone)]
enum Brake {
    Worker(WorkerCanceller),
    Container(ContainerCanceller),
}

impl Canceller {
    pub(crate) fn of_worker(canceller: WorkerCanceller) -> Self {
        Self(Brake::Worker(canceller))
    }

    pub(crate) fn of_container(canceller: ContainerCanceller) -> Self {
        Self(Brake::Container(canceller))
    }

    /// Asks a guest to end that can be asked, and ends it when it has not after
    /// [`CANCEL_GRACE_MS`](potluck_guest::abi::CANCEL_GRACE_MS); any other is ended at once, as is one that was asked before.
    /// A program of WebAssembly can be asked once it has opened the control file, one in a container always is, by `SIGTERM`.
    /// The run ends as [`Outcome::Cancelled`](crate::Outcome::Cancelled) unless it had already ended. Must be called within a
    /// Tokio runtime.
    pub fn cancel(&self) {
        match &self.0 {
            Brake::Worker(canceller) => canceller.cancel(),
            Brake::Container(canceller) => canceller.cancel(),
        }
    }

    /// Ends the guest at once; the run ends as [`Outcome::Cancelled`](crate::Outcome::Cancelled) unless it had already ended.
    pub fn end(&self) {
        match &self.0 {
            Brake::Worker(canceller) => canceller.end(),
            Brake::Container(canceller) => canceller.end(),
        }
    }

    /// Whether the guest was asked to end and did, so that what it left is whole.
    #[must_use]
    pub fn was_heeded(&self) -> bool {
        match &self.0 {
            Brake::Worker(canceller) => canceller.was_heeded(),
            Brake::Container(canceller) => canceller.was_heeded(),
        }
    }

    /// Waits until a container of the run is removed; at once where it runs in none.
    pub async fn without_container(&self) {
        match &self.0 {
            Brake::Worker(_) => {}
            Brake::Container(canceller) => canceller.gone().await,
        }
    }

    /// The process in which the guest runs, as long as it does; none of a container, whose processes are the engine's.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        match &self.0 {
            Brake::Worker(canceller) => canceller.process(),
            Brake::Container(_) => None,
        }
    }
}
