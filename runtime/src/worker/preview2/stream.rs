//! What a component writes into files by streams.

use crate::worker::meter::{LimitReached, Meter};
use crate::worker::talk::{Events, PIECE_LEN_MAX};
use bytes::Bytes;
use std::sync::Arc;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// An output stream into a file, charged to the disk limit.
pub(super) struct MeteredStream {
    inner: Box<dyn OutputStream>,
    meter: Arc<Meter>,
}

impl MeteredStream {
    pub(super) fn new(inner: Box<dyn OutputStream>, meter: Arc<Meter>) -> Self {
        meter.stream_opened();
        Self { inner, meter }
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        self.meter.stream_closed();
    }
}

fn trap(limit: LimitReached) -> StreamError {
    StreamError::Trap(limit.into())
}

#[async_trait::async_trait]
impl Pollable for MeteredStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for MeteredStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.meter.charge_disk(bytes.len() as u64).map_err(trap)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.meter.charge_disk(bytes.len() as u64).map_err(trap)?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// An output stream into the events file: what is written goes to the host at once.
pub(super) struct EventsStream {
    events: Arc<Events>,
    /// Whether it must be waited for before more is written.
    waits: bool,
}

impl EventsStream {
    pub(super) fn new(events: Arc<Events>) -> Self {
        Self { events, waits: false }
    }
}

#[async_trait::async_trait]
impl Pollable for EventsStream {
    async fn ready(&mut self) {
        if self.waits {
            self.events.room().await;
            self.waits = false;
        }
    }
}

#[async_trait::async_trait]
impl OutputStream for EventsStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.events.take(&bytes);
        self.waits = true;
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.waits { 0 } else { PIECE_LEN_MAX as usize })
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        for piece in bytes.chunks(PIECE_LEN_MAX as usize) {
            self.events.hear(piece).await;
        }
        Ok(())
    }
}
