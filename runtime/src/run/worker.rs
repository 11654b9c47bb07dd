//! A run in a worker: the three ends of its process. A worker whose run ended cleanly waits for the next one of the same
//! tenant; after any other end it is killed.

use super::{Canceller, CheckpointPart, OutputStream, Run, RunEvent, RunEvents, RunStdin};
use crate::job::Tenant;
use crate::limits::{LimitHit, LimitKind};
use crate::outcome::{Outcome, Report};
use crate::outputs::Outputs;
use crate::pool::Pool;
use crate::protocol::{self, Answer, tag};
use crate::worker_process::{Line, Worker};
use crate::workspace::Workspace;
use bytes::Bytes;
use potluck_guest::abi::{CANCEL_GRACE_MS, CHECKPOINT_LEN_MAX};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::time::Instant;

/// How long after its wall time a worker may still be silent before it is killed: it may be in a call that does not yield.
/// With the kill itself that stays within a tenth of a second.
pub(crate) const BACKSTOP: Duration = Duration::from_millis(75);
/// How long a worker may take to let go of the stdin of a run that is over; it only drops it.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// The events of a run in a worker.
pub(crate) struct WorkerEvents {
    /// `None` once the run is over.
    line: Option<Line>,
    workspace: Option<Arc<Workspace>>,
    back: Back,
    canceller: WorkerCanceller,
    /// Tells whoever writes stdin that nobody reads it any more.
    over: watch::Sender<bool>,
    started: Instant,
    wall: Duration,
    /// Until when the worker's next word is waited for; kept while a caller asks, gives up and asks again.
    patience: Option<Instant>,
    /// The end, once it is known and not yet told.
    ended: Option<Ending>,
}

/// Where a worker goes when its run is over.
pub(crate) struct Back {
    pub(crate) pool: Arc<Pool>,
    pub(crate) tenant: Tenant,
    /// Whether it may serve again.
    pub(crate) keeps: bool,
}

struct Ending {
    report: Report,
    /// Whether the worker can serve again.
    clean: bool,
}

impl WorkerEvents {
    /// The next event, as [`RunEvents::next`] says.
    pub(super) async fn next(&mut self) -> RunEvent {
        while self.ended.is_none() && self.line.is_some() {
            let frame = match self.next_frame().await {
                Ok(frame) => frame,
                Err(ending) => {
                    self.ended = Some(ending);
                    break;
                }
            };
            match frame {
                (tag::STDOUT, bytes) if !bytes.is_empty() => {
                    return RunEvent::Output { stream: OutputStream::Stdout, bytes };
                }
                (tag::STDERR, bytes) if !bytes.is_empty() => {
                    return RunEvent::Output { stream: OutputStream::Stderr, bytes };
                }
                (tag::SAID, payload) => {
                    // Made by our own worker; one that was taken over says what it likes, and nothing of it is believed.
                    if let Ok(event) = protocol::decode(&payload) {
                        return RunEvent::Said(event);
                    }
                }
                (tag::CHECKPOINT, payload) => match protocol::decode::<Option<u64>>(&payload) {
                    Ok(Some(len)) if len <= CHECKPOINT_LEN_MAX => {
                        return RunEvent::Checkpoint(CheckpointPart::Begins { len });
                    }
                    Ok(None) => return RunEvent::Checkpoint(CheckpointPart::Forgotten),
                    Ok(Some(_)) | Err(_) => {}
                },
                (tag::CHECKPOINT_PART, bytes) if !bytes.is_empty() => {
                    return RunEvent::Checkpoint(CheckpointPart::Bytes(bytes));
                }
                (tag::HEEDS, _) => self.canceller.heeds.store(true, Ordering::Relaxed),
                (tag::ANSWER, payload) => self.ended = Some(self.heeded(self.ending(&payload))),
                _ => {}
            }
        }
        self.let_go().await;
        match (self.ended.take(), self.workspace.take()) {
            (Some(Ending { report, .. }), Some(workspace)) => {
                RunEvent::Ended { report, outputs: Outputs::new(workspace) }
            }
            _ => std::future::pending().await,
        }
    }

