//! What tells a file from all others, and from itself with other content, without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file as it was when it was looked at. Two that are equal are of the same file, and nobody wrote to it between, but
/// within the time that the file system cannot tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    device: u64,
    inode: u64,
    len: u64,
    /// Seconds and nanoseconds.
    time: (i64, i64),
}

impl FileState {
    /// Goes by the change time, which nobody can set.
    pub(crate) fn by_change(metadata: &Metadata) -> Self {
        Self::new(metadata, (metadata.ctime(), metadata.ctime_nsec()))
    }

    /// Goes by the time of modification, for files of the cache: setting the access time, as each use of those does, counts
    /// as a change.
    pub(crate) fn by_modification(metadata: &Metadata) -> Self {
        Self::new(metadata, (metadata.mtime(), metadata.mtime_nsec()))
    }

    fn new(metadata: &Metadata, time: (i64, i64)) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), len: metadata.len(), time }
    }

    /// Whether both are of one file, with whatever content.
    pub(crate) fn is_of_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// How long before `now` the file was written to; nothing if its time is yet to come.
    pub(crate) fn age(&self, now: SystemTime) -> Option<Duration> {
        let written = u64::try_from(self.time.0).map(Duration::from_secs).ok()?;
        now.duration_since(UNIX_EPOCH).ok()?.checked_sub(written)
    }
}
