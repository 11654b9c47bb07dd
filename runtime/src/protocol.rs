//! What the node's process and its worker say to each other: frames over the worker's stdin and stdout. A frame is a tag
//! byte, a length (`u32`, little-endian) and that many bytes. Both ends are the same executable, so the messages carry no
//! version. Everything a worker says is one ordered stream: output keeps its order, and a reader that waits holds the
//! guest back.

use crate::handed::Handed;
use crate::image::SavedSession;
use crate::limits::{Limits, TurnLimits};
use crate::outcome::Report;
use crate::script::{ScriptBoot, SignalPlaces};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The most bytes in one frame; bounds what a reader holds.
pub(crate) const FRAME_LEN_MAX: usize = 4 << 20;
/// The most payload put in a frame of a stream.
pub(crate) const CHUNK_LEN_MAX: usize = 256 << 10;
/// The length of a frame's head.
pub(crate) const HEAD_LEN: usize = 5;
/// How much is asked of the operating system at once, and how large the pipes are made.
pub(crate) const PIPE_LEN: usize = 1 << 20;

/// What a frame holds.
pub(crate) mod tag {
    /// To the worker: a [`super::Spec`], once it has answered the one before.
    pub(crate) const SPEC: u8 = 1;
    /// To the worker: bytes of stdin.
    pub(crate) const STDIN: u8 = 2;
    /// To the worker: stdin ends.
    pub(crate) const STDIN_END: u8 = 3;
    /// From the worker: the native code is loaded, the guest starts.
    pub(crate) const READY: u8 = 16;
    /// From the worker: bytes of the guest's stdout.
    pub(crate) const STDOUT: u8 = 17;
    /// From the worker: bytes of the guest's stderr.
    pub(crate) const STDERR: u8 = 18;
    /// From the worker, the last frame about a spec: a [`super::Answer`].
    pub(crate) const ANSWER: u8 = 19;
    /// From the worker: the turn has read all of its stdin that came, which were so many bytes (`u64`, little-endian), and
    /// waits for more. Nothing of the kind is said again before more has come.
    pub(crate) const INPUT_WANTED: u8 = 20;
    /// From the worker: a [`GuestEvent`](crate::GuestEvent).
    pub(crate) const SAID: u8 = 21;
    /// From the worker: the guest gives a checkpoint, an `Option<u64>`: so many bytes follow; or it forgets what it gave.
    pub(crate) const CHECKPOINT: u8 = 22;
    /// From the worker: bytes of the checkpoint that was announced last.
    pub(crate) const CHECKPOINT_PART: u8 = 23;
    /// From the worker: the guest has opened the control file, and is asked before it is ended; no payload.
    pub(crate) const HEEDS: u8 = 24;
}

/// What a worker is told to do. It takes one order after another; compiling is always its last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Spec {
    Compile(CompileSpec),
    /// Lay out the memory an interpreter starts with.
    Base(BaseSpec),
    /// Run an interpreter and keep what its memory has become.
    Warm(Box<WarmSpec>),
    Load(LoadSpec),
    Run(Box<RunSpec>),
    /// Start an interpreter that takes turns.
    Open(Box<OpenSpec>),
    /// Run one turn of the session that is open.
    Turn(TurnSpec),
    /// Keep what the session's memory becomes in another file from now on.
    Layer(LayerSpec),
    /// Write the session's whole state to a file.
    Save(SaveSpec),
    /// Try what a confined worker must not be able to do.
    Prove,
}

impl Spec {
    /// The files that go along with it, each in its place, always in the same order.
    pub(crate) fn handed(&self) -> Vec<&Handed> {
        match self {
            Self::Compile(spec) => std::iter::once(&spec.source).chain(spec.destination.handed()).collect(),
            Self::Base(spec) => std::iter::once(&spec.source).chain(spec.destination.handed()).collect(),
            Self::Warm(spec) => spec.run.handed().chain(spec.destination.handed()).collect(),
            Self::Load(spec) => vec![&spec.code],
            Self::Run(spec) => spec.handed().collect(),
            Self::Open(spec) => spec.run.handed().chain(&spec.layers).chain([&spec.state, &spec.interrupts]).collect(),
            Self::Turn(_) | Self::Prove => Vec::new(),
            Self::Layer(spec) => vec![&spec.state],
            Self::Save(spec) => vec![&spec.output],
        }
    }
}