    /// What the worker says next, or the end of a run whose worker says nothing more.
    async fn next_frame(&mut self) -> Result<(u8, Bytes), Ending> {
        let deadline = self.started + self.wall + BACKSTOP;
        let patience = *self.patience.get_or_insert_with(|| deadline.max(Instant::now() + BACKSTOP));
        let Some(line) = &mut self.line else { return std::future::pending().await };
        let frame = tokio::select! {
            // What has arrived counts, however late it is asked for.
            biased;
            frame = line.frames.next() => frame,
            () = tokio::time::sleep_until(patience) => {
                line.worker.kill();
                return Err(self.overdue());
            }
        };
        self.patience = None;
        match frame {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) | Err(_) => {
                let exit = line.worker.exited().await;
                let cancelled = line.worker.is_cancelled();
                Err(if cancelled { self.killed(Outcome::Cancelled) } else { self.lost(exit.explain()) })
            }
        }
    }

    /// A guest that was asked to end and did is cancelled all the same; what it left is kept.
    fn heeded(&self, ending: Ending) -> Ending {
        if !self.canceller.was_asked.load(Ordering::Relaxed) {
            return ending;
        }
        self.canceller.was_heeded.store(matches!(ending.report.outcome, Outcome::Exited(_)), Ordering::Relaxed);
        Ending { report: Report { outcome: Outcome::Cancelled, ..ending.report }, ..ending }
    }

    fn ending(&self, payload: &[u8]) -> Ending {
        match protocol::decode(payload) {
            Ok(Answer::Report { report, clean }) => Ending { report, clean },
            Ok(Answer::Failed(why) | Answer::CodeUnusable(why)) => self.lost(why),
            Ok(
                Answer::Loaded
                | Answer::Made(_)
                | Answer::Refused(_)
                | Answer::Turned(_)
                | Answer::Kept { .. }
                | Answer::Proved(_)
                | Answer::Inspected(_),
            )
            | Err(_) => self.lost("the worker gave an answer that is none".to_owned()),
        }
    }

    /// Parts with the worker. The directories are read only afterwards: either it has said that nobody writes to them any
    /// more, or it is gone.
    async fn let_go(&mut self) {
        let Some(line) = &mut self.line else { return };
        let clean = self.ended.as_ref().is_some_and(|ending| ending.clean);
        self.over.send_replace(true);
        if clean && line.frames.is_empty() && self.back.keeps && self.back.pool.keeps() && self.canceller.disarm() {
            line.worker.release();
            if let Some(workspace) = &self.workspace {
                workspace.settle();
            }
            if let Some(line) = self.line.take() {
                self.back.keep(line);
            }
        } else {
            line.worker.kill();
            line.worker.exited().await;
            self.line = None;
        }
    }

    fn overdue(&self) -> Ending {
        let used = self.elapsed_ms();
        let allowed = u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX);
        self.killed(Outcome::Limit(LimitHit { kind: LimitKind::WallTime, used, allowed }))
    }

    fn lost(&self, why: String) -> Ending {
        self.killed(Outcome::Lost(why))
    }

    fn killed(&self, outcome: Outcome) -> Ending {
        Ending { report: self.report(outcome), clean: false }
    }

    fn report(&self, outcome: Outcome) -> Report {
        Report { outcome, fuel_used: 0, wall_ms: self.elapsed_ms(), memory_peak_bytes: 0 }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for WorkerEvents {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.worker.kill();
        }
    }
}

impl Back {
    /// Hands the worker back once nothing of the run's stdin is half written.
    fn keep(&self, line: Line) {
        if line.stdin.try_lock().is_ok() {
            return self.pool.keep(self.tenant, line);
        }
        let (pool, tenant) = (self.pool.clone(), self.tenant);
        tokio::spawn(async move {
            let drained = tokio::time::timeout(DRAIN_TIME_MAX, line.stdin.lock()).await.is_ok();
            if drained {
                pool.keep(tenant, line);
            }
        });
    }
}

