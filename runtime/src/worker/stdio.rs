//! The guest's standard streams, carried over the worker's two pipes. Both directions hold a bounded amount: a guest that
//! prints faster than it is read waits, and stdin is taken from the pipe only as fast as the guest reads it.

use super::meter::Meter;
use crate::protocol::{self, Answer, CHUNK_LEN_MAX, HEAD_LEN, PIPE_LEN, tag};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Output waiting for the pipe; as much again is being written.
const OUTPUT_LEN_MAX: usize = PIPE_LEN;
/// Input waiting for the guest.
const INPUT_LEN_MAX: usize = PIPE_LEN;
/// The most a guest may write or read at once.
const TURN_LEN_MAX: usize = 64 << 10;

/// Everything the worker says, in order.
pub(super) struct Outbox {
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
    pub(super) fn open(pipe: pipe::Sender) -> Self {
        let state = Mutex::new(OutgoingState::default());
        let shared = Arc::new(Outgoing { state, filled: Notify::new(), drained: Notify::new() });
        let writer = tokio::spawn(write_out(shared.clone(), pipe));
        Self { shared, writer }
    }

    /// Says that the guest starts.
    pub(super) fn ready(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.append(tag::READY, &[])?;
        state.last = None;
        self.shared.filled.notify_one();
        Ok(())
    }

    /// Says the last word on an order.
    pub(super) fn answer(&self, answer: &Answer) -> io::Result<()> {
        let payload = protocol::encode(answer)?;
        let mut state = self.shared.lock();
        state.append(tag::ANSWER, &payload)?;
        state.last = None;
        self.shared.filled.notify_one();
        Ok(())
    }

    /// Waits until the pipe has taken what was said, or is gone.
    pub(super) async fn written(&self) {
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
    pub(super) async fn finish(self) -> io::Result<()> {
        self.shared.lock().finished = true;
        self.shared.filled.notify_one();
        self.writer.await.map_err(io::Error::other)?
    }

    /// One of the guest's output streams.
    pub(super) fn stream(&self, tag: u8, meter: Arc<Meter>) -> GuestOutput {
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

/// The guest's stdout or stderr.
#[derive(Clone)]
pub(super) struct GuestOutput {
    shared: Arc<Outgoing>,
    tag: u8,
    meter: Arc<Meter>,
}

#[async_trait::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {
        loop {
            let drained = self.shared.drained.notified();
            {
                let state = self.shared.lock();
                if state.pending.len() < OUTPUT_LEN_MAX || state.broken {
                    return;
                }
            }
            drained.await;
        }
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

/// The guest's stdin.
#[derive(Clone, Default)]
pub(super) struct Inbox {
    shared: Arc<Incoming>,
}

#[derive(Default)]
struct Incoming {
    state: Mutex<IncomingState>,
    changed: Notify,
}

#[derive(Default)]
struct IncomingState {
    chunks: VecDeque<Bytes>,
    len: usize,
    ended: bool,
    /// Nobody will read any more.
    closed: bool,
}

impl Incoming {
    fn lock(&self) -> MutexGuard<'_, IncomingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, met: impl Fn(&IncomingState) -> bool) {
        loop {
            let changed = self.changed.notified();
            if met(&self.lock()) {
                return;
            }
            changed.await;
        }
    }
}

impl Inbox {
    /// Takes bytes for the guest, waiting while it has enough; drops them when it has ended.
    pub(super) async fn feed(&self, bytes: Bytes) {
        self.shared.wait(|state| state.len < INPUT_LEN_MAX || state.closed).await;
        {
            let mut state = self.shared.lock();
            if state.closed {
                return;
            }
            state.len += bytes.len();
            state.chunks.push_back(bytes);
        }
        self.shared.changed.notify_waiters();
    }

    /// The guest gets no more.
    pub(super) fn end(&self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_waiters();
    }

    /// The guest has ended: whatever it did not read is dropped, as is all that still comes.
    pub(super) fn close(&self) {
        {
            let mut state = self.shared.lock();
            *state = IncomingState { ended: true, closed: true, ..IncomingState::default() };
        }
        self.shared.changed.notify_waiters();
    }
}

/// The stdin of a session: that of the turn under way.
#[derive(Clone, Default)]
pub(super) struct TurnInput {
    inbox: Arc<Mutex<Inbox>>,
}

impl TurnInput {
    /// From now on the guest reads this.
    pub(super) fn switch(&self, inbox: Inbox) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = inbox;
    }

    fn inbox(&self) -> Inbox {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait::async_trait]
impl Pollable for TurnInput {
    async fn ready(&mut self) {
        self.inbox().ready().await;
    }
}

#[async_trait::async_trait]
impl InputStream for TurnInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inbox().read(size)
    }
}

impl IsTerminal for TurnInput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for TurnInput {
    /// Used by preview 3 alone, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Inbox {
    async fn ready(&mut self) {
        self.shared.wait(|state| state.len > 0 || state.ended).await;
    }
}

#[async_trait::async_trait]
impl InputStream for Inbox {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut state = self.shared.lock();
        let Some(mut chunk) = state.chunks.pop_front() else {
            return if state.ended { Err(StreamError::Closed) } else { Ok(Bytes::new()) };
        };
        let part = chunk.split_to(chunk.len().min(size).min(TURN_LEN_MAX));
        if !chunk.is_empty() {
            state.chunks.push_front(chunk);
        }
        state.len -= part.len();
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(part)
    }
}

impl IsTerminal for Inbox {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Inbox {
    /// Used by preview 3 alone, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}
