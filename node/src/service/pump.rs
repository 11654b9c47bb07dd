//! Between a run and its submitter while the guest runs: stdin in, stdout and stderr out, each at the pace of the slower
//! side. When the submitter is gone the run is killed, and this returns when it is over.

use super::inbound::{Inbound, out_of_place};
use super::kept::Checkpoints;
use super::noting::Noting;
use super::present::Here;
use super::{Stop, gone};
use crate::clock::Clock;
use crate::wire::{Frame, FrameWriter, Tag, Time};
use potluck_runtime::{
    CANCEL_GRACE_MS, GuestEvent, JsonText, Outcome, OutputStream, Outputs, Report, Run, RunEvent, RunEvents, RunStdin,
};
use std::pin::pin;
use std::time::{Duration, Instant};

/// How long a killed run may take to be over before we stop waiting for it.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a guest may take to end that is asked to.
const GRACE: Duration = Duration::from_millis(CANCEL_GRACE_MS);

/// Less than so much between two outputs is not told.
const TIME_STEP: Duration = Duration::from_millis(10);

/// Whether it is told when a guest said what it said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Times {
    /// Whoever listens knows by itself.
    Untold,
    /// By this clock, for those who listen later.
    Told(Clock),
}

impl Times {
    /// What is to be told before something that is said now, after what was told last.
    fn due(self, told: &mut Option<Instant>) -> Option<Time> {
        let Self::Told(clock) = self else { return None };
        let now = Instant::now();
        let is_due = told.is_none_or(|told| now.duration_since(told) >= TIME_STEP);
        is_due.then(|| {
            *told = Some(now);
            Time { unix_ms: clock.unix_now_ms() }
        })
    }
}

/// What is told of a run while its guest runs, and to whom.
pub(super) struct Telling<'a> {
    pub(super) times: Times,
    /// Whether what the guest says of itself is wanted.
    pub(super) events: bool,
    pub(super) noting: &'a mut Noting,
    pub(super) here: &'a Here,
    /// Who keeps what the guest gives to go on from; nobody where it is not run again.
    pub(super) checkpoints: Option<Checkpoints>,
}

/// What a run leaves that has come to its end.
pub(super) struct Over {
    pub(super) report: Report,
    pub(super) outputs: Outputs,
    /// What the guest says it has come to, where that is wanted.
    pub(super) result: Option<JsonText>,
    /// Whether the guest ended by itself, if only because it was asked to.
    pub(super) is_whole: bool,
}

/// Pumps until the run has ended.
pub(super) async fn pump(
    run: Run,
    stdin_wanted: bool,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
    telling: Telling<'_>,
) -> Result<Over, Stop> {
    let Run { stdin, mut events, canceller } = run;
    let stdin = stdin_wanted.then_some(stdin);
    let stopped = {
        let mut feeding = pin!(feed(stdin, inbound));
        let mut draining = pin!(drain(&mut events, writer, telling));
        let stop = tokio::select! {
            ended = &mut draining => match ended {
                Ok(ended) => return Ok(ended),
                Err(stop) => stop,
            },
            stop = &mut feeding => stop,
        };
        if matches!(stop, Stop::Cancelled) {
            canceller.cancel();
            // What the guest says until then is still told, unless the submitter does not listen any more.
            let ended = tokio::time::timeout(GRACE + KILL_TIMEOUT, &mut draining).await;
            if let Ok(Ok(ended)) = ended {
                return Ok(Over { is_whole: canceller.was_heeded(), ..ended });
            }
        }
        canceller.end();
        stop
    };
    let over = async { while !matches!(events.next().await, RunEvent::Ended { .. }) {} };
    if tokio::time::timeout(KILL_TIMEOUT, over).await.is_err() {
        tracing::warn!("a killed run was not over in time");
    }
    Err(stopped)
}

/// Passes stdin on; ends only when the job or turn is to be stopped.
pub(super) async fn feed(mut stdin: Option<RunStdin>, inbound: &mut Inbound) -> Stop {
    loop {
        let frame = match inbound.next().await {
            Ok(frame) => frame,
            Err(stop) => return stop,
        };
        match frame.tag {
            Tag::STDIN => {
                let Some(open) = &mut stdin else { continue };
                let written = tokio::select! {
                    written = open.write(frame.payload) => written,
                    stop = inbound.interrupted() => return stop,
                };
                if written.is_err() {
                    // The guest has ended or closed its stdin: the rest is of no use to it.
                    stdin = None;
                }
            }
            Tag::STDIN_END => {
                if let Some(open) = stdin.take() {
                    open.close().await;
                }
            }
            // Nothing was needed, so its end was not waited for.
            Tag::BLOBS_END => {}
            _ => return out_of_place(&frame, "STDIN, STDIN_END or CANCEL"),
        }
    }
}

/// How a guest's output travels.
pub(super) const fn tag_of(stream: OutputStream) -> Tag {
    match stream {
        OutputStream::Stdout => Tag::STDOUT,
        OutputStream::Stderr => Tag::STDERR,
    }
}

/// Tells what is said of the guest, and when.
async fn say(event: &GuestEvent, time: Option<Time>, writer: &mut FrameWriter) -> Result<(), Stop> {
    if let Some(time) = time {
        writer.queue(Frame::message(Tag::TIME, &time)).await.map_err(gone)?;
    }
    writer.queue(Frame::message(Tag::GUEST_SAYS, event)).await.map_err(gone)
}

/// Passes output on until the run has ended.
async fn drain(events: &mut RunEvents, writer: &mut FrameWriter, telling: Telling<'_>) -> Result<Over, Stop> {
    let Telling { times, events: wanted, noting, here, mut checkpoints } = telling;
    let (mut told, mut result) = (None, None);
    loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            // Nothing more happens for now.
            flushed = writer.flush(), if writer.has_queued() => {
                flushed.map_err(gone)?;
                continue;
            }
        };
        match event {
            RunEvent::Output { stream, bytes } => {
                if let Some(time) = times.due(&mut told) {
                    writer.queue(Frame::message(Tag::TIME, &time)).await.map_err(gone)?;
                }
                noting.printed(stream, &bytes);
                writer.queue_bytes(tag_of(stream), bytes).await.map_err(gone)?;
            }
            RunEvent::Said(event) => {
                match &event {
                    GuestEvent::Progress(progress) => here.is_so_far(progress),
                    GuestEvent::Result(said) if wanted => result = Some(said.clone()),
                    GuestEvent::Result(_)
                    | GuestEvent::Log(_)
                    | GuestEvent::Checkpoint { .. }
                    | GuestEvent::Restored { .. } => {}
                }
                if wanted {
                    say(&event, times.due(&mut told), writer).await?;
                }
            }
            RunEvent::Checkpoint(part) => {
                let said = checkpoints.as_mut().and_then(|checkpoints| checkpoints.take(part));
                if let Some(event) = said.filter(|_| wanted) {
                    say(&event, times.due(&mut told), writer).await?;
                }
            }
            RunEvent::Ended { report, outputs } => {
                let is_whole = report.outcome != Outcome::Cancelled;
                return Ok(Over { report, outputs, result, is_whole });
            }
        }
    }
}
