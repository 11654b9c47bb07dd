//! What a home says to machines, and what it hears: each conversation is about one thing, and may be had again.

mod fetching;

use super::receipts::{self, Sides};
use super::records::Left;
use super::shared::Shared;
use super::{With, Word, tame};
use crate::service::{SendFileError, blocking, send_file};
use crate::state::home::refusal::{BrokenOff, EVICTED_RETRY_MS};
use crate::state::home::run::RunId;
use crate::state::home::spec::Input;
use crate::state::home::words::{Cancel, Event, Kept, Refusal};
use crate::state::placement::Place;
use crate::wire::{
    BlobHead, CollectRun, Ended, Fault, Frame, FrameError, FrameStream, FrameWriter, JobId, KeepRun, Need,
    OwnerSources, RefusedHow, RunList, RunRefused, RunState, SubmitJob, Tag, WhichRun,
};
use fetching::Fetching;
use potluck_runtime::{Digest, GUEST_EVENTS_LEN_MAX, GuestEvent, Outcome, Report};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a machine may take to answer a small question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a machine may say nothing of a run it is given, or take nothing of what is sent for it: then it is given it again.
const START_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes of what is told of a run before its guest starts, and of its end.
const PROGRESS_LEN_MAX: u64 = 16 << 20;

/// Brings back what was heard.
#[derive(Clone)]
pub(super) struct Teller {
    words: mpsc::Sender<Word>,
    shared: Arc<Shared>,
}

/// Why a conversation came to no end. Nothing follows from it: what was to be heard is asked for again.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    NoWay(String),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("what it says cannot be kept: {0}")]
    Keep(#[from] std::io::Error),
    #[error("input {0} is not here any more")]
    Input(String),
    #[error("it sends more than the job's limits allow")]
    TooMuch,
    #[error("it said {0} where that means nothing")]
    OutOfPlace(Tag),
}

impl Teller {
    pub(super) fn new(words: mpsc::Sender<Word>, shared: Arc<Shared>) -> Self {
        Self { words, shared }
    }

    async fn tell(&self, event: Event) {
        self.tell_with(event, With::Nothing).await;
    }

    async fn tell_with(&self, event: Event, with: With) {
        // With nobody there to decide, nothing matters any more.
        let _ = self.words.send(Word { event, with, reply: None }).await;
    }

    async fn open(&self, place: Place) -> Result<FrameStream, Broken> {
        self.shared.ways.open(place).await.map_err(Broken::NoWay)
    }
}

/// Gives a run to a machine and hears it to its end.
pub(super) async fn start(teller: Teller, place: Place, run: RunId, restore: Option<Input>) {
    let Some(asked) = teller.shared.asked(run.job) else { return };
    // A checkpoint that is not here any more is missed by nobody: the run begins anew.
    let held = restore.and_then(|input| teller.shared.blobs.lease(input.digest, input.size));
    let restore = restore.filter(|_| held.is_some());
    let said = converse(&teller, place, run, (&asked.submit, restore)).await;
    if let Err(Broken::Input(digest)) = &said {
        let why = format!("its input {digest} is not on the machine it was given to any more; give it again");
        teller.tell(Event::RunRefused { place, run, why: Refusal::Nowhere(why) }).await;
    }
    note(place, run, said);
}

/// Hears what a run says, from where it was heard before.
pub(super) async fn collect(teller: Teller, place: Place, run: RunId) {
    let said = async {
        let output = teller.shared.output(run)?;
        // Whoever hears it already goes on with that.
        let Ok(hearing) = output.hearing.try_lock() else { return Ok(()) };
        let from = output.recorder.len();
        let mut stream = teller.open(place).await?;
        stream.writer.send_message(Tag::RUN_COLLECT, &CollectRun { run: run.into(), from }).await?;
        stream.writer.finish().await?;
        let said = hear(&teller, place, run, stream).await;
        drop(hearing);
        said
    };
    note(place, run, said.await);
}

/// Asks a run back.
pub(super) async fn withdraw(teller: Teller, place: Place, run: RunId) {
    ask_of(teller, place, run, Tag::RUN_WITHDRAW).await;
}

/// Asks the guest of a run to end.
pub(super) async fn ask_to_end(teller: Teller, place: Place, run: RunId) {
    ask_of(teller, place, run, Tag::RUN_END).await;
}

