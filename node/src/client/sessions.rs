//! A session as its user sees it, wherever it is: on this machine's node, at a peer, or in this process.

use super::Client;
use super::allowance::Allowance;
use super::door::{Carrier, Door, Talk};
use super::network::{KnownPeers, decoded};
use super::opening::{GoesOn, SessionOpening};
use super::saved::{MEMORY_LEN_SLACK, SavedSession};
use super::session_failure::SessionFailure;
use super::target::Target;
use crate::wire::{
    ForkSession, Frame, FrameError, OutputFile, RunTurn, SessionInfo, SessionMemory, Stage, Tag, TurnEnded,
    WhichSession,
};
use bytes::Bytes;
use potluck_runtime::{OutputStream, TurnLimits};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// The most memory that an interpreter's addresses of 32 bits reach, in bytes.
const ADDRESSED_MAX: u64 = 1 << 32;

/// How much of a session has travelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A session that can be used. Clones are the same session.
#[derive(Clone)]
pub struct SessionHandle {
    info: Arc<SessionInfo>,
    way: Arc<Way>,
}

/// The way to a session's node.
struct Way {
    client: Client,
    node: String,
    door: Door,
    /// Lives as long as the door is used.
    _carrier: Option<Carrier>,
}

/// A turn that runs. Dropped before its end, it is undone.
pub struct SessionTurn {
    talk: Talk,
    node: String,
    output: Allowance,
}

/// What happens in a turn, in order.
#[derive(Debug)]
pub enum TurnEvent {
    /// It waits for others to end.
    Stage(Stage),
    /// The guest said something.
    Output {
        /// Where.
        stream: OutputStream,
        /// What.
        bytes: Bytes,
    },
    /// The guest waits for stdin.
    StdinWanted,
    /// It has ended; the last event.
    Ended(TurnEnded),
}

impl Client {
    /// Whether somebody is called so, before much is sent for them.
    async fn knows(&self, target: &Target) -> Result<(), SessionFailure> {
        if let Target::Peer(peer) = target {
            KnownPeers::load(self).await?.find(peer)?;
        }
        Ok(())
    }

    /// Has a session go on elsewhere, with its memory, its files, its id and its name.
    ///
    /// # Errors
    /// [`SessionFailure`]; the session is still where it was then. If what failed is its end there, it is in both places.
    pub async fn move_session(
        &self,
        session: SessionHandle,
        target: Target,
        watch: &mut (dyn FnMut(Transfer) + Send),
    ) -> Result<SessionHandle, SessionFailure> {
        self.knows(&target).await?;
        let saved = session.fetch(watch).await?;
        let opening = SessionOpening { name: saved.about.name.clone(), ..SessionOpening::default() };
        let goes_on = Some(GoesOn { saved, moved: true });
        let moved = self.open_with(session.info.session, target, opening, goes_on).await?.open().await?;
        session.stop().await?;
        Ok(moved)
    }
}

impl SessionHandle {
    pub(super) fn new(client: Client, info: SessionInfo, way: (Door, Option<Carrier>, String)) -> Self {
        let (door, carrier, node) = way;
        Self { info: Arc::new(info), way: Arc::new(Way { client, node, door, _carrier: carrier }) }
    }