impl Spec {
    /// The most that a worker may come to hold by this; nothing where it is not bounded, or not by this.
    pub(crate) fn room(&self) -> Option<Room> {
        let of = |limits: &Limits, copies: u64| Room {
            memory_bytes: limits.memory_bytes.saturating_mul(copies),
            disk_bytes: limits.disk_bytes,
        };
        match self {
            Self::Compile(spec) => spec.memory_bytes.map(|memory_bytes| Room { memory_bytes, disk_bytes: 0 }),
            Self::Run(spec) => Some(of(&spec.limits, 1)),
            Self::Warm(spec) => Some(of(&spec.run.limits, 2)),
            Self::Open(spec) => Some(of(&spec.run.limits, SESSION_COPIES)),
            Self::Base(_) | Self::Load(_) | Self::Turn(_) | Self::Layer(_) | Self::Save(_) | Self::Prove => None,
        }
    }
}

/// A session's memory, the layer it is kept in, and the one that takes that one's place while layers are merged.
const SESSION_COPIES: u64 = 3;

/// What a worker may come to hold of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Memory of its guest, in bytes.
    pub(crate) memory_bytes: u64,
    /// Its guest's files, in bytes.
    pub(crate) disk_bytes: u64,
}

/// Start a session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenSpec {
    /// What the interpreter is given; its limits hold for all turns, of fuel, wall time and output for the boot alone.
    pub(crate) run: RunSpec,
    /// What lies over the image, in this order.
    pub(crate) layers: Vec<Handed>,
    /// What to run first, each as a turn.
    pub(crate) boot: Vec<String>,
    /// Where the state is kept after each turn: an empty file of the parent's, which outlives this process.
    pub(crate) state: Handed,
    /// The pipe by which the parent interrupts a turn: it writes the turn's number (`u64`, little-endian).
    pub(crate) interrupts: Handed,
    /// The number of the session's last turn; 0 before its first.
    pub(crate) turns: u64,
    /// Where in its memory the interpreter looks for an interrupt.
    pub(crate) signals: SignalPlaces,
    /// What is written beside a saved state; its memory's digest is filled in.
    pub(crate) saved: SavedSession,
}

/// One turn.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TurnSpec {
    /// The turn's number, as interrupts name it.
    pub(crate) number: u64,
    pub(crate) source: String,
    pub(crate) limits: TurnLimits,
}

/// Go on in a new layer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LayerSpec {
    /// An empty file of the parent's.
    pub(crate) state: Handed,
    /// Whether it is to hold what all layers below it hold, so that only the image need lie there.
    pub(crate) merged: bool,
}

/// Write the whole state.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SaveSpec {
    /// An empty file.
    pub(crate) output: Handed,
}

/// Inspect a program and make native code of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CompileSpec {
    pub(crate) source: Handed,
    pub(crate) purpose: Purpose,
    /// The most memory that compiling may take, in bytes.
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) destination: Destination,
}

/// Make the image of an interpreter that has not run yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BaseSpec {
    pub(crate) source: Handed,
    pub(crate) destination: Destination,
}

/// Make an image with a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WarmSpec {
    pub(crate) run: RunSpec,
    pub(crate) destination: Destination,
}

/// Where something goes that is to be kept: empty files of the parent's.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Destination {
    /// Nothing where there is no place for it on disk.
    pub(crate) output: Option<Handed>,
    /// Where it goes instead if `output` cannot be written.
    pub(crate) fallback: Option<Handed>,
}

impl Destination {
    fn handed(&self) -> impl Iterator<Item = &Handed> {
        self.output.iter().chain(&self.fallback)
    }
}

/// What a program is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// To be run by itself.
    Command,
    /// To run scripts; trusted to be large (pinned by digest).
    Interpreter,
}

/// What native code was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CodeKind {
    Module,
    Component,
    /// None: a memory image, which is kept like code.
    Image,
}

/// Load compiled code ahead of the run that will want it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoadSpec {
    pub(crate) code: Handed,
    pub(crate) kind: CodeKind,
    pub(crate) purpose: Purpose,
}

/// Run compiled code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunSpec {
    pub(crate) code: Handed,
    pub(crate) kind: CodeKind,
    /// The image a script starts from.
    pub(crate) image: Option<Handed>,
    pub(crate) boot: Boot,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) preopens: Vec<Preopen>,
    /// What the guest found in the directories it may write to when it first got them; not counted.
    pub(crate) given: Given,
    pub(crate) limits: Limits,
}

impl RunSpec {
    fn handed(&self) -> impl Iterator<Item = &Handed> {
        std::iter::once(&self.code).chain(&self.image)
    }
}

/// What was put into a guest's directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// As they are counted against the disk limit.
    pub(crate) bytes: u64,
    /// Files and directories.
    pub(crate) entries: u64,
}

/// How the guest is entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Boot {
    /// `_start`, or `wasi:cli/run` of a component.
    Command,
    /// An export of an interpreter.
    Script(ScriptBoot),
}

/// A directory the guest has from the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Preopen {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) access: Access,
}

