//! Frames: a tag (u16), a length (u32), both little-endian, and that many bytes. Bulk tags carry raw bytes, the others
//! a message of [`super::codec`].
//!
//! Both halves survive cancellation: a [`FrameReader::next`] that is dropped loses nothing, and a [`FrameWriter::send`]
//! that is dropped leaves its rest to be written by the next call, so a frame is never cut in the middle.

use super::bounds::{MESSAGE_LEN_MAX, payload_len_max};
use super::codec::{DecodeError, decode, encode};
use super::fault::Fault;
use super::tag::Tag;
use crate::defaults::CHUNK_LEN_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::VecDeque;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 6;
/// Bytes a writer gathers into one write with the header instead of handing the payload over by itself.
const INLINE_LEN_MAX: usize = 1024;
/// Bytes of small frames that wait for a flush, at most.
const QUEUED_LEN_MAX: usize = 16 * 1024;
/// Bytes a reader asks for when it does not know what comes next.
const READ_LEN: usize = 16 * 1024;
/// Payloads from this length on give their memory back to the reader.
const RENEWED_LEN_MIN: usize = CHUNK_LEN_MAX / 4;
/// So many payloads whose memory the reader may take back are remembered, of each stream that carries large ones: with the
/// longest frames 3 MiB, which a stream that goes on needs anyway.
const LENT_MAX: usize = 12;
/// Bytes in flight between the ends of [`FrameStream::pair`]; the writer waits when they are full.
const PAIR_LEN: usize = 256 * 1024;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub tag: Tag,
    /// Raw bytes, or an encoded message.
    pub payload: Bytes,
}

impl Frame {
    /// A frame without payload.
    #[must_use]
    pub const fn empty(tag: Tag) -> Self {
        Self { tag, payload: Bytes::new() }
    }

    /// A frame that carries `message`.
    #[must_use]
    pub fn message<T: Serialize>(tag: Tag, message: &T) -> Self {
        Self { tag, payload: encode(message) }
    }

    /// The message it carries.
    ///
    /// # Errors
    /// [`DecodeError`] when it carries something else.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        decode(&self.payload)
    }
}

/// Why frames could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream below failed; the other side or the connection is gone.
    #[error("stream to the other side broke")]
    Io(#[source] io::Error),
    /// The stream ended inside a frame, or where one was needed.
    #[error("stream ended early")]
    Truncated,
    /// A length is over its bound.
    #[error("{tag} frame of {len} bytes is over its bound of {len_max}")]
    TooLong {
        /// The frame's tag.
        tag: Tag,
        /// Its length.
        len: usize,
        /// The bound.
        len_max: usize,
    },
    /// The payload is not what the tag promises.
    #[error("{tag} frame cannot be understood")]
    Decode {
        /// The frame's tag.
        tag: Tag,
        /// Why.
        source: DecodeError,
    },
    /// Another frame was due.
    #[error("{got} frame arrived where {wanted} was due")]
    Unexpected {
        /// What arrived.
        got: Tag,
        /// What was due.
        wanted: Tag,
    },
    /// The other side refused or failed.
    #[error("{0}")]
    Fault(Fault),
}

/// Reads frames.
pub struct FrameReader {
    inner: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    /// Large payloads that were handed out. The memory of one that nobody needs any more serves again: fresh memory, which
    /// the kernel fills with zeros first, cost an eighth of the time of a transfer.
    lent: VecDeque<Bytes>,
}

impl FrameReader {
    /// Frames from `inner`.
    pub fn new(inner: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self { inner: Box::new(inner), buffer: BytesMut::new(), lent: VecDeque::new() }
    }

