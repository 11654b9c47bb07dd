//! Digests of files that were read before, so that a program that runs again is not read again. A file counts as the same
//! as long as its inode, size and change time are; the change time is set by the system whenever anything is written, and
//! one so recent that another write could hide behind it is not relied on.

use super::Digest;
use crate::file_state::FileState;
use std::collections::VecDeque;
use std::fs::Metadata;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The most files remembered; each takes about 100 bytes.
const FILES_MAX: usize = 256;
/// How old a change must be to be relied on: file systems count time in steps of up to two seconds.
const CHANGE_AGE_MIN: Duration = Duration::from_secs(3);

/// The files seen last, the latest at the end.
#[derive(Debug, Default)]
pub(crate) struct KnownDigests(Mutex<VecDeque<(FileState, Digest)>>);

impl KnownDigests {
    /// The digest of the file, if it was read in the state it is in.
    pub(crate) fn find(&self, metadata: &Metadata) -> Option<Digest> {
        let state = FileState::by_change(metadata);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().rev().find(|(known, _)| *known == state).map(|(_, digest)| *digest)
    }

    /// Remembers the digest of a file that was in this state before it was read.
    pub(crate) fn note(&self, metadata: &Metadata, digest: Digest) {
        let state = FileState::by_change(metadata);
        if !is_settled(&state, SystemTime::now()) {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(known, _)| !known.is_of_same_file(&state));
        if known.len() == FILES_MAX {
            known.pop_front();
        }
        known.push_back((state, digest));
    }
}

/// Whether no write since could have left the file's time as it is.
fn is_settled(state: &FileState, now: SystemTime) -> bool {
    state.age(now).is_some_and(|age| age >= CHANGE_AGE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_until_it_changes_and_not_while_it_is_fresh() {
        let known = KnownDigests::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = || file.as_file().metadata().unwrap();
        known.note(&metadata(), Digest::of(b""));
        assert_eq!(known.find(&metadata()), None);
        let (state, now) = (FileState::by_change(&metadata()), SystemTime::now());
        assert!(!is_settled(&state, now) && is_settled(&state, now + Duration::from_secs(5)));
        assert!(!is_settled(&state, now - Duration::from_secs(60)), "the clock was set back");
        // As if it had been noted later.
        known.0.lock().unwrap().push_back((state, Digest::of(b"")));
        assert_eq!(known.find(&metadata()), Some(Digest::of(b"")));
        file.as_file().set_len(1).unwrap();
        assert_eq!(known.find(&metadata()), None);
    }
}
