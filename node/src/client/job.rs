//! A job as its submitter sees it: events in, stdin and a cancellation out. Dropping [`JobEvents`] ends the job.

use super::allowance::Allowance;
use super::door::{Carrier, Door, cancel_when_asked};
use super::failure::SubmitError;
use super::packing::Packed;
use super::receiving::{ArrivingFile, OutputsDir};
pub use super::sending::{JobCanceller, JobStdin, StdinClosed};
use super::sending::{Sender, SenderHandles, Sent};
use super::trace::Trace;
use crate::identity::NodeId;
use crate::net::link::{CloseCode, Closed};
use crate::wire::{
    Accepted, Ended, Frame, FrameError, FrameReader, FrameStream, JobId, Need, OutputFile, SessionInfo, Stage, Tag,
};
use bytes::Bytes;
use potluck_runtime::{CANCEL_GRACE_MS, Digest, GUEST_EVENTS_LEN_MAX, GuestEvent, GuestPath, OutputStream};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// How long a cancelled job's end may take to arrive, with the time its guest has to end by itself, before the connection is ended instead, which ends the job too.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(CANCEL_GRACE_MS / 1000 + 4);

/// How long the reason of a broken stream may take to be known.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// A job that was submitted.
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its stdin, if it has one. Feed it from a task of its own.
    pub stdin: Option<JobStdin>,
    /// What happens to it.
    pub events: JobEvents,
    /// Stops it.
    pub canceller: JobCanceller,
}

/// What happens to a job, in order.
#[derive(Debug)]
pub enum JobEvent {
    /// A node has taken it.
    Accepted {
        /// Which; none when it is this machine.
        node: Option<NodeId>,
        /// Its label.
        name: String,
    },
    /// Inputs are on their way.
    Sending {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// What the node does before the guest starts.
    Stage(Stage),
    /// The guest has started.
    Started,
    /// The guest said something.
    Output {
        /// Where.
        stream: OutputStream,
        /// What.
        bytes: Bytes,
    },
    /// The guest said something of itself.
    Said(GuestEvent),
    /// A file came back and lies under the outputs directory.
    OutputFile {
        /// Its place there.
        path: GuestPath,
        /// Its bytes.
        size: u64,
        /// The digest of its content.
        digest: Digest,
    },
    /// The job has ended; the last event.
    Ended(Ended),
}

/// What is told of a job: what happens to it, or that it was a session, which is open.
pub(super) enum Told {
    Event(JobEvent),
    Session(SessionInfo),
}

/// The events of a job.
pub struct JobEvents {
    reader: FrameReader,
    job: JobId,
    peer: String,
    door: Door,
    needed: Option<oneshot::Sender<Vec<Digest>>>,
    sent: watch::Receiver<Sent>,
    cancelled: watch::Receiver<bool>,
    give_up: Option<Instant>,
    /// None once it has ended.
    sending: Option<JoinHandle<SubmitError>>,
    cancelling: JoinHandle<()>,
    accepted: watch::Sender<bool>,
    outputs: Option<OutputsDir>,
    output: Allowance,
    said: Allowance,
    arriving: Option<ArrivingFile>,
    over: bool,
    carrier: Option<Carrier>,
    /// Declared last: a job is recorded when everything of it is done.
    trace: Option<Trace>,
}

enum Step {
    Frame(Result<Option<Frame>, FrameError>),
    Sent(Sent),
    SendFailed(SubmitError),
    Cancelled,
    GiveUp,
}

impl Job {
    /// The job whose `SUBMIT` was sent on `stream`.
    pub(super) fn new(
        stream: FrameStream,
        packed: Packed,
        outputs_dir: Option<PathBuf>,
        peer: String,
        (door, carrier): (Door, Carrier),
        trace: Option<Trace>,
    ) -> Self {
        let (sender, handles) = Sender::new(stream.writer, packed.sources, packed.job.stdin);
        let SenderHandles { needed, stdin, canceller, cancelled, sent } = handles;
        let (accepted, accepted_receiver) = watch::channel(false);
        let cancelling = cancel_when_asked(door.clone(), packed.job.job, cancelled.clone(), accepted_receiver);
        let events = JobEvents {
            reader: stream.reader,
            job: packed.job.job,
            peer,
            door,
            needed: Some(needed),
            sent,
            cancelled,
            give_up: None,
            sending: Some(tokio::spawn(sender.run())),
            cancelling: tokio::spawn(cancelling),
            accepted,
            outputs: outputs_dir.map(|path| OutputsDir::of_job(path, &packed.job)),
            output: Allowance::new("output", packed.job.limits.output_bytes),
            said: Allowance::new("what a guest says of itself", GUEST_EVENTS_LEN_MAX),
            arriving: None,
            over: false,
            carrier: Some(carrier),
            trace,
        };
        Self { id: packed.job.job, stdin, events, canceller }
    }
}

impl JobEvents {
    /// The next event; exactly one [`JobEvent::Ended`] or one error is the last, then `None`. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<JobEvent, SubmitError>> {
        match self.told().await? {
            Ok(Told::Event(event)) => Some(Ok(event)),
            Ok(Told::Session(_)) => Some(Err(self.unexpected(Tag::SESSION_IS, Tag::ENDED))),
            Err(error) => Some(Err(error)),
        }
    }