/// Asks something of a run that is answered by how it stands.
async fn ask_of(teller: Teller, place: Place, run: RunId, what: Tag) {
    let asked = async {
        let mut stream = teller.open(place).await?;
        stream.writer.send_message(what, &WhichRun::from(run)).await?;
        stream.writer.finish().await?;
        let frame = match stream.reader.expect_any().await {
            // It does not know what that is.
            Err(FrameError::Fault(_)) if what == Tag::RUN_END => {
                teller.tell(Event::Cancelled { job: run.job, how: Cancel::Now }).await;
                return Ok(());
            }
            frame => frame?,
        };
        if let Some(event) = state(place, run, &frame)? {
            teller.tell(event).await;
        }
        Ok(())
    };
    note(place, run, in_time(asked).await);
}

/// Says that nothing more is wanted of a run.
pub(super) async fn release(teller: Teller, place: Place, run: RunId) {
    let asked = async {
        let mut stream = teller.open(place).await?;
        stream.writer.send_message(Tag::RUN_RELEASE, &WhichRun::from(run)).await?;
        stream.writer.finish().await?;
        stream.reader.expect(Tag::DONE).await?;
        teller.tell(Event::Heard { place }).await;
        Ok(())
    };
    note(place, run, in_time(asked).await);
}

/// Asks a machine for all that it keeps for this home.
pub(super) async fn attach(teller: Teller, place: Place, ask: u64) {
    let asked = async {
        let mut stream = teller.open(place).await?;
        stream.writer.send_empty(Tag::RUN_LIST).await?;
        stream.writer.finish().await?;
        let list: RunList = stream.reader.expect_message(Tag::RUNS_ARE).await?;
        let runs = list.runs.into_iter().filter_map(|state| Some((state.run.into(), state.kept?))).collect();
        teller.tell(Event::Inventory { place, ask, runs }).await;
        Ok(())
    };
    note(place, RunId { job: JobId([0; 16]), attempt: 0 }, in_time(asked).await);
}

