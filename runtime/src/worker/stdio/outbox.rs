//! What a worker says: its answers and the guest's output, one ordered stream of frames. A guest that prints faster than it
//! is read waits; what waits for the pipe is bounded.

use super::TURN_LEN_MAX;
use crate::guest_event::GuestEvent;
use crate::protocol::{self, Answer, CHUNK_LEN_MAX, HEAD_LEN, PIPE_LEN, tag};
use crate::worker::meter::Meter;
use bytes::Bytes;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Output waiting for the pipe; as much again is being written.
const OUTPUT_LEN_MAX: usize = PIPE_LEN;

/// Everything the worker says, in order.
pub(in crate::worker) struct Outbox {
    shared: Arc<Outgoing>,
    writer: JoinHandle<io::Result<()>>,
}

struct Outgoing {
    state: Mutex<OutgoingState>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct OutgoingState {
    pending: Vec<u8>,
    /// The tag and offset of the last frame in `pending`, which may still grow.
    last: Option<(u8, usize)>,
    finished: bool,
    broken: bool,
    /// Whether the pipe has taken all but what is pending.
    idle: bool,
}

impl Outgoing {
    /// Adds a frame of its own.
    fn say(&self, tag: u8, payload: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.last = None;
        state.append(tag, payload)?;
        state.last = None;
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until there is room for more, or nobody reads.
    async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.pending.len() < OUTPUT_LEN_MAX || state.broken {
                    return;
                }
            }
            drained.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutgoingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutgoingState {
    fn append(&mut self, tag: u8, bytes: &[u8]) -> io::Result<()> {
        if let Some((_, at)) = self.last.filter(|(last, _)| *last == tag) {
            let len = self.pending.len() - at - HEAD_LEN + bytes.len();
            if len <= CHUNK_LEN_MAX {
                self.pending[at..at + HEAD_LEN].copy_from_slice(&protocol::head(tag, len)?);
                self.pending.extend_from_slice(bytes);
                return Ok(());
            }
        }
        self.last = Some((tag, self.pending.len()));
        self.pending.extend_from_slice(&protocol::head(tag, bytes.len())?);
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

impl Outbox {
    pub(in crate::worker) fn open(pipe: pipe::Sender) -> Self {
        let state = Mutex::new(OutgoingState::default());
        let shared = Arc::new(Outgoing { state, filled: Notify::new(), drained: Notify::new() });
        let writer = tokio::spawn(write_out(shared.clone(), pipe));
        Self { shared, writer }
    }

    /// Says that the guest starts.
    pub(in crate::worker) fn ready(&self) -> io::Result<()> {
        self.shared.say(tag::READY, &[])
    }

    /// Says the last word on an order.
    pub(in crate::worker) fn answer(&self, answer: &Answer) -> io::Result<()> {
        self.shared.say(tag::ANSWER, &protocol::encode(answer)?)
    }

    /// Waits until the pipe has taken what was said, or is gone.
    pub(in crate::worker) async fn written(&self) {
        loop {
            let drained = self.shared.drained.notified();
            {
                let state = self.shared.lock();
                if state.idle && state.pending.is_empty() || state.broken {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Waits until all that was said is written.
    pub(in crate::worker) async fn finish(self) -> io::Result<()> {
        self.shared.lock().finished = true;
        self.shared.filled.notify_one();
        self.writer.await.map_err(io::Error::other)?
    }

    /// Who says in the order of the guest's output what is none of it.
    pub(in crate::worker) fn teller(&self) -> Teller {
        Teller { shared: self.shared.clone() }
    }

    /// One of the guest's output streams.
    pub(in crate::worker) fn stream(&self, tag: u8, meter: Arc<Meter>) -> GuestOutput {
        GuestOutput { shared: self.shared.clone(), tag, meter }
    }
}

async fn write_out(shared: Arc<Outgoing>, mut pipe: pipe::Sender) -> io::Result<()> {
    let mut batch = Vec::new();
    loop {
        let finished = {
            let mut state = shared.lock();
            std::mem::swap(&mut state.pending, &mut batch);
            state.last = None;
            state.idle = batch.is_empty();
            state.finished
        };
        shared.drained.notify_waiters();
        if batch.is_empty() {
            if finished {
                return Ok(());
            }
            shared.filled.notified().await;
            continue;
        }
        if let Err(error) = pipe.write_all(&batch).await {
            shared.lock().broken = true;
            shared.drained.notify_waiters();
            return Err(error);
        }
        batch.clear();
    }
}

/// Says in the order of the guest's output what is none of it.
#[derive(Clone)]
pub(in crate::worker) struct Teller {
    shared: Arc<Outgoing>,
}

impl Teller {
    /// The guest has read all of the turn's stdin that came, which were so many bytes, and waits for more.
    pub(super) fn input_wanted(&self, received: u64) {
        if let Err(error) = self.shared.say(tag::INPUT_WANTED, &received.to_le_bytes()) {
            tracing::debug!(%error, "the parent hears of no wait for input");
        }
    }

    /// The guest has said this of itself.
    pub(in crate::worker) fn said(&self, event: &GuestEvent) {
        let said = protocol::encode(event).and_then(|payload| self.shared.say(tag::SAID, &payload));
        if let Err(error) = said {
            tracing::debug!(%error, "the parent does not hear what the guest says");
        }
    }

    /// The guest gives a checkpoint, of which so many bytes follow, or forgets what it gave.
    pub(in crate::worker) fn checkpoint(&self, len: Option<u64>) {
        let said = protocol::encode(&len).and_then(|payload| self.shared.say(tag::CHECKPOINT, &payload));
        if let Err(error) = said {
            tracing::debug!(%error, "the parent hears of no checkpoint");
        }
    }

    /// Bytes of the checkpoint; no more than fit into a frame.
    pub(in crate::worker) fn checkpoint_part(&self, bytes: &[u8]) {
        if let Err(error) = self.shared.say(tag::CHECKPOINT_PART, bytes) {
            tracing::debug!(%error, "the parent hears nothing of a checkpoint");
        }
    }

    /// The guest has opened the control file.
    pub(in crate::worker) fn heeds(&self) {
        if let Err(error) = self.shared.say(tag::HEEDS, &[]) {
            tracing::debug!(%error, "the parent does not hear that the guest may be asked");
        }
    }

    /// Waits until there is room for more.
    pub(in crate::worker) async fn room(&self) {
        self.shared.room().await;
    }
}

/// The guest's stdout or stderr.
#[derive(Clone)]
pub(in crate::worker) struct GuestOutput {
    shared: Arc<Outgoing>,
    tag: u8,
    meter: Arc<Meter>,
}

#[async_trait::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {
        self.shared.room().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let (allowed, refused) = self.meter.charge_output(bytes.len());
        if allowed > 0 {
            self.shared.lock().append(self.tag, &bytes[..allowed]).map_err(|error| StreamError::Trap(error.into()))?;
            self.shared.filled.notify_one();
        }
        refused.map_or(Ok(()), |limit| Err(StreamError::Trap(limit.into())))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.shared.lock();
        if state.broken {
            return Err(StreamError::Closed);
        }
        Ok(if state.pending.len() < OUTPUT_LEN_MAX { TURN_LEN_MAX } else { 0 })
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    /// Used by preview 3 alone, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}
