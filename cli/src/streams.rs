//! The three standard streams of this process, each on a thread of its own: a reader that is slow, or a stdin that
//! never ends, holds up neither the network nor Ctrl-C. Order between stdout and stderr is kept; queues are bounded,
//! so a full one is backpressure on the job. No thread is waited for at the end of the process.

use crate::guest_bar::{GuestBar, REDRAW};
use crate::quantity::ByteSize;
use anyhow::Context;
use bytes::Bytes;
use potluck_runtime::{GuestProgress, OutputStream};
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

/// Pieces of output that wait for a slow reader; each is at most one frame (256 KiB).
const OUTPUT_PIECES_MAX: usize = 8;
/// Pieces of stdin that wait for the job.
const INPUT_PIECES_MAX: usize = 2;
/// Bytes of a program that is read from stdin; it is held in memory and sent in one message.
const SOURCE_LEN_MAX: u64 = 1 << 20;
/// Bytes of a list of names that is read from stdin: some millions of them.
const NAMES_LEN_MAX: u64 = 256 << 20;
/// Bytes of one piece of stdin.
const INPUT_PIECE_LEN_MAX: usize = 64 * 1024;

/// How often it is looked for a piece while the bar is to be drawn when none comes.
const LOOK: Duration = Duration::from_millis(10);

/// Writes what a job writes.
pub(crate) struct Writer {
    pieces: Option<mpsc::Sender<Piece>>,
    /// How far the guest is; the last word counts.
    progress: watch::Sender<Option<GuestProgress>>,
    result: oneshot::Receiver<io::Result<()>>,
}

/// What is to be written.
enum Piece {
    Output(OutputStream, Bytes),
    /// A line of its own on stderr.
    Line(String),
    /// Nothing: the bar has changed.
    Bar,
}

impl Writer {
    /// Starts the writing thread.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::beside(GuestBar::none())
    }

    /// Starts the writing thread, which keeps out of the way of this bar.
    pub(crate) fn beside(mut bar: GuestBar) -> anyhow::Result<Self> {
        let (pieces, mut queue) = mpsc::channel(OUTPUT_PIECES_MAX);
        let (progress, mut so_far) = watch::channel(None);
        let (sender, result) = oneshot::channel();
        let body = move || {
            let mut outcome = Ok(());
            while let Some(piece) = next(&mut queue, &mut bar) {
                match piece {
                    Piece::Output(stream, bytes) => {
                        outcome = bar.beside(stream, &bytes, || write(stream, &bytes));
                    }
                    Piece::Line(text) => bar.line(&text),
                    Piece::Bar => {}
                }
                if outcome.is_err() {
                    break;
                }
                if so_far.has_changed().unwrap_or(false) {
                    let now = so_far.borrow_and_update().clone();
                    bar.show(now);
                }
            }
            bar.show(None);
            // Closed first, so that whoever waits to send learns that nothing more is taken.
            drop(queue);
            let _gone = sender.send(outcome);
        };
        std::thread::Builder::new()
            .name("output".into())
            .spawn(body)
            .context("cannot start a thread for the output")?;
        Ok(Self { pieces: Some(pieces), progress, result })
    }

    /// Hands over a piece; false when stdout takes no more.
    pub(crate) async fn write(&self, stream: OutputStream, bytes: Bytes) -> bool {
        self.put(Piece::Output(stream, bytes)).await
    }

    /// Hands over a line for stderr, which stands for itself; false when stdout takes no more.
    pub(crate) async fn line(&self, text: String) -> bool {
        self.put(Piece::Line(text)).await
    }

    /// The guest is so far; or nothing is shown any more. Waits for nobody.
    pub(crate) fn show(&self, progress: Option<GuestProgress>) {
        self.progress.send_replace(progress);
        if let Some(pieces) = &self.pieces {
            // Full: it is looked at after the next piece. Closed: nothing is shown any more.
            let _full = pieces.try_send(Piece::Bar);
        }
    }

    async fn put(&self, piece: Piece) -> bool {
        match &self.pieces {
            Some(pieces) => pieces.send(piece).await.is_ok(),
            None => false,
        }
    }

    /// Waits until everything is written, and says how that went.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.pieces = None;
        (&mut self.result).await.unwrap_or_else(|_| Err(io::Error::other("the output thread has ended")))
    }
}

/// The next piece. When none comes for a while, the bar is drawn again that the last one has hidden.
fn next(queue: &mut mpsc::Receiver<Piece>, bar: &mut GuestBar) -> Option<Piece> {
    let mut waited = Duration::ZERO;
    while bar.is_hidden() {
        match queue.try_recv() {
            Ok(piece) => return Some(piece),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if waited < REDRAW => std::thread::sleep(LOOK),
            Err(TryRecvError::Empty) => bar.draw(),
        }
        waited += LOOK;
    }
    queue.blocking_recv()
}

fn write(stream: OutputStream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        OutputStream::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        }
        OutputStream::Stderr => {
            // A closed stderr is no reason to end a job whose stdout is read.
            let _gone = io::stderr().lock().write_all(bytes);
            Ok(())
        }
    }
}

/// Whether `--stdin auto` hands stdin on: always, but not that of a terminal whose foreground is another job's, since
/// reading there would stop this process.
pub(crate) fn stdin_is_ours() -> bool {
    if !io::stdin().is_terminal() {
        return true;
    }
    match rustix::termios::tcgetpgrp(io::stdin()) {
        Ok(foreground) => foreground == rustix::process::getpgrp(),
        Err(_) => false,
    }
}

/// All of this process's stdin as a program. Waits for its end.
pub(crate) fn all_of_stdin() -> anyhow::Result<String> {
    text_of_stdin(SOURCE_LEN_MAX)
}

/// All of this process's stdin as a list of names, one on each line. Waits for its end.
pub(crate) fn names_on_stdin() -> anyhow::Result<String> {
    text_of_stdin(NAMES_LEN_MAX)
}

fn text_of_stdin(len_max: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(len_max + 1).read_to_string(&mut text).context("cannot read stdin")?;
    anyhow::ensure!(read as u64 <= len_max, "more than {} on stdin", ByteSize(len_max));
    Ok(text)
}

/// Reads this process's stdin for as long as somebody takes it.
pub(crate) fn read_stdin() -> anyhow::Result<mpsc::Receiver<Bytes>> {
    let (pieces, queue) = mpsc::channel(INPUT_PIECES_MAX);
    let body = move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = vec![0u8; INPUT_PIECE_LEN_MAX];
        loop {
            match stdin.read(&mut buffer) {
                // A stdin that cannot be read (closed, a directory) is an empty one.
                Ok(0) => return,
                Ok(len) => {
                    if pieces.blocking_send(Bytes::copy_from_slice(&buffer[..len])).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("stdin".into()).spawn(body).context("cannot start a thread for stdin")?;
    Ok(queue)
}
