//! What tells a file from all others, and from itself with other content: its inode and times. A name does not, because
//! other bytes may come to lie under it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A file with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}
