//! Digests of files that were read before, so that a program that runs again is not read again. A file counts as the same
//! as long as its inode, size and change time are; the change time is set by the system whenever anything is written, and
//! one so recent that another write could hide behind it is not relied on.

use super::Digest;
use std::collections::VecDeque;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most files remembered; each takes about 100 bytes.
const FILES_MAX: usize = 256;
/// How old a change must be to be relied on: file systems count time in steps of up to two seconds.
const CHANGE_AGE_MIN: Duration = Duration::from_secs(3);

/// The files seen last, the latest at the end.
#[derive(Debug, Default)]
pub(crate) struct KnownDigests(Mutex<VecDeque<(FileState, Digest)>>);

/// What tells a file from all others, and from itself with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = u64::try_from(self.changed.0).map(Duration::from_secs);
        changed.is_ok_and(|changed| now.checked_sub(changed).is_some_and(|age| age >= CHANGE_AGE_MIN))
    }
}

impl KnownDigests {
    /// The digest of the file, if it was read in the state it is in.
    pub(crate) fn find(&self, metadata: &Metadata) -> Option<Digest> {
        let state = FileState::of(metadata);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().rev().find(|(known, _)| *known == state).map(|(_, digest)| *digest)
    }

    /// Remembers the digest of a file that was in this state before it was read.
    pub(crate) fn note(&self, metadata: &Metadata, digest: Digest) {
        let state = FileState::of(metadata);
        if !state.is_settled() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(known, _)| (known.device, known.inode) != (state.device, state.inode));
        if known.len() == FILES_MAX {
            known.pop_front();
        }
        known.push_back((state, digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_until_it_changes_and_not_while_it_is_fresh() {
        let known = KnownDigests::default();
        let file = std::env::current_exe().unwrap();
        let old = std::fs::metadata(&file).unwrap();
        assert_eq!(known.find(&old), None);
        let fresh = tempfile::NamedTempFile::new().unwrap();
        known.note(&fresh.as_file().metadata().unwrap(), Digest::of(b""));
        assert_eq!(known.find(&fresh.as_file().metadata().unwrap()), None);
        // The metadata of a file whose change lies back; its own would have to be waited for.
        let state = FileState { changed: (1, 0), ..FileState::of(&old) };
        assert!(state.is_settled());
        assert!(!FileState { changed: (i64::MAX, 0), ..state }.is_settled());
        known.0.lock().unwrap().push_back((FileState::of(&old), Digest::of(b"x")));
        assert_eq!(known.find(&old), Some(Digest::of(b"x")));
        known.0.lock().unwrap()[0].0.len += 1;
        assert_eq!(known.find(&old), None);
    }
}
