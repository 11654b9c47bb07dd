//! The stdin of a session: that of the turn under way. Once in each wait for it the parent is told.

use super::inbox::Inbox;
use super::outbox::{Outbox, Teller};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncRead;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamResult};

/// The stdin of a session: that of the turn under way.
#[derive(Clone)]
pub(in crate::worker) struct TurnInput {
    inbox: Arc<Mutex<Inbox>>,
    teller: Teller,
}

impl TurnInput {
    pub(in crate::worker) fn new(inbox: Inbox, outbox: &Outbox) -> Self {
        Self { inbox: Arc::new(Mutex::new(inbox)), teller: outbox.teller() }
    }

    /// From now on the guest reads this.
    pub(in crate::worker) fn switch(&self, inbox: Inbox) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = inbox;
    }

    fn inbox(&self) -> Inbox {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait::async_trait]
impl Pollable for TurnInput {
    async fn ready(&mut self) {
        let mut inbox = self.inbox();
        if let Some(received) = inbox.want() {
            self.teller.input_wanted(received);
        }
        inbox.ready().await;
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
