//! The one directory a worker can open anything in. A worker is confined to it before it is known whose runs it will
//! serve, so the directories of a run are moved into it.

use super::Scratch;
use super::owner::remove_directory;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A worker's directory; removed with the last that holds it, which is the worker or a run whose directories are in it.
pub(crate) struct Cell {
    dir: PathBuf,
    scratch: Arc<Scratch>,
}

impl Cell {
    pub(super) fn new(dir: PathBuf, scratch: Arc<Scratch>) -> Self {
        Self { dir, scratch }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether what is written there takes memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        rustix::fs::statfs(&self.dir).is_ok_and(|system| system.f_type == libc::TMPFS_MAGIC)
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        remove_directory(&self.dir);
        self.scratch.leave();
    }
}
