//! A job of this machine's home as whoever follows it sees it: what it says, in the order in which it was said, and how far
//! it is. What a second run repeats is not shown again.

use crate::exit::{Refusal, Trouble};
use crate::guest_words::log_line;
use crate::outcome::tell_left_behind;
use crate::progress::Progress;
use crate::render::say;
use crate::repetition::{Heard, Repetition};
use crate::signals::EndRequests;
use crate::stamps::Stamps;
use crate::standing::{Ending, Standing};
use crate::streams::Writer;
use bytes::Bytes;
use potluck_node::client::{Client, HomeEvent};
use potluck_node::wire::{Ended, FollowJob, JobAt, JobId, JobNow};
use potluck_runtime::{GuestEvent, Outcome, OutputStream};
use std::ops::ControlFlow;

/// How a job is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// As far as it is now.
    Now,
    /// To its end.
    End,
}

/// Which streams are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    Both,
    Only(OutputStream),
}

/// Why nothing more is shown.
#[derive(Debug)]
pub(crate) enum Left {
    /// All was said; this is how the job stands.
    Through(Standing),
    /// The user wants no more.
    Interrupted,
    /// Nobody reads the output any more.
    ReaderGone,
}

/// Shows one job.
pub(crate) struct Follower {
    pub(crate) client: Client,
    pub(crate) job: JobId,
    pub(crate) until: Until,
    pub(crate) streams: Streams,
    /// Whether each line has the time at which it was said.
    pub(crate) stamps: Option<Stamps>,
    /// Tells how the job gets on, where that is wanted.
    pub(crate) progress: Progress,
    /// Writes what it says, and shows how far the guest is.
    pub(crate) writer: Writer,
}

/// What one look at the job came to.
enum Seen {
    Left(Left),
    /// A second run says something else than was shown; all of it is to be shown.
    Differs,
}

