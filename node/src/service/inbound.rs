//! What the submitter says while its job is here. Frames are taken in order; a little is read ahead, so that the
//! end of the stream is noticed while the job is not ready for what came before.

use super::Stop;
use crate::wire::{Fault, FaultCode, Frame, FrameError, FrameReader};
use std::collections::VecDeque;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes read ahead at most, plus one frame. Beyond this a stopped job makes its submitter wait.
const AHEAD_LEN_MAX: usize = 1 << 20;
/// Frames read ahead at most, so that empty ones are bounded too.
const AHEAD_FRAMES_MAX: usize = 1024;
/// How long we wait for the other side to have read the last frame before the stream is let go.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The submitter's side of a job's stream.
pub(super) struct Inbound {
    /// None where nobody speaks.
    reader: Option<FrameReader>,
    ahead: VecDeque<Frame>,
    ahead_len: usize,
    /// Cancelled when the submitter wants the job stopped, which it says on another stream.
    cancelled: CancellationToken,
}

impl Inbound {
    pub(super) fn new(reader: FrameReader) -> Self {
        Self { reader: Some(reader), ahead: VecDeque::new(), ahead_len: 0, cancelled: CancellationToken::new() }
    }

    /// What nobody says about a job that needs nobody; it can only be cancelled.
    pub(super) fn of_nobody(cancelled: CancellationToken) -> Self {
        Self { reader: None, ahead: VecDeque::new(), ahead_len: 0, cancelled }
    }

    /// Makes every wait end when this token is cancelled.
    pub(super) fn heed(&mut self, cancelled: CancellationToken) {
        self.cancelled = cancelled;
    }

    /// The next frame. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Frame, Stop> {
        if self.cancelled.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        if let Some(frame) = self.ahead.pop_front() {
            self.ahead_len -= frame.payload.len();
            return Ok(frame);
        }
        self.read().await
    }

    /// Waits until the submitter cancels or is gone. What else it says is kept for [`Inbound::next`].
    pub(super) async fn interrupted(&mut self) -> Stop {
        loop {
            if self.ahead_len >= AHEAD_LEN_MAX || self.ahead.len() >= AHEAD_FRAMES_MAX {
                self.cancelled.cancelled().await;
                return Stop::Cancelled;
            }
            match self.read().await {
                Ok(frame) => {
                    self.ahead_len += frame.payload.len();
                    self.ahead.push_back(frame);
                }
                Err(stop) => return stop,
            }
        }
    }

    /// Waits until the submitter has closed its side, which it does after reading ours to the end. Bounded.
    pub(super) async fn until_closed(&mut self) {
        let Some(reader) = &mut self.reader else { return };
        let closed = async { while matches!(reader.next().await, Ok(Some(_))) {} };
        // A submitter that keeps its side open for longer loses nothing but the stream.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    }

    async fn read(&mut self) -> Result<Frame, Stop> {
        let next = async {
            match &mut self.reader {
                Some(reader) => reader.next().await,
                None => std::future::pending().await,
            }
        };
        let frame = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Err(Stop::Cancelled),
            frame = next => frame,
        };
        match frame {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) | Err(FrameError::Io(_) | FrameError::Truncated) => Err(Stop::Gone),
            Err(error) => Err(Fault::new(FaultCode::BAD_MESSAGE, error.to_string()).into()),
        }
    }
}

/// The refusal of a frame that does not belong where it came.
pub(super) fn out_of_place(frame: &Frame, wanted: &str) -> Stop {
    Fault::new(FaultCode::BAD_MESSAGE, format!("{} frame arrived where {wanted} was due", frame.tag)).into()
}