    /// As [`next`](Self::next), of a job that may be a session.
    pub(super) async fn told(&mut self) -> Option<Result<Told, SubmitError>> {
        while !self.over {
            let event = match self.step().await {
                Step::Frame(frame) => self.take(frame).await,
                Step::Sent(Sent { done, total }) => Ok(Some(Told::Event(JobEvent::Sending { done, total }))),
                Step::SendFailed(error) => Err(error),
                Step::Cancelled => {
                    self.give_up = Some(Instant::now() + CANCEL_TIMEOUT);
                    Ok(None)
                }
                Step::GiveUp => Err(SubmitError::CancelledUnconfirmed { peer: self.peer.clone() }),
            };
            match event {
                Ok(None) => {}
                Ok(Some(told)) => {
                    self.over = matches!(told, Told::Event(JobEvent::Ended(_)) | Told::Session(_));
                    return Some(Ok(told));
                }
                Err(error) => {
                    self.over = true;
                    self.stop_sending();
                    if let Some(trace) = &mut self.trace {
                        trace.failed(&error);
                    }
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn step(&mut self) -> Step {
        let give_up = self.give_up;
        let waiting = give_up.is_none();
        tokio::select! {
            biased;
            frame = self.reader.next() => Step::Frame(frame),
            Ok(()) = self.sent.changed() => Step::Sent(*self.sent.borrow_and_update()),
            Ok(()) = self.cancelled.changed(), if waiting => Step::Cancelled,
            error = sending_failed(&mut self.sending) => Step::SendFailed(error),
            () = sleep_until(give_up.unwrap_or_else(Instant::now)), if !waiting => Step::GiveUp,
        }
    }

    async fn take(&mut self, frame: Result<Option<Frame>, FrameError>) -> Result<Option<Told>, SubmitError> {
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(self.lost("the connection ended").await),
            Err(FrameError::Io(error)) => return Err(self.lost(&error.to_string()).await),
            Err(error) => return Err(SubmitError::from_frame(&self.peer, error)),
        };
        if frame.tag == Tag::ENDED && self.give_up.is_some() {
            // A cancelled job ends also in the middle of a file.
            self.arriving = None;
        }
        if frame.tag != Tag::DATA && self.arriving.is_some() {
            return Err(self.unexpected(frame.tag, Tag::DATA));
        }
        if frame.tag == Tag::SESSION_IS {
            self.stop_sending();
            return Ok(Some(Told::Session(self.decode(&frame)?)));
        }
        Ok(self.event(&frame)?.map(Told::Event))
    }

    fn event(&mut self, frame: &Frame) -> Result<Option<JobEvent>, SubmitError> {
        match frame.tag {
            Tag::ACCEPTED => {
                let accepted: Accepted = self.decode(frame)?;
                self.accepted.send_replace(true);
                if let Some(trace) = &mut self.trace {
                    trace.accepted(&accepted);
                }
                let node = matches!(self.door, Door::There(_)).then_some(accepted.node);
                Ok(Some(JobEvent::Accepted { node, name: accepted.name }))
            }
            Tag::NEED => {
                let need: Need = self.decode(frame)?;
                if let Some(needed) = self.needed.take() {
                    // A sender that has ended says so itself.
                    let _ = needed.send(need.digests);
                }
                Ok(None)
            }
            Tag::STAGE => Ok(Some(JobEvent::Stage(self.decode(frame)?))),
            Tag::STARTED => {
                self.trace.iter_mut().for_each(Trace::started);
                Ok(Some(JobEvent::Started))
            }
            Tag::STDOUT => self.output(OutputStream::Stdout, frame),
            Tag::STDERR => self.output(OutputStream::Stderr, frame),
            Tag::GUEST_SAYS => {
                self.said.take(&self.peer, frame.payload.len() as u64)?;
                // A kind that is not known here is passed over.
                Ok(frame.decode().ok().map(JobEvent::Said))
            }
            Tag::OUTPUT_FILE => self.begin_file(frame),
            Tag::DATA => self.file_bytes(frame),
            Tag::ENDED => {
                let ended: Ended = self.decode(frame)?;
                self.stop_sending();
                if let Some(trace) = &mut self.trace {
                    trace.ended(&ended);
                }
                Ok(Some(JobEvent::Ended(ended)))
            }
            Tag::FAULT => Err(SubmitError::from_frame(&self.peer, FrameError::Fault(self.decode(frame)?))),
            tag => Err(self.unexpected(tag, Tag::ENDED)),
        }
    }

    /// The way to the node, and what must live as long as it is used; for a session that was opened.
    pub(super) fn into_way(mut self) -> (Door, Option<Carrier>, String) {
        (self.door.clone(), self.carrier.take(), std::mem::take(&mut self.peer))
    }

    /// What the guest printed.
    fn output(&mut self, stream: OutputStream, frame: &Frame) -> Result<Option<JobEvent>, SubmitError> {
        self.output.take(&self.peer, frame.payload.len() as u64)?;
        if let Some(trace) = &mut self.trace {
            trace.printed(stream, &frame.payload);
        }
        Ok(Some(JobEvent::Output { stream, bytes: frame.payload.clone() }))
    }

    fn begin_file(&mut self, frame: &Frame) -> Result<Option<JobEvent>, SubmitError> {
        let head: OutputFile = self.decode(frame)?;
        // A node sends files only when they were asked for.
        let Some(outputs) = &mut self.outputs else { return Err(self.unexpected(frame.tag, Tag::ENDED)) };
        self.arriving = Some(outputs.begin(head)?);
        self.finish_file_when_whole()
    }

    fn file_bytes(&mut self, frame: &Frame) -> Result<Option<JobEvent>, SubmitError> {
        let Some(arriving) = &mut self.arriving else { return Err(self.unexpected(frame.tag, Tag::OUTPUT_FILE)) };
        arriving.write(&frame.payload)?;
        self.finish_file_when_whole()
    }

    fn finish_file_when_whole(&mut self) -> Result<Option<JobEvent>, SubmitError> {
        match self.arriving.take() {
            Some(arriving) if arriving.left() == 0 => {
                let file = arriving.finish()?;
                if let Some(trace) = &mut self.trace {
                    trace.brought(&file);
                }
                let OutputFile { path, size, digest, .. } = file;
                Ok(Some(JobEvent::OutputFile { path, size, digest }))
            }
            unfinished => {
                self.arriving = unfinished;
                Ok(None)
            }
        }
    }

    /// A stream that broke, with what the connection knows of why.
    async fn lost(&self, why: &str) -> SubmitError {
        let (closed, why) = match &self.door {
            Door::There(link) => (tokio::time::timeout(CLOSE_TIMEOUT, link.closed()).await.ok(), why),
            Door::Here(_) => (None, why),
            Door::Daemon(_) => (None, "its node has ended"),
        };
        let peer = self.peer.clone();
        if matches!(closed, Some(Closed::There(CloseCode::NOT_A_PEER) | Closed::NotAccepted)) {
            return SubmitError::Unreachable(format!(
                "{peer} does not trust this machine, or not any more; ask its owner for a ticket (`potluck invite`)"
            ));
        }
        if closed == Some(Closed::Here) {
            return SubmitError::PutOut { peer };
        }
        let why = closed.map_or_else(|| why.to_owned(), |closed| closed.to_string());
        if *self.accepted.borrow() {
            SubmitError::Lost { peer, why }
        } else {
            SubmitError::Unreachable(format!("cannot reach {peer}: {why}; nothing of the job has run"))
        }
    }

    fn stop_sending(&mut self) {
        if let Some(sending) = self.sending.take() {
            sending.abort();
        }
    }

    fn decode<T: serde::de::DeserializeOwned>(&self, frame: &Frame) -> Result<T, SubmitError> {
        let decoded = frame.decode().map_err(|source| FrameError::Decode { tag: frame.tag, source });
        decoded.map_err(|error| SubmitError::from_frame(&self.peer, error))
    }

    fn unexpected(&self, got: Tag, wanted: Tag) -> SubmitError {
        SubmitError::from_frame(&self.peer, FrameError::Unexpected { got, wanted })
    }
}

impl Drop for JobEvents {
    fn drop(&mut self) {
        // The task owns the writing half: with it the stream ends, and with the stream the job.
        self.stop_sending();
        self.cancelling.abort();
        if !self.over
            && let Some(carrier) = self.carrier.take()
        {
            carrier.leave(self.door.clone(), self.job);
        }
    }
}

/// Why the sending task has ended; it ends by itself only when it has failed.
async fn sending_failed(sending: &mut Option<JoinHandle<SubmitError>>) -> SubmitError {
    let Some(task) = sending else { return std::future::pending().await };
    let ended = task.await;
    *sending = None;
    ended.unwrap_or_else(|error| SubmitError::internal("sending the job failed", error))
}

#[cfg(test)]
mod tests;
