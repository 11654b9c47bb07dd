//! The file of an image: the bytes of a linear memory (pages of zeros are holes), then a tail that says what else makes up
//! the state of the guest, then the tail's length and a mark. Memory comes first, so that it can be mapped as it lies.

use crate::protocol::Given;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The last bytes of every image; the digits are the version of the format.
const MARK: &[u8; 8] = b"PLKIMG01";
/// The tail's length and the mark.
const END_LEN: u64 = 4 + MARK.len() as u64;
/// The longest tail; one of a whole image is about a hundred bytes, a layer's has up to ten for each row of pages.
const TAIL_LEN_MAX: u32 = 1 << 20;
/// What memory is compared, written and mapped in, in bytes.
pub(crate) const PAGE: usize = 4096;
/// The most memory a guest of 32 bits has, in bytes.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// The state of a guest that is not in its memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageTail {
    /// How much memory the guest has, in bytes.
    pub(crate) memory_bytes: u64,
    /// Its mutable globals, by the names they are exported under.
    pub(crate) globals: Vec<(String, GlobalValue)>,
    /// Nothing for a whole memory. For a layer, which pages of the memory it holds, as the first of each row and their
    /// number; the others are those of the image below it.
    #[serde(default)]
    pub(crate) pages: Option<Vec<(u32, u32)>>,
    /// What a session's state was saved with.
    #[serde(default)]
    pub(crate) session: Option<SavedSession>,
}

impl ImageTail {
    /// The end of a whole image.
    pub(crate) fn whole(memory_bytes: u64, globals: Vec<(String, GlobalValue)>) -> Self {
        Self { memory_bytes, globals, pages: None, session: None }
    }
}

/// What a saved session says of itself: what must be the same where it goes on, and what it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedSession {
    /// The version of this record and of what a session expects of its host.
    pub(crate) format: u32,
    /// The environment's name.
    pub(crate) environment: String,
    /// The interpreter's content.
    pub(crate) module: crate::digest::Digest,
    /// How the interpreter's module is rewritten, and what it may call.
    pub(crate) host_contract: u32,
    /// BLAKE3 of the memory.
    pub(crate) memory: crate::digest::Digest,
    /// How much of what lies in its directories it was given when it was opened; the rest it has made.
    #[serde(default)]
    pub(crate) given: Given,
}

/// The value of a global, floats as their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GlobalValue {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
}

/// An image that is open.
#[derive(Debug)]
pub(crate) struct ImageFile {
    pub(crate) file: File,
    pub(crate) tail: ImageTail,
}

impl ImageFile {
    /// Opens an image and reads its tail.
    ///
    /// # Errors
    /// `InvalidData` when it is not a whole image of this version.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).and_then(Self::read)
    }

    /// Reads the tail of an image that is open.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn read(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let invalid = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, why);
        let mut end = [0; END_LEN as usize];
        let at = len.checked_sub(END_LEN).ok_or_else(|| invalid("it is too short for an image"))?;
        file.read_exact_at(&mut end, at)?;
        let (tail_len, mark) = end.split_at(4);
        if mark != MARK {
            return Err(invalid("it is not an image of this version"));
        }
        let tail_len = tail_len.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let at = at.checked_sub(tail_len.into()).filter(|_| tail_len <= TAIL_LEN_MAX);
        let at = at.ok_or_else(|| invalid("its tail is too long"))?;
        let mut tail = vec![0; tail_len as usize];
        file.read_exact_at(&mut tail, at)?;
        let tail: ImageTail = rmp_serde::from_slice(&tail).map_err(|_| invalid("its tail is damaged"))?;
        if tail.memory_bytes != at || at > MEMORY_BYTES_MAX || at % PAGE as u64 != 0 {
            return Err(invalid("its memory is not as long as its tail says"));
        }
        let pages = at / PAGE as u64;
        let mut rows = tail.pages.iter().flatten();
        if rows.any(|(first, count)| u64::from(*first) + u64::from(*count) > pages) {
            return Err(invalid("its pages lie outside of its memory"));
        }
        Ok(Self { file, tail })
    }
}