    /// The next frame, or `None` where the stream ends between frames. Safe to cancel.
    ///
    /// # Errors
    /// [`FrameError`]; the stream is of no use after one.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        self.next_of(None).await
    }

    /// What the next frame is and how long, as soon as that is known and before the rest of it is taken in; `None` where the
    /// stream ends between frames. Safe to cancel.
    ///
    /// # Errors
    /// [`FrameError`], among others [`FrameError::TooLong`].
    pub async fn peek(&mut self) -> Result<Option<(Tag, usize)>, FrameError> {
        loop {
            if let Some(head) = self.head()? {
                return Ok(Some(head));
            }
            self.make_room(READ_LEN);
            if self.inner.read_buf(&mut self.buffer).await.map_err(FrameError::Io)? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Truncated) };
            }
        }
    }

    /// The next frame. Where only one tag is of use, a frame of another is refused by its head, whatever it carries.
    async fn next_of(&mut self, wanted: Option<Tag>) -> Result<Option<Frame>, FrameError> {
        loop {
            if let (Some(wanted), Some((got, _))) = (wanted, self.head()?)
                && got != wanted
                && got != Tag::FAULT
            {
                return Err(FrameError::Unexpected { got, wanted });
            }
            if let Some(frame) = self.take_buffered()? {
                return Ok(Some(frame));
            }
            let read = self.inner.read_buf(&mut self.buffer).await.map_err(FrameError::Io)?;
            if read == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Truncated) };
            }
        }
    }

    /// The next frame, which must be there. A `FAULT` is an error.
    ///
    /// # Errors
    /// [`FrameError`], among others [`FrameError::Fault`].
    pub async fn expect_any(&mut self) -> Result<Frame, FrameError> {
        self.expect_of(None).await
    }

    async fn expect_of(&mut self, wanted: Option<Tag>) -> Result<Frame, FrameError> {
        let frame = self.next_of(wanted).await?.ok_or(FrameError::Truncated)?;
        if frame.tag == Tag::FAULT {
            let fault: Fault = frame.decode().map_err(|source| FrameError::Decode { tag: Tag::FAULT, source })?;
            // It will be printed: lines are kept, what a terminal would obey is not.
            let text: String = fault.text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
            return Err(FrameError::Fault(Fault::new(fault.code, text)));
        }
        Ok(frame)
    }

    /// The next frame, which must be of this tag.
    ///
    /// # Errors
    /// [`FrameError`], among others [`FrameError::Fault`] and [`FrameError::Unexpected`].
    pub async fn expect(&mut self, wanted: Tag) -> Result<Frame, FrameError> {
        self.expect_of(Some(wanted)).await
    }

    /// The message of the next frame, which must be of this tag.
    ///
    /// # Errors
    /// [`FrameError`].
    pub async fn expect_message<T: DeserializeOwned>(&mut self, wanted: Tag) -> Result<T, FrameError> {
        let frame = self.expect(wanted).await?;
        frame.decode().map_err(|source| FrameError::Decode { tag: wanted, source })
    }

    /// A frame that is already whole in the buffer; otherwise makes room for what is missing of it.
    fn take_buffered(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((tag, len)) = self.head()? else {
            self.make_room(READ_LEN);
            return Ok(None);
        };
        if self.buffer.len() < HEADER_LEN + len {
            let missing = HEADER_LEN + len - self.buffer.len();
            // Large payloads are made room for as they arrive: a length alone costs us at most this.
            self.make_room(missing.min(CHUNK_LEN_MAX));
            return Ok(None);
        }
        self.buffer.advance(HEADER_LEN);
        let payload = self.buffer.split_to(len).freeze();
        if len >= RENEWED_LEN_MIN {
            self.lent.truncate(LENT_MAX - 1);
            self.lent.push_front(payload.clone());
        }
        Ok(Some(Frame { tag, payload }))
    }

    /// The tag and length of the frame at the buffer's start, if they are there; a length over its bound is refused.
    fn head(&self) -> Result<Option<(Tag, usize)>, FrameError> {
        let Some(&[tag, above, a, b, c, d]) = self.buffer.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let tag = Tag(u16::from_le_bytes([tag, above]));
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let len_max = payload_len_max(tag);
        if len > len_max { Err(FrameError::TooLong { tag, len, len_max }) } else { Ok(Some((tag, len))) }
    }

    /// Makes room for so many more bytes, in memory that was lent if it is free.
    fn make_room(&mut self, len: usize) {
        if self.buffer.capacity() - self.buffer.len() < len
            && let Some(free) = self.lent.iter().position(Bytes::is_unique)
            && let Some(Ok(mut memory)) = self.lent.remove(free).map(Bytes::try_into_mut)
        {
            memory.clear();
            memory.extend_from_slice(&self.buffer);
            self.buffer = memory;
        }
        self.buffer.reserve(len);
    }
}

/// Writes frames. Waits while the other side does not read: that is the backpressure of everything above.
pub struct FrameWriter {
    inner: Box<dyn AsyncWrite + Send + Unpin>,
    /// Small frames that go out with the next one.
    queued: BytesMut,
    /// What a cancelled call left unwritten; at most two pieces, header and payload.
    pending: VecDeque<Bytes>,
}

impl FrameWriter {
    /// Frames into `inner`.
    pub fn new(inner: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { inner: Box::new(inner), queued: BytesMut::new(), pending: VecDeque::new() }
    }

    /// Sends a frame. When this is cancelled the frame is sent by the next call, or lost as a whole with the stream.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] before anything is sent, or [`FrameError::Io`].
    pub async fn send(&mut self, frame: Frame) -> Result<(), FrameError> {
        let head = head(&frame)?;
        // What a cancelled call has left goes first, so that it does not grow.
        self.write_pending().await?;
        let inline = frame.payload.len() <= INLINE_LEN_MAX;
        self.queued.put_slice(&head);
        if inline {
            self.queued.put_slice(&frame.payload);
        }
        self.pending.push_back(self.queued.split().freeze());
        if !inline {
            self.pending.push_back(frame.payload);
        }
        self.write_pending().await
    }