/// Ends a run in a worker.
#[derive(Clone)]
pub(crate) struct WorkerCanceller {
    /// The worker as long as it works for this run.
    worker: Arc<Mutex<Option<Worker>>>,
    /// Where the guest is asked.
    workspace: Weak<Workspace>,
    /// Whether the guest looks whether it is asked to end.
    heeds: Arc<AtomicBool>,
    was_asked: Arc<AtomicBool>,
    /// Whether it then ended by itself.
    was_heeded: Arc<AtomicBool>,
}

impl WorkerCanceller {
    /// Asks a guest to end that has opened the control file; any other is ended at once, as is one that was asked before.
    pub(super) fn cancel(&self) {
        let is_asked = self.heeds.load(Ordering::Relaxed)
            && !self.was_asked.swap(true, Ordering::Relaxed)
            && self.workspace.upgrade().is_some_and(|workspace| workspace.ask_to_end().is_ok());
        if !is_asked {
            return self.end();
        }
        let this = self.clone();
        // Ends with its sleep; what it does then is nothing to a run that is over.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(CANCEL_GRACE_MS)).await;
            this.end();
        });
    }

    /// Kills the worker.
    pub(super) fn end(&self) {
        if let Some(worker) = &*self.worker.lock().unwrap_or_else(PoisonError::into_inner) {
            worker.cancel();
        }
    }

    /// Whether the guest was asked to end and did, so that what it left is whole.
    pub(super) fn was_heeded(&self) -> bool {
        self.was_heeded.load(Ordering::Relaxed)
    }

    /// The process in which the guest runs, as long as it does.
    pub(super) fn process(&self) -> Option<u32> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Worker::process)
    }

    /// Makes cancelling do nothing from now on; false if the worker is being ended already.
    fn disarm(&self) -> bool {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        worker.is_some_and(|worker| worker.may_live())
    }
}

/// Ties the ends of a worker that has said it is ready together.
pub(crate) fn attach(line: Line, workspace: Arc<Workspace>, wall: Duration, back: Back) -> Run {
    let over = watch::Sender::new(false);
    let stdin = open_stdin(&line, &over);
    let canceller = WorkerCanceller {
        worker: Arc::new(Mutex::new(Some(line.worker.clone()))),
        workspace: Arc::downgrade(&workspace),
        heeds: Arc::default(),
        was_asked: Arc::default(),
        was_heeded: Arc::default(),
    };
    let events = WorkerEvents {
        line: Some(line),
        workspace: Some(workspace),
        back,
        canceller: canceller.clone(),
        over,
        started: Instant::now(),
        wall,
        patience: None,
        ended: None,
    };
    Run { stdin, events: RunEvents::of_worker(events), canceller: Canceller::of_worker(canceller) }
}

/// The stdin of what a worker was just told to run, until it is said to be over.
pub(crate) fn open_stdin(line: &Line, over: &watch::Sender<bool>) -> RunStdin {
    let (stdin, receiver) = RunStdin::new();
    tokio::spawn(pump(line.stdin.clone(), receiver, over.subscribe()));
    stdin
}

/// Carries stdin to the worker until it ends or the run does; never leaves a frame half written.
async fn pump(stdin: Arc<AsyncMutex<ChildStdin>>, mut chunks: mpsc::Receiver<Bytes>, mut over: watch::Receiver<bool>) {
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            // Told, or the events were dropped; the worker is being killed then.
            _ = over.wait_for(|over| *over) => return,
        };
        let mut stdin = stdin.lock().await;
        // Said before the lock is tried by whoever waits for it.
        if *over.borrow() {
            return;
        }
        let written = match &chunk {
            Some(chunk) => write_frame(&mut stdin, tag::STDIN, chunk).await,
            None => write_frame(&mut stdin, tag::STDIN_END, &[]).await,
        };
        if chunk.is_none() || written.is_err() {
            return;
        }
    }
}

async fn write_frame(stdin: &mut ChildStdin, tag: u8, payload: &[u8]) -> io::Result<()> {
    stdin.write_all(&protocol::head(tag, payload.len())?).await?;
    stdin.write_all(payload).await
}
