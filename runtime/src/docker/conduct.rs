//! A run in a container, from its start to its end: one task takes what it prints, watches its limits, ends it when it must,
//! brings what it left and removes it. The task ends with the run, or soon after its events are dropped.

use super::archive::Bounds;
use super::container::Container;
use super::engine::why;
use super::gauge::Gauge;
use crate::limits::{LimitHit, LimitKind, Limits};
use crate::outcome::{Outcome, Report};
use crate::outputs::Outputs;
use crate::run::{Canceller, OutputStream, Run, RunEvent, RunEvents, RunStdin};
use crate::workspace::Workspace;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use potluck_guest::abi::CANCEL_GRACE_MS;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Events on the way to their reader; a chunk of output is at most 32 KiB.
const EVENTS_MAX: usize = 1;
/// The exit code of what was killed, as shells have it.
const EXIT_KILLED: i64 = 137;
/// How often, and in what pauses, it is asked whether a killed job was killed for its memory: engines learn of both apart.
const MEMORY_LOOKS: usize = 5;
const MEMORY_PAUSE: Duration = Duration::from_millis(100);
/// How long an engine that is silent may take to end the streams of a job that has ended.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The events of a run in a container.
pub(crate) struct ContainerEvents {
    events: mpsc::Receiver<RunEvent>,
}

impl ContainerEvents {
    /// The next event, as [`RunEvents::next`] says.
    pub(crate) async fn next(&mut self) -> RunEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

/// Ends a run in a container.
#[derive(Clone)]
pub(crate) struct ContainerCanceller {
    wish: Arc<watch::Sender<Wish>>,
    was_heeded: Arc<AtomicBool>,
}

/// What is wanted of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    GoOn,
    /// It may end by itself.
    End,
    EndNow,
}

impl ContainerCanceller {
    /// Asks the job to end; one that was asked before is ended.
    pub(crate) fn cancel(&self) {
        self.wish.send_modify(|wish| *wish = if *wish == Wish::GoOn { Wish::End } else { Wish::EndNow });
    }

    /// Ends the job at once.
    pub(crate) fn end(&self) {
        self.wish.send_replace(Wish::EndNow);
    }

    /// Waits until the container is removed.
    pub(crate) async fn gone(&self) {
        self.wish.closed().await;
    }

    pub(crate) fn was_heeded(&self) -> bool {
        self.was_heeded.load(Ordering::Relaxed)
    }
}

/// Ties the ends of a container that has just been started together.
pub(crate) fn conduct(
    container: Container,
    streams: AttachContainerResults,
    workspace: Workspace,
    limits: Limits,
) -> Run {
    let (stdin, chunks) = RunStdin::new();
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let (wish, wishes) = watch::channel(Wish::GoOn);
    let canceller = ContainerCanceller { wish: Arc::new(wish), was_heeded: Arc::default() };
    let AttachContainerResults { output, input } = streams;
    let conductor = Conductor {
        gauge: Gauge::new(container.measured(), &limits),
        container,
        output,
        events: sender,
        canceller: canceller.clone(),
        stdin: tokio::spawn(pump(input, chunks)).abort_handle(),
        started: Instant::now(),
        limits,
    };
    tokio::spawn(conductor.run(workspace, wishes));
    Run {
        stdin,
        events: RunEvents::of_container(ContainerEvents { events }),
        canceller: Canceller::of_container(canceller),
    }
}