async fn in_time(asked: impl Future<Output = Result<(), Broken>>) -> Result<(), Broken> {
    tokio::time::timeout(ANSWER_TIMEOUT, asked).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> Broken {
    Broken::NoWay("no answer came in time".to_owned())
}

fn note(place: Place, run: RunId, said: Result<(), Broken>) {
    if let Err(error) = said {
        tracing::debug!(?place, %run, %error, "a conversation about a run broke off");
    }
}

/// A run is asked for, its inputs are sent, and what it says is heard.
async fn converse(
    teller: &Teller,
    place: Place,
    run: RunId,
    (request, restore): (&SubmitJob, Option<Input>),
) -> Result<(), Broken> {
    let mut stream = teller.open(place).await?;
    let keep = KeepRun { attempt: run.attempt, submit: request.clone(), restore };
    stream.writer.queue(Frame::message(Tag::RUN_KEEP, &keep)).await?;
    if place == Place::Here {
        stream.writer.queue(Frame::message(Tag::OWNER_SOURCES, &OwnerSources { sources: Vec::new() })).await?;
    }
    stream.writer.flush().await?;
    loop {
        let heard = tokio::time::timeout(START_SILENCE_MAX, stream.reader.expect_any());
        let frame = match heard.await.map_err(|_| silent())? {
            Ok(frame) => frame,
            Err(FrameError::Fault(fault)) => return refused(teller, place, run, fault).await,
            Err(error) => return Err(error.into()),
        };
        match frame.tag {
            Tag::NEED => {
                let need: Need = decoded(&frame)?;
                for digest in need.digests {
                    send_blob(teller, (request, restore), digest, &mut stream.writer).await?;
                }
                stream.writer.send_empty(Tag::BLOBS_END).await?;
            }
            Tag::RUN_KEPT => {
                teller.tell(Event::RunAccepted { place, run }).await;
                let output = teller.shared.output(run)?;
                // What is here of it came over another stream: what is missing is asked for.
                let Some(hearing) = output.hearing.try_lock().ok().filter(|_| output.recorder.is_empty()) else {
                    return Ok(());
                };
                let said = hear(teller, place, run, stream).await;
                drop(hearing);
                return said;
            }
            _ => {
                if let Some(event) = state(place, run, &frame)? {
                    teller.tell(event).await;
                }
                return Ok(());
            }
        }
    }
}

async fn send_blob(
    teller: &Teller,
    (request, restore): (&SubmitJob, Option<Input>),
    digest: Digest,
    writer: &mut FrameWriter,
) -> Result<(), Broken> {
    let gone = || Broken::Input(digest.short());
    let restore = restore.map(|input| (input.digest, input.size));
    let size =
        request.blobs().chain(restore).find(|(known, _)| *known == digest).map(|(_, size)| size).ok_or_else(gone)?;
    let lease = teller.shared.blobs.lease(digest, size).ok_or_else(gone)?;
    writer.send_message(Tag::BLOB, &BlobHead { digest, size }).await?;
    let file = File::open(lease.path())?;
    let moved = AtomicBool::new(true);
    let mut sending = std::pin::pin!(send_file(writer, file, size, |_| moved.store(true, Ordering::Relaxed)));
    while moved.swap(false, Ordering::Relaxed) {
        let Ok(sent) = tokio::time::timeout(START_SILENCE_MAX, &mut sending).await else { continue };
        return sent.map_err(|error| match error {
            SendFileError::Read(error) => error.into(),
            SendFileError::Write(error) => error.into(),
        });
    }
    Err(Broken::NoWay("it takes no more of the job's inputs".to_owned()))
}

/// Keeps what a run says until its end, and what it gives to go on from.
async fn hear(teller: &Teller, place: Place, run: RunId, stream: FrameStream) -> Result<(), Broken> {
    let wants = teller.shared.asked(run.job).is_some_and(|asked| asked.submit.events);
    let fetching = Fetching::of(teller, place, run);
    if !teller.shared.output(run)?.recorder.is_empty() {
        fetching.may_be_due();
    }
    let hearing = hear_all(teller, place, run, stream, &fetching);
    if !wants {
        return hearing.await;
    }
    tokio::select! {
        heard = hearing => heard,
        never = fetching.go_on() => match never {},
    }
}

async fn hear_all(
    teller: &Teller,
    place: Place,
    run: RunId,
    mut stream: FrameStream,
    fetching: &Fetching<'_>,
) -> Result<(), Broken> {
    let output = teller.shared.output(run)?;
    let mut writer = FrameWriter::new(output.recorder.writer());
    let Some(len_max) = teller.shared.asked(run.job).map(|asked| recording_len_max(&asked.submit)) else {
        return Ok(());
    };
    while let Some(frame) = stream.reader.next().await? {
        if output.recorder.len() + frame.payload.len() as u64 > len_max {
            let why = Refusal::NotHere(Broken::TooMuch.to_string());
            teller.tell(Event::RunRefused { place, run, why }).await;
            return Err(Broken::TooMuch);
        }
        match frame.tag {
            Tag::STARTED => {
                teller.tell(Event::RunStarted { place, run }).await;
                writer.send(frame).await?;
            }
            Tag::GUEST_SAYS => {
                match frame.decode() {
                    Ok(GuestEvent::Progress(progress)) => output.is_so_far(tame::progress(progress)),
                    Ok(GuestEvent::Checkpoint { size }) => fetching.hear(size),
                    // What is not known here is recorded all the same: whoever follows the job may know it.
                    Ok(_) | Err(_) => {}
                }
                writer.send(frame).await?;
            }
            Tag::STAGE | Tag::TIME | Tag::STDOUT | Tag::STDERR | Tag::OUTPUT_FILE | Tag::DATA => {
                writer.send(frame).await?;
            }
            Tag::ENDED => {
                let ended: Ended = decoded(&frame)?;
                writer.send(frame).await?;
                let seen_to = over(teller, place, run, ended, writer).await;
                if seen_to.is_err() {
                    teller.shared.hear_again(run);
                }
                return seen_to;
            }
            Tag::FAULT => {
                let fault: Fault = decoded(&frame)?;
                writer.send(frame).await?;
                return broken_off(teller, place, run, fault).await;
            }
            Tag::RUN_IS => {
                // It was given back, or lost, and says no more.
                if let Some(event) = state(place, run, &frame)? {
                    teller.tell(event).await;
                }
                return Ok(());
            }
            tag => return Err(Broken::OutOfPlace(tag)),
        }
    }
    // It was ended there without a word, or its machine is leaving: how it stands is asked for.
    Ok(())
}

/// How long what a run says can be: its output and files, the frames around them, what is told before its start, and what its
/// guest says of itself.
fn recording_len_max(submit: &SubmitJob) -> u64 {
    let inputs = submit.blobs().fold(0, |sum: u64, (_, size)| sum.saturating_add(size));
    let bytes = submit.limits.output_bytes.saturating_add(submit.limits.disk_bytes).saturating_add(inputs);
    let events = if submit.events { GUEST_EVENTS_LEN_MAX } else { 0 };
    // A guest that prints a byte at a time has a frame of seven for each.
    bytes.saturating_mul(8).saturating_add(PROGRESS_LEN_MAX).saturating_add(events)
}

/// A run has ended, and all of it is here: kept for good before it is told.
async fn over(teller: &Teller, place: Place, run: RunId, ended: Ended, writer: FrameWriter) -> Result<(), Broken> {
    drop(writer);
    let output = teller.shared.output(run)?;
    let finished = output.clone();
    let recorded = blocking(move || finished.recorder.finish()).await?;
    let receipt = match (place, ended.receipt, teller.shared.asked(run.job)) {
        (Place::Peer(ran), Some(receipt), Some(asked)) => {
            let (sides, heard) = (Sides { sent: teller.shared.node, ran }, output.recorder.follow(0));
            receipts::checked(receipt, run, &asked, sides, &ended.report, heard).await?
        }
        _ => None,
    };
    let report = Report { outcome: tame::outcome(ended.report.outcome), ..ended.report };
    let (wall_ms, fuel) = (report.wall_ms, report.fuel_used);
    let result = ended.result;
    let event = match report.outcome.clone() {
        Outcome::Lost(why) => Event::RunLost { place, run, why },
        outcome => Event::RunEnded { place, run, outcome, wall_ms, fuel },
    };
    teller.tell_with(event, With::Left(run, Box::new(Left { recorded, report, result, receipt }))).await;
    Ok(())
}

/// A machine does not take the run.
async fn refused(teller: &Teller, place: Place, run: RunId, fault: Fault) -> Result<(), Broken> {
    teller.tell(Event::RunRefused { place, run, why: tame::fault(fault).into() }).await;
    Ok(())
}

/// A machine had taken the run, and does not go on with it.
async fn broken_off(teller: &Teller, place: Place, run: RunId, fault: Fault) -> Result<(), Broken> {
    let event = match BrokenOff::from(tame::fault(fault)) {
        BrokenOff::Refused(why) => Event::RunRefused { place, run, why },
        BrokenOff::Failed(why) => Event::RunLost { place, run, why },
        BrokenOff::Evicted { retry_after_ms } => Event::RunEvicted { place, run, retry_after_ms },
    };
    teller.tell(event).await;
    Ok(())
}

/// What follows from how a machine says that a run stands.
fn state(place: Place, run: RunId, frame: &Frame) -> Result<Option<Event>, Broken> {
    match frame.tag {
        Tag::RUN_REFUSED => {
            let RunRefused { how, why } = decoded(frame)?;
            let why = match how {
                RefusedHow::NotNow { retry_after_ms } => Refusal::NotNow { why, retry_after_ms },
                RefusedHow::NotHere => Refusal::NotHere(why),
                RefusedHow::Nowhere => Refusal::Nowhere(why),
                RefusedHow::Withdrawn => Refusal::Withdrawn,
            };
            Ok(Some(Event::RunRefused { place, run, why: tame::refusal(why) }))
        }
        Tag::RUN_IS => {
            let RunState { kept, .. } = decoded(frame)?;
            Ok(kept.map(|kept| match kept {
                Kept::Waiting => Event::RunAccepted { place, run },
                Kept::Running => Event::RunStarted { place, run },
                Kept::Ended => Event::Inventory { place, ask: 0, runs: vec![(run, kept)] },
                Kept::Evicted => Event::RunEvicted { place, run, retry_after_ms: EVICTED_RETRY_MS },
                Kept::Lost => Event::RunLost { place, run, why: "its node went down with it".to_owned() },
            }))
        }
        tag => Err(Broken::OutOfPlace(tag)),
    }
}

fn decoded<T: serde::de::DeserializeOwned>(frame: &Frame) -> Result<T, Broken> {
    frame.decode().map_err(|source| FrameError::Decode { tag: frame.tag, source }.into())
}
