//! What a run says, kept: the frames of its walk as they would have travelled, so that whoever comes later, or comes again,
//! hears them as if it had been there. Short ones stay in memory and go into the record of their run; from
//! [`INLINE_LEN_MAX`] on they are a file.
//!
//! 1. What a follower has read never changes: bytes are only added.
//! 2. A recording that was [finished](Recorder::finish) survives a crash; of one that was not, whole frames at its
//!    beginning may be left, and [`Recorder::reopen`] goes on after them, or before the one that ends it: whoever goes on
//!    hears the end, however much it had heard.

mod folder;

pub use folder::Folder;

use crate::wire::{HEADER_LEN, Tag, payload_len_max};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// From this length on a recording is a file. A map of small tasks then costs no file for each, and a hundred thousand
/// of them a few hundred megabytes at most.
pub const INLINE_LEN_MAX: usize = 32 * 1024;
/// How every file begins: what it is, and its version.
const HEAD: &[u8; 8] = b"PLRECRD1";

/// A finished recording, as its run's record keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// All of it.
    Inline(Vec<u8>),
    /// It is in the file.
    File {
        /// Bytes of frames.
        len: u64,
    },
}

impl Recorded {
    /// Bytes of frames.
    #[must_use]
    pub const fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File { len } => *len,
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A recording that grows. When it is dropped, followers come to its end.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// Adds to a recording: an `AsyncWrite` for a frame writer.
#[derive(Debug)]
pub struct RecordingWriter {
    shared: Arc<Shared>,
    within: Option<(Arc<Room>, u64)>,
}

/// Bytes that some recordings take together.
#[derive(Debug, Default)]
pub struct Room(AtomicU64);

impl Room {
    /// How many.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes so many more, unless they are more than `most` then.
    #[must_use]
    pub fn take(&self, bytes: u64, most: u64) -> bool {
        let more = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= most);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// So many were taken before this was asked.
    pub fn has_taken(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many are not taken any more.
    pub fn give_back(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Reads a recording from some place on, and waits for more until it is over: an `AsyncRead` for a frame reader.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    at: u64,
}

#[derive(Debug)]
struct Shared {
    /// Where it lies if it is long.
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    body: Body,
    /// Bytes of frames.
    len: u64,
    over: bool,
    /// Nobody wants it: nothing is added, and no file is made of it any more.
    given_up: bool,
    lacked_room: bool,
    waiting: Vec<Waker>,
}

#[derive(Clone, Debug)]
enum Body {
    Memory(Vec<u8>),
    File(Arc<File>),
}

impl Recorder {
    /// A recording that is to lie at `path`, should it become long. Nothing may lie there.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { shared: Shared::with(path, Body::Memory(Vec::new()), 0, false) }
    }

    /// Goes on with what lies at `path`, after the last frame that is whole and does not end it; from the beginning when
    /// nothing lies there.
    ///
    /// # Errors
    /// What the system says, or that something else lies there.
    pub fn reopen(path: &Path) -> io::Result<Self> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new(path)),
            Err(error) => return Err(error),
        };
        let len = whole_frames_before_end(&file)?;
        file.set_len(HEAD.len() as u64 + len)?;
        // A crash may have come before the head.
        file.write_all_at(HEAD, 0)?;
        Ok(Self { shared: Shared::with(path, Body::File(Arc::new(file)), len, false) })
    }

    /// Bytes of frames so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared.lock().len
    }

    /// Whether it says nothing yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What adds to it.
    #[must_use]
    pub fn writer(&self) -> RecordingWriter {
        RecordingWriter { shared: self.shared.clone(), within: None }
    }

    /// What adds to it and takes room for that, as long as no more than `most` is taken; then it fails.
    #[must_use]
    pub fn writer_within(&self, room: Arc<Room>, most: u64) -> RecordingWriter {
        RecordingWriter { shared: self.shared.clone(), within: Some((room, most)) }
    }

    /// Whether it was not added to because there was no room.
    #[must_use]
    pub fn lacked_room(&self) -> bool {
        self.shared.lock().lacked_room
    }

    /// Hears all of it from this byte on.
    #[must_use]
    pub fn follow(&self, from: u64) -> Follower {
        Follower { shared: self.shared.clone(), at: from }
    }

    /// Nobody wants it any more. Whoever still adds to it fails; its file can be removed, and does not come back.
    pub fn give_up(&self) {
        let mut state = self.shared.lock();
        (state.over, state.given_up) = (true, true);
        state.wake();
    }

    /// Nothing follows. A file is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// What the system says; followers come to an end all the same.
    pub fn finish(&self) -> io::Result<Recorded> {
        let body = self.shared.lock().body.clone();
        let synced = match &body {
            Body::Memory(_) => Ok(()),
            Body::File(file) => file.sync_all().and_then(|()| sync_parent(&self.shared.path)),
        };
        let mut state = self.shared.lock();
        state.over = true;
        state.wake();
        synced?;
        Ok(match body {
            Body::Memory(bytes) => Recorded::Inline(bytes),
            Body::File(_) => Recorded::File { len: state.len },
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Whoever follows one that was given up does not wait for ever.
        let mut state = self.shared.lock();
        state.over = true;
        state.wake();
    }
}

impl Follower {
    /// Hears a finished recording, whose file would lie at `path`, from this byte on.
    ///
    /// # Errors
    /// What the system says, or that the file is not what was recorded.
    pub fn of(recorded: Recorded, path: &Path, from: u64) -> io::Result<Self> {
        let (body, len) = match recorded {
            Recorded::Inline(bytes) => {
                let len = bytes.len() as u64;
                (Body::Memory(bytes), len)
            }
            Recorded::File { len } => {
                let file = File::open(path)?;
                // Once it was finished it was on disk, to the last frame.
                if file.metadata()?.len() < HEAD.len() as u64 + len {
                    return Err(damaged(path, "it is shorter than what was recorded"));
                }
                (Body::File(Arc::new(file)), len)
            }
        };
        Ok(Self { shared: Shared::with(path, body, len, true), at: from })
    }

    fn read(&self, state: &State, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        let left = usize::try_from(state.len - self.at).unwrap_or(usize::MAX);
        let room = buffer.initialize_unfilled();
        let want = room.len().min(left);
        let read = match &state.body {
            Body::Memory(bytes) => {
                let start = usize::try_from(self.at).map_err(io::Error::other)?;
                let piece = bytes.get(start..start + want).ok_or(io::ErrorKind::UnexpectedEof)?;
                room[..want].copy_from_slice(piece);
                want
            }
            Body::File(file) => file.read_at(&mut room[..want], HEAD.len() as u64 + self.at)?,
        };
        buffer.advance(read);
        if read == 0 && want > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }
}

impl Shared {
    fn with(path: &Path, body: Body, len: u64, over: bool) -> Arc<Self> {
        let state = State { body, len, over, given_up: false, lacked_room: false, waiting: Vec::new() };
        Arc::new(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    fn append(&self, bytes: &[u8], within: Option<&(Arc<Room>, u64)>) -> io::Result<()> {
        let mut state = self.lock();
        if state.given_up {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let added = bytes.len() as u64;
        if within.is_some_and(|(room, most)| !room.take(added, *most)) {
            state.lacked_room = true;
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let total = state.len + added;
        let written = state.write(&self.path, bytes);
        if let (Err(_), Some((room, _))) = (&written, within) {
            room.give_back(added);
        }
        written?;
        state.len = total;
        state.wake();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds bytes where what it has said ends.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Body::Memory(memory) = &mut self.body {
            if memory.len() + bytes.len() <= INLINE_LEN_MAX {
                memory.extend_from_slice(bytes);
                return Ok(());
            }
            let file = create(path)?;
            file.write_all_at(memory, HEAD.len() as u64)?;
            self.body = Body::File(Arc::new(file));
        }
        if let Body::File(file) = &self.body {
            file.write_all_at(bytes, HEAD.len() as u64 + self.len)?;
        }
        Ok(())
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl AsyncWrite for RecordingWriter {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The page cache takes it; what the guest may say in all is bounded by its limits.
        Poll::Ready(self.shared.append(bytes, self.within.as_ref()).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Follower {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        if self.at < state.len {
            let read = self.read(&state, buffer);
            return Poll::Ready(read.map(|read| self.at += read as u64));
        }
        if !state.over {
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(path)?;
    file.write_all_at(HEAD, 0)?;
    Ok(file)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Bytes of the frames at the beginning of a file that are whole, without the one that ends a recording.
fn whole_frames_before_end(file: &File) -> io::Result<u64> {
    let mut head = [0; HEAD.len()];
    let (start, end) = (HEAD.len() as u64, file.metadata()?.len());
    if end < start {
        return Ok(0);
    }
    file.read_exact_at(&mut head, 0)?;
    if &head != HEAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no recording of this version"));
    }
    let (mut at, mut before_end) = (start, start);
    while at + HEADER_LEN as u64 <= end {
        let mut frame = [0; HEADER_LEN];
        file.read_exact_at(&mut frame, at)?;
        let [tag, above, a, b, c, d] = frame;
        let len = u32::from_le_bytes([a, b, c, d]);
        let next = at + HEADER_LEN as u64 + u64::from(len);
        let tag = Tag(u16::from_le_bytes([tag, above]));
        let is_none = len as usize > payload_len_max(tag);
        if next > end || is_none {
            break;
        }
        at = next;
        if !matches!(tag, Tag::ENDED | Tag::FAULT) {
            before_end = at;
        }
    }
    Ok(before_end - start)
}

fn damaged(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
}

/// Removes the file of a recording, if it has one.
///
/// # Errors
/// What the system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