impl Follower {
    /// Shows the job as far as is wanted.
    pub(crate) async fn follow(mut self, requests: &mut EndRequests) -> anyhow::Result<Left> {
        let left = loop {
            match self.look(requests).await? {
                Seen::Left(left) => break left,
                Seen::Differs => say("the job was run again elsewhere and says something else now; all of it follows"),
            }
        };
        self.progress.finish();
        self.writer.show(None);
        let written = tokio::select! {
            written = self.writer.finish() => written,
            () = requests.next() => return Ok(Left::Interrupted),
        };
        match written {
            Ok(()) => Ok(left),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Left::ReaderGone),
            Err(error) => Err(anyhow::Error::new(error).context("cannot write the job's output to stdout")),
        }
    }

    /// Follows it from its beginning.
    async fn look(&mut self, requests: &mut EndRequests) -> anyhow::Result<Seen> {
        let which = FollowJob { job: self.job, output: true, now: self.until == Until::Now };
        let mut following = self.client.follow(which).await?;
        let mut repetition = Repetition::default();
        let mut last = None;
        loop {
            let event = tokio::select! {
                event = following.next() => event?,
                () = requests.next() => return Ok(Seen::Left(Left::Interrupted)),
            };
            let Some(event) = event else { break };
            if let HomeEvent::Job(job) = &event {
                last = Some(job.clone());
            }
            if let ControlFlow::Break(seen) = self.take(event, &mut repetition).await {
                return Ok(seen);
            }
        }
        match last.as_ref().map(Standing::from) {
            Some(standing @ Standing::Ended(_)) => Ok(Seen::Left(Left::Through(standing))),
            Some(standing) if self.until == Until::Now => Ok(Seen::Left(Left::Through(standing))),
            _ => Err(node_gone()),
        }
    }

    async fn take(&mut self, event: HomeEvent, repetition: &mut Repetition) -> ControlFlow<Seen> {
        match event {
            HomeEvent::Job(job) => self.tell(&job),
            HomeEvent::Says(_) => repetition.begins_again(),
            HomeEvent::Stage(stage) => self.progress.wire_stage(&stage),
            HomeEvent::Started => self.progress.finish(),
            HomeEvent::Time(unix_ms) => self.stamps.iter_mut().for_each(|stamps| stamps.at(unix_ms)),
            HomeEvent::Output { stream, bytes } => {
                self.progress.finish();
                return match repetition.take(stream, bytes) {
                    Heard::New(bytes) => self.write(stream, &bytes).await,
                    Heard::Differs => ControlFlow::Break(Seen::Differs),
                };
            }
            HomeEvent::Said(event) => {
                self.progress.finish();
                return self.said(event, repetition).await;
            }
            HomeEvent::RunEnded(ended) => {
                if says_all(&ended) && !repetition.is_whole() {
                    return ControlFlow::Break(Seen::Differs);
                }
                tell_left_behind(&ended);
            }
            // The job's end says it, or that it waits again.
            HomeEvent::RunFailed(_) | HomeEvent::File { .. } => {}
        }
        ControlFlow::Continue(())
    }

    /// What the guest says of itself.
    async fn said(&mut self, event: GuestEvent, repetition: &mut Repetition) -> ControlFlow<Seen> {
        match event {
            GuestEvent::Progress(progress) => self.writer.show(Some(progress)),
            GuestEvent::Log(log) if self.streams != Streams::Only(OutputStream::Stdout) => {
                let line = log_line(&log);
                if !repetition.is_new_word(&line) {
                    return ControlFlow::Continue(());
                }
                let line = self.stamps.as_ref().map_or_else(|| line.clone(), |stamps| stamps.line(&line));
                if !self.writer.line(line).await {
                    return ControlFlow::Break(Seen::Left(Left::ReaderGone));
                }
            }
            // What this run says, no run has said before.
            GuestEvent::Restored { .. } => repetition.goes_on(),
            GuestEvent::Log(_) | GuestEvent::Result(_) | GuestEvent::Checkpoint { .. } => {}
        }
        ControlFlow::Continue(())
    }

    fn tell(&self, job: &JobNow) {
        match Standing::from(job) {
            Standing::Waits(Some(why)) => {
                self.progress.finish();
                self.progress.remark(&format!("the job waits again: {why}"));
            }
            Standing::Runs(place) => self.progress.remark(&format!("running on {place}")),
            Standing::Waits(None) | Standing::Sent(_) | Standing::Ended(_) => {}
        }
    }

    async fn write(&mut self, stream: OutputStream, bytes: &Bytes) -> ControlFlow<Seen> {
        if bytes.is_empty() || matches!(self.streams, Streams::Only(only) if only != stream) {
            return ControlFlow::Continue(());
        }
        let bytes = self.stamps.as_mut().map_or_else(|| bytes.clone(), |stamps| stamps.put(stream, bytes));
        if self.writer.write(stream, bytes).await {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(Seen::Left(Left::ReaderGone))
        }
    }
}

/// Whether the run came to its own end: one that was ended from outside may not have come as far as the one before.
fn says_all(ended: &Ended) -> bool {
    match ended.report.outcome {
        Outcome::Exited(_) | Outcome::Trapped(_) | Outcome::Limit(_) => true,
        Outcome::Cancelled | Outcome::Lost(_) => false,
    }
}

/// Waits until a job has ended.
pub(crate) async fn end_of(client: &Client, job: JobId) -> anyhow::Result<Ending> {
    let mut following = client.follow(FollowJob { job, output: false, now: false }).await?;
    while let Some(event) = following.next().await? {
        if let HomeEvent::Job(now) = event
            && let JobAt::Ended(end) = now.at
        {
            return Ok(Ending::from(&end));
        }
    }
    Err(node_gone())
}

/// Whoever read the output has gone. The job goes on.
pub(crate) fn reader_gone() -> anyhow::Error {
    Refusal::error(Trouble::ReaderGone, "nobody reads the output any more")
}

/// The node has gone while a job was followed.
pub(crate) fn node_gone() -> anyhow::Error {
    let text = "the node of this machine has gone; the job outlives it: `potluck up -d` starts it again, and the same \
                command comes back to the job";
    Refusal::error(Trouble::Failed, text)
}