/// Writes an image into an empty file. `pieces` are parts of the memory with their offsets, in any order; what no piece covers, and
/// pages that hold only zeros, take no room.
///
/// # Errors
/// What the disk says; `InvalidInput` when a piece lies outside the memory.
pub(crate) fn write_image<'a>(
    file: &File,
    tail: &ImageTail,
    pieces: impl IntoIterator<Item = (u64, &'a [u8])>,
) -> io::Result<()> {
    file.set_len(tail.memory_bytes)?;
    for (offset, bytes) in pieces {
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > tail.memory_bytes) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a piece of memory lies outside of it"));
        }
        write_pages(file, offset, bytes)?;
    }
    write_tail(file, tail)
}

/// Writes what comes behind the memory.
pub(crate) fn write_tail(file: &File, tail: &ImageTail) -> io::Result<()> {
    let encoded = rmp_serde::to_vec(tail).map_err(io::Error::other)?;
    let len = u32::try_from(encoded.len()).map_err(io::Error::other)?;
    let mut end = encoded;
    end.extend_from_slice(&len.to_le_bytes());
    end.extend_from_slice(MARK);
    file.write_all_at(&end, tail.memory_bytes)
}

/// Writes what is not zero, neighbouring pages together.
fn write_pages(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut start = 0;
    let mut at = 0;
    for page in bytes.chunks(PAGE) {
        if page.iter().all(|byte| *byte == 0) {
            if start < at {
                file.write_all_at(&bytes[start..at], offset + start as u64)?;
            }
            start = at + page.len();
        }
        at += page.len();
    }
    if start < at {
        file.write_all_at(&bytes[start..at], offset + start as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn tail(memory_bytes: u64) -> ImageTail {
        let globals = vec![("g0".to_owned(), GlobalValue::I32(-1)), ("g1".to_owned(), GlobalValue::F64(7))];
        ImageTail::whole(memory_bytes, globals)
    }

    fn written(tail: &ImageTail, pieces: &[(u64, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_image(file.as_file(), tail, pieces.iter().copied()).unwrap();
        file
    }

    #[test]
    fn an_image_comes_back_as_it_was_written_and_zeros_take_no_room() {
        let tail = tail(64 << 20);
        let mut big = vec![0; 10 * PAGE];
        big[3 * PAGE] = 3;
        big[9 * PAGE + 5] = 9;
        let file = written(&tail, &[(100, b"hello"), (32 << 20, &big)]);
        let image = ImageFile::open(file.path()).unwrap();
        assert_eq!(image.tail, tail);
        let mut bytes = vec![0; 10 * PAGE];
        image.file.read_exact_at(&mut bytes, 32 << 20).unwrap();
        assert_eq!(bytes, big);
        image.file.read_exact_at(&mut bytes[..5], 100).unwrap();
        assert_eq!(&bytes[..5], b"hello");
        assert!(file.as_file().metadata().unwrap().blocks() * 512 < 1 << 20);
    }

    #[test]
    fn what_is_not_a_whole_image_is_refused() {
        let tail = tail(1 << 16);
        let file = written(&tail, &[(0, b"x")]);
        let len = file.as_file().metadata().unwrap().len();
        for cut in [1, 8, 12, 40, len] {
            file.as_file().set_len(len - cut).unwrap();
            assert!(ImageFile::open(file.path()).is_err(), "{cut}");
        }
        let file = written(&tail, &[]);
        file.as_file().write_all_at(&u32::MAX.to_le_bytes(), len - END_LEN).unwrap();
        assert_eq!(ImageFile::open(file.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_piece_outside_of_the_memory_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let outside: &[(u64, &[u8])] = &[((1 << 16) - 1, b"xy")];
        let error = write_image(&file, &tail(1 << 16), outside.iter().copied()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
