//! The guest's stdin: what has come of it and was not read yet, which is bounded.

use super::TURN_LEN_MAX;
use crate::protocol::PIPE_LEN;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncRead;
use tokio::sync::Notify;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// Input waiting for the guest.
const INPUT_LEN_MAX: usize = PIPE_LEN;

/// The guest's stdin.
#[derive(Clone, Default)]
pub(in crate::worker) struct Inbox {
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
    /// All bytes that have come.
    received: u64,
    /// How many had come when it was last told that the guest waits for more.
    told: Option<u64>,
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
    pub(in crate::worker) async fn feed(&self, bytes: Bytes) {
        self.shared.wait(|state| state.len < INPUT_LEN_MAX || state.closed).await;
        {
            let mut state = self.shared.lock();
            if state.closed {
                return;
            }
            state.len += bytes.len();
            state.received += bytes.len() as u64;
            state.chunks.push_back(bytes);
        }
        self.shared.changed.notify_waiters();
    }

    /// How many bytes have come, if all of them were read, more may come, and that was not told yet.
    pub(super) fn want(&self) -> Option<u64> {
        let mut state = self.shared.lock();
        let received = Some(state.received);
        if state.len > 0 || state.ended || state.told == received {
            return None;
        }
        state.told = received;
        received
    }

    /// The guest gets no more.
    pub(in crate::worker) fn end(&self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_waiters();
    }

    /// The guest has ended: whatever it did not read is dropped, as is all that still comes.
    pub(in crate::worker) fn close(&self) {
        {
            let mut state = self.shared.lock();
            *state = IncomingState { ended: true, closed: true, ..IncomingState::default() };
        }
        self.shared.changed.notify_waiters();
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
