//! One turn of a session, seen from here: its output is shown as it comes, input is read only when the guest asks for it,
//! and Ctrl-C interrupts the turn, not this process.

use crate::capture::Capture;
use crate::exit::{self, Refusal, Trouble};
use crate::outcome;
use crate::progress::{Manner, Progress};
use crate::signals::{Asked, EndRequests};
use crate::streams::{self, Writer};
use crate::terminal;
use anyhow::Context;
use bytes::Bytes;
use potluck_node::client::{SessionHandle, SessionTurn, TurnEvent};
use potluck_node::wire::TurnEnded;
use potluck_runtime::{Outcome, OutputStream, TurnLimits};
use std::io;
use std::pin::pin;
use tokio::sync::mpsc;

/// What follows a sentence about a turn that was undone.
const UNDONE: &str = "; the turn is undone: the session is what it was before, but for what was written into files";

/// What the guest reads.
pub(crate) enum Input {
    /// The end.
    Nothing,
    /// What a person types when asked.
    Terminal,
    /// This process's stdin, which is touched when the guest first asks.
    Stream(Option<mpsc::Receiver<Bytes>>),
}

impl Input {
    /// This process's stdin, unless reading it would stop the process.
    pub(crate) fn stdin() -> Self {
        if streams::stdin_is_ours() { Self::Stream(None) } else { Self::Nothing }
    }

    /// The next piece; `None` at the end. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Nothing => None,
            Self::Terminal => terminal::next_line().await,
            Self::Stream(Some(pieces)) => pieces.recv().await,
            Self::Stream(unread) => unread.insert(streams::read_stdin().ok()?).recv().await,
        }
    }
}

/// A turn that has ended, and what became of its output.
pub(crate) struct Seen {
    pub(crate) ended: TurnEnded,
    /// What it printed, where that was to be kept.
    pub(crate) capture: Option<Capture>,
    /// Whether Ctrl-C was pressed.
    pub(crate) interrupted: bool,
    /// Whoever read our stdout went away.
    pub(crate) reader_gone: bool,
    /// The last thing printed was no whole line.
    pub(crate) line_open: bool,
}

impl Seen {
    /// What a command exits with that ran this turn.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.interrupted || self.reader_gone {
            return exit::CANCELLED;
        }
        exit::code_of_outcome(&self.ended.outcome)
    }

    /// The sentence for how it ended, if its own output has not said enough.
    pub(crate) fn explanation(&self) -> Option<String> {
        let why = match &self.ended.outcome {
            Outcome::Cancelled => "the turn did not heed the interrupt".to_owned(),
            other => outcome::explanation(other)?,
        };
        Some(if self.ended.undone { why + UNDONE } else { why })
    }
}

/// A session, and what its turns read and heed.
pub(crate) struct Turns<'a> {
    pub(crate) session: &'a SessionHandle,
    pub(crate) requests: &'a mut EndRequests,
    pub(crate) input: Input,
}

impl Turns<'_> {
    /// Runs a turn to its end and shows what it prints, or keeps that in `capture`.
    ///
    /// # Errors
    /// A [`SessionFailure`](potluck_node::client::SessionFailure) when it could not begin or its end is not known; a [`Refusal`] when this process is to end.
    pub(crate) async fn run(
        &mut self,
        source: &str,
        limits: TurnLimits,
        capture: Option<Capture>,
    ) -> anyhow::Result<Seen> {
        let mut show = Show::new(capture)?;
        let mut turn = self.begin(source, limits, &mut show).await?;
        let mut input_wanted = false;
        let ended = loop {
            tokio::select! {
                event = turn.next() => match event? {
                    TurnEvent::Output { stream, bytes } => {
                        if !show.output(stream, bytes).await {
                            self.session.interrupt().await;
                        }
                    }
                    TurnEvent::Stage(stage) => show.progress.wire_stage(&stage),
                    TurnEvent::StdinWanted => input_wanted = true,
                    TurnEvent::Ended(ended) => break ended,
                },
                piece = self.input.next(), if input_wanted => {
                    input_wanted = false;
                    // A turn that takes no more input says by itself how it ended.
                    let _over = match piece {
                        Some(bytes) => turn.write_stdin(bytes).await,
                        None => turn.end_stdin().await,
                    };
                }
                asked = self.requests.next_asked() => show.asked(asked, self.session).await?,
            }
        };
        show.finish(ended).await
    }

    async fn begin(&mut self, source: &str, limits: TurnLimits, show: &mut Show) -> anyhow::Result<SessionTurn> {
        let mut begun = pin!(self.session.turn(source, Some(limits)));
        loop {
            tokio::select! {
                turn = &mut begun => return Ok(turn?),
                asked = self.requests.next_asked() => show.asked(asked, self.session).await?,
            }
        }
    }
}

/// What has been seen of a turn.
struct Show {
    progress: Progress,
    writer: Writer,
    capture: Option<Capture>,
    interrupted: bool,
    reader_gone: bool,
    line_open: bool,
}

impl Show {
    fn new(capture: Option<Capture>) -> anyhow::Result<Self> {
        let writer = Writer::start()?;
        let progress = Progress::new(Manner::suitable(false));
        Ok(Self { progress, writer, capture, interrupted: false, reader_gone: false, line_open: false })
    }

    /// Shows a piece of output; false when that is the first nobody takes.
    async fn output(&mut self, stream: OutputStream, bytes: Bytes) -> bool {
        self.progress.finish();
        self.line_open = bytes.last().is_some_and(|byte| *byte != b'\n');
        if let Some(capture) = &mut self.capture {
            capture.push(stream, &bytes);
            return true;
        }
        if self.reader_gone || self.writer.write(stream, bytes).await {
            return true;
        }
        self.reader_gone = true;
        false
    }

    /// Interrupts the turn, or gives up on it: dropped, it is interrupted too.
    async fn asked(&mut self, asked: Asked, session: &SessionHandle) -> anyhow::Result<()> {
        match asked {
            Asked::Interrupt => {
                self.interrupted = true;
                session.interrupt().await;
                Ok(())
            }
            Asked::End => Err(Refusal::error(Trouble::Cancelled, "asked to end in the middle of a turn")),
        }
    }

    async fn finish(mut self, ended: TurnEnded) -> anyhow::Result<Seen> {
        self.progress.finish();
        match self.writer.finish().await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.reader_gone = true,
            Err(error) => return Err(error).context("cannot write the turn's output to stdout"),
        }
        let Self { capture, interrupted, reader_gone, line_open, .. } = self;
        Ok(Seen { ended, capture, interrupted, reader_gone, line_open })
    }
}
