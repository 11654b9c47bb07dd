//! What the submitter sends after its `SUBMIT`: the blobs that were asked for, then stdin as it comes. One task owns the
//! writing half, so that reading never waits for writing. A cancellation goes by a stream of its own, because this one
//! may be full.

use super::failure::SubmitError;
use super::packing::Source;
use crate::service::{SendFileError, send_file};
use crate::wire::{BlobHead, FrameError, FrameWriter, Tag};
use bytes::Bytes;
use potluck_runtime::Digest;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use tokio::sync::{mpsc, oneshot, watch};

/// Pieces of stdin that wait to be sent; a full queue makes the writer of stdin wait.
const STDIN_PIECES_MAX: usize = 4;

/// The job's end, seen from the writer of its stdin: what is written now is read by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job does not read its stdin any more")]
pub struct StdinClosed;

/// The writing end of a job's stdin. Dropping it is the end of stdin.
#[derive(Debug)]
pub struct JobStdin {
    pieces: mpsc::Sender<Bytes>,
}

impl JobStdin {
    /// Sends bytes; waits while the job does not read them.
    ///
    /// # Errors
    /// [`StdinClosed`] once the job has ended.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StdinClosed> {
        self.pieces.send(bytes).await.map_err(|_| StdinClosed)
    }

    /// Ends stdin.
    #[expect(clippy::unused_async, reason = "the name every writer has; nothing needs to be waited for today")]
    pub async fn close(self) {}
}

/// Stops a job. Clones stop the same job.
#[derive(Clone, Debug)]
pub struct JobCanceller {
    cancelled: watch::Sender<bool>,
}

impl JobCanceller {
    /// Asks for the job to be stopped; its end still comes.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }
}

/// How much of the blobs has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) done: u64,
    pub(super) total: u64,
}

/// What the task needs, and what the reading side keeps.
pub(super) struct Sender {
    pub(super) writer: FrameWriter,
    pub(super) sources: HashMap<Digest, Source>,
    needed: oneshot::Receiver<Vec<Digest>>,
    stdin: Option<mpsc::Receiver<Bytes>>,
    sent: watch::Sender<Sent>,
}

/// The reading side's handles.
pub(super) struct SenderHandles {
    pub(super) needed: oneshot::Sender<Vec<Digest>>,
    pub(super) stdin: Option<JobStdin>,
    pub(super) canceller: JobCanceller,
    pub(super) cancelled: watch::Receiver<bool>,
    pub(super) sent: watch::Receiver<Sent>,
}

impl Sender {
    pub(super) fn new(writer: FrameWriter, sources: HashMap<Digest, Source>, stdin: bool) -> (Self, SenderHandles) {
        let (needed_sender, needed) = oneshot::channel();
        let (pieces, stdin_receiver) = mpsc::channel(STDIN_PIECES_MAX);
        let (cancel_sender, cancelled) = watch::channel(false);
        let (sent, sent_receiver) = watch::channel(Sent::default());
        let handles = SenderHandles {
            needed: needed_sender,
            stdin: stdin.then_some(JobStdin { pieces }),
            canceller: JobCanceller { cancelled: cancel_sender },
            cancelled,
            sent: sent_receiver,
        };
        let stdin = stdin.then_some(stdin_receiver);
        (Self { writer, sources, needed, stdin, sent }, handles)
    }

    /// Sends until there is nothing more to say, then keeps the stream open until the task is ended: its end would mean
    /// that the submitter is gone.
    pub(super) async fn run(mut self) -> SubmitError {
        match self.send_all().await {
            // The reading side sees the same break and knows more of it.
            Ok(()) | Err(Failure::Write(_)) => std::future::pending().await,
            Err(Failure::Read(error)) => error,
        }
    }

    async fn send_all(&mut self) -> Result<(), Failure> {
        let Ok(needed) = (&mut self.needed).await else { return Ok(()) };
        let size = |digest: &Digest| self.sources.get(digest).map_or(0, |source| source.size);
        let mut sent = Sent { done: 0, total: needed.iter().map(size).sum() };
        for digest in needed {
            let Some(source) = self.sources.get(&digest).cloned() else {
                let why = format!("blob {} was asked for and is none of this job's", digest.short());
                return Err(Failure::Read(SubmitError::internal(&why, io::Error::from(io::ErrorKind::NotFound))));
            };
            let failed = |error| Failure::Read(SubmitError::Input { path: source.path.clone(), source: error });
            let head = BlobHead { digest, size: source.size };
            self.writer.send_message(Tag::BLOB, &head).await.map_err(Failure::Write)?;
            let file = File::open(&source.path).map_err(failed)?;
            let progress = |len| {
                sent.done += len;
                self.sent.send_replace(sent);
            };
            match send_file(&mut self.writer, file, source.size, progress).await {
                Ok(()) => {}
                Err(SendFileError::Read(error)) => return Err(failed(error)),
                Err(SendFileError::Write(error)) => return Err(Failure::Write(error)),
            }
        }
        self.writer.send_empty(Tag::BLOBS_END).await.map_err(Failure::Write)?;
        if let Some(mut stdin) = self.stdin.take() {
            while let Some(bytes) = stdin.recv().await {
                self.writer.send_bytes(Tag::STDIN, bytes).await.map_err(Failure::Write)?;
            }
            self.writer.send_empty(Tag::STDIN_END).await.map_err(Failure::Write)?;
        }
        Ok(())
    }
}

enum Failure {
    Read(SubmitError),
    Write(#[expect(dead_code, reason = "the reading side reports it")] FrameError),
}
