//! Frames that arrive in pieces of any length.

use crate::ready;
use potluck_node::wire::{FrameReader, payload_len_max};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// The first byte says how long the pieces are in which the others arrive. However they are cut, the frames are the same.
pub fn frames(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let whole = read(bytes, bytes.len());
    let cut = read(bytes, usize::from(cut) + 1);
    assert_eq!(whole, cut);
}

/// The frames, as tag and payload, and whether the stream ended well.
fn read(bytes: &[u8], piece_len: usize) -> (Vec<(u16, Vec<u8>)>, bool) {
    let mut reader = FrameReader::new(Pieces { bytes: bytes.to_vec(), at: 0, piece_len });
    let mut frames = Vec::new();
    loop {
        match ready(reader.next()) {
            Ok(Some(frame)) => {
                assert!(frame.payload.len() <= payload_len_max(frame.tag));
                frames.push((frame.tag.0, frame.payload.to_vec()));
            }
            Ok(None) => return (frames, true),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return (frames, false);
            }
        }
    }
}

struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece_len: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.bytes[self.at..];
        let len = left.len().min(self.piece_len).min(buffer.remaining());
        buffer.put_slice(&left[..len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}
