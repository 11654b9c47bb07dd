//! One run, seen from the node's side: the three ends of a worker process. Nothing is collected here; a slow reader of
//! [`RunEvents`] slows the guest, and a guest that does not read slows the writer of [`RunStdin`].

use crate::limits::{LimitHit, LimitKind};
use crate::outcome::{Outcome, Report};
use crate::outputs::Outputs;
use crate::protocol::{self, Answer, CHUNK_LEN_MAX, FrameReader, tag};
use crate::worker_process::{Exit, Worker};
use crate::workspace::Workspace;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How long after its wall time a worker may still be silent before it is killed.
const BACKSTOP: Duration = Duration::from_secs(2);
/// Chunks of stdin on the way to the worker; with [`CHUNK_LEN_MAX`] this bounds them at 1 MiB.
const STDIN_CHUNKS_MAX: usize = 4;

/// A guest that runs. Dropping `events` (or the whole) kills the worker and removes its directories.
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
}

impl RunStdin {
    /// Hands bytes to the guest, waiting while it does not read.
    ///
    /// # Errors
    /// `BrokenPipe` when the guest has ended.
    pub async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK_LEN_MAX));
            self.chunks.send(chunk).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
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
    /// The run is over; nothing follows.
    Ended {
        /// How it ended.
        report: Report,
        /// What it left in its working directory.
        outputs: Outputs,
    },
}

/// The events of a run.
pub struct RunEvents {
    frames: FrameReader<ChildStdout>,
    worker: Worker,
    workspace: Option<Arc<Workspace>>,
    started: Instant,
    wall: Duration,
    /// Until when the worker's next word is waited for; kept while a caller asks, gives up and asks again.
    patience: Option<Instant>,
}

impl RunEvents {
    /// The next event; after [`RunEvent::Ended`] it never returns. Dropping the future loses nothing.
    pub async fn next(&mut self) -> RunEvent {
        let Some(workspace) = self.workspace.clone() else { return std::future::pending().await };
        let report = loop {
            let deadline = self.started + self.wall + BACKSTOP;
            let patience = *self.patience.get_or_insert_with(|| deadline.max(Instant::now() + BACKSTOP));
            let frame = tokio::select! {
                // What has arrived counts, however late it is asked for.
                biased;
                frame = self.frames.next() => frame,
                () = tokio::time::sleep_until(patience) => {
                    self.worker.kill();
                    break self.overdue();
                }
            };
            self.patience = None;
            match frame {
                Ok(Some((tag::STDOUT, bytes))) if !bytes.is_empty() => {
                    return RunEvent::Output { stream: OutputStream::Stdout, bytes };
                }
                Ok(Some((tag::STDERR, bytes))) if !bytes.is_empty() => {
                    return RunEvent::Output { stream: OutputStream::Stderr, bytes };
                }
                Ok(Some((tag::ANSWER, payload))) => match protocol::decode(&payload) {
                    Ok(Answer::Report(report)) => break report,
                    Ok(Answer::Failed(why) | Answer::CodeUnusable(why)) => break self.lost(why),
                    Ok(Answer::Made(_) | Answer::Refused(_)) | Err(_) => {
                        break self.lost("the worker gave an answer that is none".to_owned());
                    }
                },
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break self.vanished().await,
            }
        };
        // The directories are read only once nobody writes to them.
        self.worker.kill();
        self.worker.exited().await;
        self.workspace = None;
        RunEvent::Ended { report, outputs: Outputs::new(workspace) }
    }

    async fn vanished(&mut self) -> Report {
        let exit = self.worker.exited().await;
        if self.worker.is_cancelled() {
            return self.report(Outcome::Cancelled);
        }
        self.lost(exit.explain())
    }

    fn overdue(&self) -> Report {
        let used = self.elapsed_ms();
        let allowed = u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX);
        self.report(Outcome::Limit(LimitHit { kind: LimitKind::WallTime, used, allowed }))
    }

    fn lost(&self, why: String) -> Report {
        self.report(Outcome::Lost(why))
    }

    fn report(&self, outcome: Outcome) -> Report {
        Report { outcome, fuel_used: 0, wall_ms: self.elapsed_ms(), memory_peak_bytes: 0 }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for RunEvents {
    fn drop(&mut self) {
        self.worker.kill();
    }
}

/// Ends a run at once. Cancelling one that has ended does nothing.
#[derive(Clone)]
pub struct Canceller {
    worker: Worker,
}

impl Canceller {
    /// Kills the worker; the run ends as [`Outcome::Cancelled`] unless it had already ended.
    pub fn cancel(&self) {
        self.worker.cancel();
    }
}

/// Ties the ends of a worker that has said it is ready together.
pub(crate) fn attach(
    worker: Worker,
    stdin: ChildStdin,
    frames: FrameReader<ChildStdout>,
    workspace: Arc<Workspace>,
    wall: Duration,
) -> Run {
    let (chunks, receiver) = mpsc::channel(STDIN_CHUNKS_MAX);
    tokio::spawn(pump(stdin, receiver, worker.exit_watch()));
    let canceller = Canceller { worker: worker.clone() };
    let events =
        RunEvents { frames, worker, workspace: Some(workspace), started: Instant::now(), wall, patience: None };
    Run { stdin: RunStdin { chunks }, events, canceller }
}

/// Carries stdin to the worker. The pipe stays open to the end, because the worker takes its closing for our death.
async fn pump(mut stdin: ChildStdin, mut chunks: mpsc::Receiver<Bytes>, mut exit: watch::Receiver<Option<Exit>>) {
    let forward = async {
        while let Some(chunk) = chunks.recv().await {
            stdin.write_all(&protocol::head(tag::STDIN, chunk.len())?).await?;
            stdin.write_all(&chunk).await?;
        }
        stdin.write_all(&protocol::head(tag::STDIN_END, 0)?).await
    };
    let result: io::Result<()> = tokio::select! {
        result = forward => result,
        _ = exit.wait_for(Option::is_some) => return,
    };
    if result.is_ok() {
        // A closed watch means that the worker is gone as well.
        let _gone = exit.wait_for(Option::is_some).await;
    }
}