/// Carries stdin to the container. Ends with it, or is ended when nobody reads it any more.
async fn pump(mut input: Pin<Box<dyn AsyncWrite + Send>>, mut chunks: mpsc::Receiver<Bytes>) {
    while let Some(chunk) = chunks.recv().await {
        if input.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // One that has ended has closed it already.
    let _closed = input.shutdown().await;
}

struct Conductor {
    container: Container,
    output: Output,
    events: mpsc::Sender<RunEvent>,
    canceller: ContainerCanceller,
    stdin: AbortHandle,
    gauge: Gauge,
    started: Instant,
    limits: Limits,
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// Why a job was ended by us.
#[derive(Clone, Debug)]
enum Stop {
    /// Nobody wants it any more.
    Dropped,
    Cancelled,
    Limit(LimitHit),
    /// The engine is gone, or says what no engine says.
    Lost(String),
}

/// What happens while a job runs.
enum Happening {
    Printed(Option<Result<LogOutput, Error>>),
    PassedOn,
    Ended(Result<(), Error>),
    Wished(Wish),
    GraceIsOver,
    SilentAfterEnd,
    Stopped(Stop),
}

/// How far a job is.
#[derive(Default)]
struct Progress {
    stop: Option<Stop>,
    was_killed: bool,
    /// Until when one that was asked to end may go on.
    grace: Option<Instant>,
    /// Until when what one that has ended has printed is waited for.
    silence: Option<Instant>,
    is_drained: bool,
    /// What it has printed and nobody has taken yet.
    pending: Option<(OutputStream, Bytes)>,
    /// Bytes of output so far.
    printed: u64,
}

impl Progress {
    fn has_ended(&self) -> bool {
        self.silence.is_some()
    }

    fn is_running(&self) -> bool {
        !self.has_ended() && self.stop.is_none()
    }

    fn is_over(&self) -> bool {
        let is_lost = matches!(self.stop, Some(Stop::Dropped | Stop::Lost(_)));
        is_lost || (self.has_ended() && self.is_drained && self.pending.is_none())
    }

    /// Keeps what is printed until it is taken, up to the limit.
    fn print(&mut self, output: LogOutput, output_max: u64) -> Option<Stop> {
        let stream = match output {
            LogOutput::StdErr { .. } => OutputStream::Stderr,
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => OutputStream::Stdout,
        };
        let mut bytes = output.into_bytes();
        let left = output_max.saturating_sub(self.printed);
        self.printed = self.printed.saturating_add(bytes.len() as u64);
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        self.pending = (!bytes.is_empty()).then_some((stream, bytes));
        let hit = LimitHit { kind: LimitKind::Output, used: self.printed, allowed: output_max };
        (self.printed > output_max).then_some(Stop::Limit(hit))
    }
}

impl Conductor {
    async fn run(mut self, workspace: Workspace, wishes: watch::Receiver<Wish>) {
        // Whoever waits for the end of the container waits until nobody listens to wishes any more.
        let _listens = wishes.clone();
        let progress = self.watch(wishes).await;
        self.stdin.abort();
        // An engine removes no container whose streams somebody holds and does not read.
        self.output = Box::pin(futures_util::stream::empty::<Result<LogOutput, Error>>());
        let wall_ms = elapsed_ms(self.started);
        if matches!(progress.stop, Some(Stop::Dropped)) {
            return self.container.remove().await;
        }
        let heeded = matches!(progress.stop, Some(Stop::Cancelled)) && !progress.was_killed;
        self.canceller.was_heeded.store(heeded, Ordering::Relaxed);
        let left = self.fetch(&workspace).await;
        let outcome = match (progress.stop, &left) {
            (Some(Stop::Cancelled), _) => Outcome::Cancelled,
            (Some(Stop::Limit(hit)), _) => Outcome::Limit(hit),
            (Some(Stop::Lost(why)), _) => Outcome::Lost(why),
            (None | Some(Stop::Dropped), Err(why)) => Outcome::Lost(why.clone()),
            (None | Some(Stop::Dropped), Ok(_)) => self.outcome().await,
        };
        let used = self.gauge.used();
        let report = Report { outcome, fuel_used: used.fuel, wall_ms, memory_peak_bytes: used.memory_peak };
        self.container.remove().await;
        let outputs = Outputs::with_left_behind(Arc::new(workspace), left.unwrap_or_else(|why| vec![why]));
        // Nobody may be left who wants to know.
        let _unread = self.events.send(RunEvent::Ended { report, outputs }).await;
    }

    /// Passes on what the job prints until it has ended and all of that has been taken.
    async fn watch(&mut self, mut wishes: watch::Receiver<Wish>) -> Progress {
        let deadline = self.started.checked_add(self.limits.wall());
        let mut progress = Progress::default();
        let (ended, passed) = (self.container.ended(), self.gauge.passed());
        tokio::pin!(ended, passed);
        while !progress.is_over() {
            let happening = tokio::select! {
                biased;
                place = self.events.reserve(), if progress.pending.is_some() => match (place, progress.pending.take()) {
                    (Ok(place), Some((stream, bytes))) => {
                        place.send(RunEvent::Output { stream, bytes });
                        Happening::PassedOn
                    }
                    _ => Happening::Stopped(Stop::Dropped),
                },
                () = self.events.closed() => Happening::Stopped(Stop::Dropped),
                result = &mut ended, if !progress.has_ended() => Happening::Ended(result),
                Ok(()) = wishes.changed(), if !progress.has_ended() => Happening::Wished(*wishes.borrow_and_update()),
                () = until(progress.grace), if !progress.has_ended() => Happening::GraceIsOver,
                () = until(deadline), if progress.is_running() => {
                    let (used, allowed) = (elapsed_ms(self.started), self.limits.wall_ms);
                    Happening::Stopped(Stop::Limit(LimitHit { kind: LimitKind::WallTime, used, allowed }))
                }
                hit = &mut passed, if progress.is_running() => Happening::Stopped(Stop::Limit(hit)),
                output = self.output.next(), if progress.pending.is_none() && !progress.is_drained => {
                    Happening::Printed(output)
                }
                () = until(progress.silence), if progress.pending.is_none() => Happening::SilentAfterEnd,
            };
            note(&self.container, &mut progress, happening, self.limits.output_bytes);
        }
        progress
    }

    /// Brings what lies in the working directory into ours; an error says that it cannot be brought.
    async fn fetch(&mut self, workspace: &Workspace) -> Result<Vec<String>, String> {
        let given = workspace.given();
        let bounds = Bounds {
            bytes: workspace.len_max(),
            // Directories are counted as files are.
            entries: self.limits.files.saturating_add(given.entries),
        };
        let fetched = self.container.fetch(workspace.root_path(), bounds).await;
        fetched.map_err(|error| format!("what it left cannot be brought out of its container: {error}"))
    }

    /// How a job ended by itself.
    async fn outcome(&mut self) -> Outcome {
        let mut looks = 0;
        let (code, is_out_of_memory) = loop {
            let state = match self.container.state().await {
                Ok(state) => state,
                Err(error) => return Outcome::Lost(format!("the container engine lost it: {}", why(&error))),
            };
            let (code, is_out) = (state.exit_code.unwrap_or_default(), state.oom_killed.unwrap_or_default());
            looks += 1;
            if is_out || code != EXIT_KILLED || looks == MEMORY_LOOKS {
                break (code, is_out);
            }
            tokio::time::sleep(MEMORY_PAUSE).await;
        };
        if code != 0 && is_out_of_memory {
            let (peak, allowed) = (self.gauge.used().memory_peak, self.limits.memory_bytes);
            return Outcome::Limit(LimitHit { kind: LimitKind::Memory, used: peak.max(allowed), allowed });
        }
        let full = if code == 0 { None } else { self.container.is_full().await };
        let allowed = match full {
            Some(LimitKind::Files) => self.limits.files,
            _ => self.limits.disk_bytes,
        };
        match full {
            Some(kind) => Outcome::Limit(LimitHit { kind, used: allowed, allowed }),
            None => Outcome::Exited(i32::try_from(code).unwrap_or(i32::MAX)),
        }
    }
}

/// Notes what has happened, and does what follows from it.
fn note(container: &Container, progress: &mut Progress, happening: Happening, output_max: u64) {
    let stop = match happening {
        Happening::PassedOn => return,
        Happening::Printed(Some(Ok(output))) => progress.print(output, output_max),
        Happening::Printed(Some(Err(_)) | None) | Happening::SilentAfterEnd => {
            progress.is_drained = true;
            None
        }
        Happening::Ended(result) => {
            progress.silence = Some(Instant::now() + SILENCE_MAX);
            result.err().map(|error| Stop::Lost(format!("the container engine lost it: {}", why(&error))))
        }
        Happening::Wished(Wish::GoOn) => None,
        Happening::Wished(Wish::End) => {
            container.signal("SIGTERM");
            progress.grace = Some(Instant::now() + Duration::from_millis(CANCEL_GRACE_MS));
            progress.stop.get_or_insert(Stop::Cancelled);
            return;
        }
        Happening::Wished(Wish::EndNow) | Happening::GraceIsOver => {
            progress.grace = None;
            progress.was_killed = true;
            container.signal("SIGKILL");
            Some(Stop::Cancelled)
        }
        Happening::Stopped(stop) => Some(stop),
    };
    let Some(stop) = stop else { return };
    if !progress.has_ended() && !progress.was_killed {
        progress.was_killed = true;
        container.signal("SIGKILL");
    }
    if matches!(stop, Stop::Dropped | Stop::Lost(_)) {
        progress.stop = Some(stop);
    } else {
        progress.stop.get_or_insert(stop);
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
