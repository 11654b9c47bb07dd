//! A file as `DATA` frames: while one piece is sent the next is read, and two pieces' memory serves for all of it.

use super::finished;
use crate::defaults::CHUNK_LEN_MAX;
use crate::wire::{FrameError, FrameWriter, Tag};
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io::{self, Read};

/// How many bytes of a file are read at a time: a few frames' worth, so that the hand-over to a thread that may block
/// costs little.
const READ_LEN: usize = 4 * CHUNK_LEN_MAX;

/// Why a file could not be sent.
pub(crate) enum SendFileError {
    /// The file could not be read, or has become shorter.
    Read(io::Error),
    /// The other side cannot be written to.
    Write(FrameError),
}

/// Sends `size` bytes of a file as `DATA` frames, and calls `progress` with each piece's length.
pub(crate) async fn send_file(
    writer: &mut FrameWriter,
    file: File,
    size: u64,
    mut progress: impl FnMut(u64) + Send,
) -> Result<(), SendFileError> {
    let mut left = size;
    let mut next = (left > 0).then(|| read_ahead(file, left, BytesMut::new()));
    let mut sent = Bytes::new();
    while let Some(reading) = next {
        let (read, file) = reading.await;
        let bytes = read.map_err(SendFileError::Read)?;
        if bytes.is_empty() {
            return Err(SendFileError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        let len = bytes.len() as u64;
        left = left.saturating_sub(len);
        // The piece before has been sent, and its memory serves again.
        let buffer = std::mem::replace(&mut sent, bytes.clone()).try_into_mut().unwrap_or_default();
        next = (left > 0).then(|| read_ahead(file, left, buffer));
        writer.send_bytes(Tag::DATA, bytes).await.map_err(SendFileError::Write)?;
        progress(len);
    }
    Ok(())
}

/// Begins to read the next piece of a file of which so much is left; none is left if it is empty.
fn read_ahead(mut file: File, left: u64, mut buffer: BytesMut) -> impl Future<Output = (io::Result<Bytes>, File)> {
    let wanted = usize::try_from(left).unwrap_or(READ_LEN).min(READ_LEN);
    let reading = tokio::task::spawn_blocking(move || {
        buffer.resize(wanted, 0);
        let result = fill(&mut file, &mut buffer);
        (result.map(|len| buffer.split_to(len).freeze()), file)
    });
    finished(reading)
}

/// Reads until the buffer is full or the file has ended; the answer is how much was read.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