    /// What its node said of it when it was found.
    #[must_use]
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// The label of its node.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.way.node
    }

    /// Whether it goes on when this process has ended; one in this process does not.
    #[must_use]
    pub fn stays(&self) -> bool {
        !matches!(self.way.door, Door::Here(_))
    }

    /// Runs one turn.
    ///
    /// # Errors
    /// [`SessionFailure`] when the request cannot be sent; a refusal comes as the first event.
    pub async fn turn(&self, source: &str, limits: Option<TurnLimits>) -> Result<SessionTurn, SessionFailure> {
        let allowed = limits.as_ref().map_or(self.info.limits.output_bytes, |limits| limits.output_bytes);
        let request = RunTurn { session: self.info.session, source: source.to_owned(), limits };
        let talk = self.ask(Frame::message(Tag::SESSION_TURN, &request)).await?;
        Ok(SessionTurn { talk, node: self.way.node.clone(), output: Allowance::new("output", allowed) })
    }

    /// Interrupts the turn that runs, if one does, as Ctrl-C does. Whether that worked is seen in the turn.
    pub async fn interrupt(&self) {
        if let Ok(mut talk) = self.ask(self.which(Tag::SESSION_INTERRUPT)).await {
            let _ = talk.answer(Tag::DONE).await;
        }
    }

    /// Writes it to a file, in place of one that is there; returns the file's bytes.
    ///
    /// # Errors
    /// [`SessionFailure`]; the file is as it was then.
    pub async fn save(&self, path: &Path, watch: &mut (dyn FnMut(Transfer) + Send)) -> Result<u64, SessionFailure> {
        let (saved, path) = (self.fetch(watch).await?, path.to_owned());
        crate::service::blocking(move || saved.pack(&path)).await
    }

    /// An independent twin beside it.
    ///
    /// # Errors
    /// [`SessionFailure`].
    pub async fn fork(&self, name: Option<String>) -> Result<Self, SessionFailure> {
        let request = ForkSession { session: self.info.session, twin: super::new_job_id()?, name };
        let mut talk = self.ask(Frame::message(Tag::SESSION_FORK, &request)).await?;
        let frame = talk.answer(Tag::SESSION_IS).await.map_err(|error| self.broken(error))?;
        Ok(Self { info: Arc::new(decoded(&frame)?), way: Arc::clone(&self.way) })
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`SessionFailure`].
    pub async fn stop(&self) -> Result<(), SessionFailure> {
        let mut talk = self.ask(self.which(Tag::SESSION_STOP)).await?;
        talk.answer(Tag::DONE).await.map(drop).map_err(|error| self.broken(error))
    }

    fn which(&self, tag: Tag) -> Frame {
        Frame::message(tag, &WhichSession { session: self.info.session })
    }

    async fn ask(&self, request: Frame) -> Result<Talk, SessionFailure> {
        self.way.door.ask(request).await.map_err(|error| self.broken(error))
    }

    fn broken(&self, error: FrameError) -> SessionFailure {
        SessionFailure::from_frame(&self.way.node, error)
    }

    /// Brings all of it here; it goes on where it is.
    async fn fetch(&self, watch: &mut (dyn FnMut(Transfer) + Send)) -> Result<SavedSession, SessionFailure> {
        let broken = |error| self.broken(error);
        let mut talk = self.ask(self.which(Tag::SESSION_SAVE)).await?;
        let info: SessionInfo = decoded(&talk.answer(Tag::SESSION_IS).await.map_err(broken)?)?;
        let paths = self.way.client.paths();
        let failed = |source| SessionFailure::File { path: paths.mounts_dir(), source };
        let mut saved = SavedSession::new(paths, &info).map_err(failed)?;
        let memory: SessionMemory = loop {
            let frame = talk.next().await.map_err(broken)?.ok_or_else(|| broken(FrameError::Truncated))?;
            match frame.tag {
                Tag::OUTPUT_FILE => self.fetch_file(&mut talk, &mut saved, decoded(&frame)?).await?,
                Tag::SESSION_MEMORY => break decoded(&frame)?,
                got => return Err(broken(FrameError::Unexpected { got, wanted: Tag::SESSION_MEMORY })),
            }
        };
        for left in &memory.left_behind {
            tracing::warn!(file = left, "a file of the session stays behind");
        }
        let memory_max = info.limits.memory_bytes.min(ADDRESSED_MAX).saturating_add(MEMORY_LEN_SLACK);
        let announced = Allowance::new("memory", memory_max).take(&self.way.node, memory.size);
        announced.map_err(SessionFailure::Request)?;
        saved.about.directories = memory.directories;
        let mut file = saved.create_memory().map_err(failed)?;
        let mut transfer = Transfer { done: 0, total: memory.size };
        while transfer.done < transfer.total {
            watch(transfer);
            let bytes = talk.answer(Tag::DATA).await.map_err(broken)?.payload;
            transfer.done += bytes.len() as u64;
            file = crate::service::blocking(move || file.write_all(&bytes).map(|()| file)).await.map_err(failed)?;
        }
        watch(transfer);
        // The node holds the session until it has sent all of it; then the next turn is not refused.
        match talk.next().await.map_err(broken)? {
            None => Ok(saved),
            Some(Frame { tag: got, .. }) => Err(broken(FrameError::Unexpected { got, wanted: Tag::DATA })),
        }
    }

    async fn fetch_file(
        &self,
        talk: &mut Talk,
        saved: &mut SavedSession,
        head: OutputFile,
    ) -> Result<(), SessionFailure> {
        let mut arriving = saved.begin(head)?;
        while arriving.left() > 0 {
            let bytes = talk.answer(Tag::DATA).await.map_err(|error| self.broken(error))?.payload;
            arriving.write(&bytes)?;
        }
        saved.has(&arriving.finish()?);
        Ok(())
    }
}

impl SessionTurn {
    /// The next event; [`TurnEvent::Ended`] or an error is the last. Safe to cancel.
    ///
    /// # Errors
    /// [`SessionFailure`]: the turn was refused, or the connection is gone.
    pub async fn next(&mut self) -> Result<TurnEvent, SessionFailure> {
        let frame = self.talk.next().await.and_then(|frame| frame.ok_or(FrameError::Truncated));
        let frame = frame.map_err(|error| SessionFailure::from_frame(&self.node, error))?;
        if matches!(frame.tag, Tag::STDOUT | Tag::STDERR) {
            let taken = self.output.take(&self.node, frame.payload.len() as u64);
            taken.map_err(SessionFailure::Request)?;
        }
        Ok(match frame.tag {
            Tag::STDOUT => TurnEvent::Output { stream: OutputStream::Stdout, bytes: frame.payload },
            Tag::STDERR => TurnEvent::Output { stream: OutputStream::Stderr, bytes: frame.payload },
            Tag::STDIN_WANTED => TurnEvent::StdinWanted,
            Tag::STAGE => TurnEvent::Stage(decoded(&frame)?),
            Tag::TURN_ENDED => TurnEvent::Ended(decoded(&frame)?),
            got => {
                let error = FrameError::Unexpected { got, wanted: Tag::TURN_ENDED };
                return Err(SessionFailure::from_frame(&self.node, error));
            }
        })
    }

    /// Sends what the guest is to read; waits while it does not.
    ///
    /// # Errors
    /// [`SessionFailure`] when the connection is gone.
    pub async fn write_stdin(&mut self, bytes: Bytes) -> Result<(), SessionFailure> {
        let sent = self.talk.writer().send_bytes(Tag::STDIN, bytes).await;
        sent.map_err(|error| SessionFailure::from_frame(&self.node, error))
    }

    /// Ends its stdin.
    ///
    /// # Errors
    /// [`SessionFailure`] when the connection is gone.
    pub async fn end_stdin(&mut self) -> Result<(), SessionFailure> {
        let sent = self.talk.writer().send_empty(Tag::STDIN_END).await;
        sent.map_err(|error| SessionFailure::from_frame(&self.node, error))
    }
}