/// What a guest may do in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    ReadOnly,
    /// Counted against the disk limit.
    ReadWrite,
}

/// The worker's last word on an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// A run is over, and everything of it is dropped.
    Report {
        report: Report,
        /// Whether the worker is as good as new: the guest ended by itself and left no work under way.
        clean: bool,
    },
    Loaded,
    /// A turn is over. Unless the guest has returned, its memory is of no more use.
    Turned(Turned),
    /// The state of the session is kept (or saved), and nothing of the guest runs.
    Kept {
        /// Files and directories the guest holds open, besides those it was given.
        files_open: u64,
        /// How much memory the guest has.
        memory_bytes: u64,
    },
    Made(Made),
    Proved(Vec<Proof>),
    Refused(Refusal),
    /// The native code cannot be loaded: damaged, or made by another build.
    CodeUnusable(String),
    /// The worker itself could not do its work.
    Failed(String),
}

/// What came of something that a confined worker must not be able to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What was tried.
    pub attempt: String,
    /// Whether the second wall stopped it.
    pub denied: bool,
    /// What the system said.
    pub how: String,
}

/// The end of a turn.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Turned {
    pub(crate) report: Report,
    /// Whether the guest came back by itself.
    pub(crate) returned: bool,
    /// Whether it asked for the session's end.
    pub(crate) quit: bool,
    /// How much memory the guest has.
    pub(crate) memory_bytes: u64,
}

/// Native code or an image was made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) kind: CodeKind,
    pub(crate) len: u64,
    pub(crate) digest: crate::digest::Digest,
    /// Why it lies at the fallback and not where it should, if so.
    pub(crate) displaced: Option<String>,
}

/// Why a program cannot be run, found before compiling or by compiling.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Refusal {
    Unreadable(String),
    NotAProgram(String),
    MissingImport { import: String, hint: String },
    NoEntryPoint(String),
    Compile(String),
    Image(String),
    Store(String),
}

/// Encodes a message as the payload of a frame.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Decodes the payload of a frame.
pub(crate) fn decode<'de, T: Deserialize<'de>>(payload: &'de [u8]) -> io::Result<T> {
    rmp_serde::from_slice(payload).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The head of a frame with `len` bytes of payload.
pub(crate) fn head(tag: u8, len: usize) -> io::Result<[u8; HEAD_LEN]> {
    if len > FRAME_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("message of {len} bytes is too long")));
    }
    let len = u32::try_from(len).map_err(io::Error::other)?.to_le_bytes();
    Ok([tag, len[0], len[1], len[2], len[3]])
}

/// A whole frame.
pub(crate) fn frame(tag: u8, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut frame = Vec::with_capacity(HEAD_LEN + payload.len());
    frame.put_slice(&head(tag, payload.len())?);
    frame.put_slice(payload);
    Ok(frame)
}

/// Cuts a byte stream into frames.
pub(crate) struct FrameReader<R> {
    inner: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, buffer: BytesMut::new() }
    }

    /// The next frame; `None` when the other end is gone. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> io::Result<Option<(u8, Bytes)>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.buffer.capacity() - self.buffer.len() < CHUNK_LEN_MAX {
                self.buffer.reserve(PIPE_LEN);
            }
            if self.inner.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Whether nothing has arrived that was not asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn take(&mut self) -> io::Result<Option<(u8, Bytes)>> {
        let Some(&[tag, a, b, c, d]) = self.buffer.first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        if len > FRAME_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {len} bytes")));
        }
        if self.buffer.len() < HEAD_LEN + len {
            return Ok(None);
        }
        self.buffer.advance(HEAD_LEN);
        Ok(Some((tag, self.buffer.split_to(len).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_being_cut_anywhere() {
        let mut bytes = frame(tag::STDOUT, b"hello").unwrap();
        bytes.extend(frame(tag::STDERR, b"").unwrap());
        let (mut writer, reader) = tokio::io::duplex(3);
        let send = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes).await.unwrap();
        });
        let mut reader = FrameReader::new(reader);
        assert_eq!(reader.next().await.unwrap(), Some((tag::STDOUT, Bytes::from_static(b"hello"))));
        assert_eq!(reader.next().await.unwrap(), Some((tag::STDERR, Bytes::new())));
        assert_eq!(reader.next().await.unwrap(), None);
        send.await.unwrap();
    }

    #[tokio::test]
    async fn a_frame_longer_than_allowed_is_refused_before_it_is_read() {
        let mut reader = FrameReader::new(&[tag::STDOUT, 255, 255, 255, 255][..]);
        assert_eq!(reader.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(head(tag::STDIN, FRAME_LEN_MAX + 1).is_err());
    }
}