    /// Sends a frame together with the next one, or with a [`FrameWriter::flush`], which must follow: one write, and one
    /// waking of the other side, serves both. A frame that is not small is sent now.
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn queue(&mut self, frame: Frame) -> Result<(), FrameError> {
        if frame.payload.len() > INLINE_LEN_MAX || self.queued.len() > QUEUED_LEN_MAX {
            return self.send(frame).await;
        }
        self.queued.put_slice(&head(&frame)?);
        self.queued.put_slice(&frame.payload);
        Ok(())
    }

    /// Whether frames wait for a [`FrameWriter::flush`].
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.queued.is_empty() || !self.pending.is_empty()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn send_message<T: Serialize>(&mut self, tag: Tag, message: &T) -> Result<(), FrameError> {
        self.send(Frame::message(tag, message)).await
    }

    /// Sends a frame without payload.
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn send_empty(&mut self, tag: Tag) -> Result<(), FrameError> {
        self.send(Frame::empty(tag)).await
    }

    /// As [`FrameWriter::send_bytes`], but small ones wait as in [`FrameWriter::queue`].
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn queue_bytes(&mut self, tag: Tag, bytes: Bytes) -> Result<(), FrameError> {
        if bytes.len() > INLINE_LEN_MAX {
            return self.send_bytes(tag, bytes).await;
        }
        self.queue(Frame { tag, payload: bytes }).await
    }

    /// Sends raw bytes in as many frames as they need; none for no bytes.
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn send_bytes(&mut self, tag: Tag, mut bytes: Bytes) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(payload_len_max(tag)));
            self.send(Frame { tag, payload: piece }).await?;
        }
        Ok(())
    }

    /// Sends a refusal; its text is cut where it would not fit.
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn send_fault(&mut self, fault: &Fault) -> Result<(), FrameError> {
        let text: String = fault.text.chars().take(MESSAGE_LEN_MAX / 8).collect();
        self.send_message(Tag::FAULT, &Fault::new(fault.code, text)).await
    }

    /// Says that nothing more follows.
    ///
    /// # Errors
    /// [`FrameError::Io`].
    pub async fn finish(&mut self) -> Result<(), FrameError> {
        self.flush().await?;
        self.inner.shutdown().await.map_err(FrameError::Io)
    }

    /// Sends what is queued. Safe to cancel.
    ///
    /// # Errors
    /// [`FrameError::Io`].
    pub async fn flush(&mut self) -> Result<(), FrameError> {
        if !self.queued.is_empty() {
            self.pending.push_back(self.queued.split().freeze());
        }
        self.write_pending().await
    }

    async fn write_pending(&mut self) -> Result<(), FrameError> {
        while let Some(piece) = self.pending.front_mut() {
            if piece.has_remaining() {
                let written = self.inner.write_buf(piece).await.map_err(FrameError::Io)?;
                if written == 0 && piece.has_remaining() {
                    return Err(FrameError::Io(io::ErrorKind::WriteZero.into()));
                }
            } else {
                self.pending.pop_front();
            }
        }
        self.inner.flush().await.map_err(FrameError::Io)
    }
}

/// What stands before a frame's payload.
fn head(frame: &Frame) -> Result<[u8; HEADER_LEN], FrameError> {
    let (tag, len, len_max) = (frame.tag, frame.payload.len(), payload_len_max(frame.tag));
    let length = u32::try_from(len).ok().filter(|_| len <= len_max);
    let Some(length) = length else { return Err(FrameError::TooLong { tag, len, len_max }) };
    let (tag, length) = (tag.0.to_le_bytes(), length.to_le_bytes());
    Ok([tag[0], tag[1], length[0], length[1], length[2], length[3]])
}

/// Both directions of one request. Dropping it ends it: the other side reads an end and its writes fail.
pub struct FrameStream {
    /// What the other side says.
    pub reader: FrameReader,
    /// What we say.
    pub writer: FrameWriter,
}

impl FrameStream {
    /// Frames over a pair of byte streams.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { reader: FrameReader::new(reader), writer: FrameWriter::new(writer) }
    }

    /// Two ends in this process.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let (left, right) = tokio::io::duplex(PAIR_LEN);
        let (left_reader, left_writer) = tokio::io::split(left);
        let (right_reader, right_writer) = tokio::io::split(right);
        (Self::new(left_reader, left_writer), Self::new(right_reader, right_writer))
    }
}

#[cfg(test)]
mod tests;
