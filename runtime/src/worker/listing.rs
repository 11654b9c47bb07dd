//! What a component reads of a directory. The whole list is made when it is asked for, so it is charged as memory, and as an
//! open file as long as the guest keeps it.

use super::memory::MemoryGauge;
use super::meter::LimitReached;
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::DirectoryEntry;

/// What an entry takes beside its name.
const ENTRY_LEN: u64 = 64;

/// The entries of a directory that are still to be read.
pub(super) struct Listing {
    entries: std::vec::IntoIter<FsResult<DirectoryEntry>>,
    charged: u64,
}

impl Listing {
    pub(super) fn new(entries: Vec<FsResult<DirectoryEntry>>, memory: &mut MemoryGauge) -> Result<Self, LimitReached> {
        let len =
            |entry: &FsResult<DirectoryEntry>| ENTRY_LEN + entry.as_ref().map_or(0, |entry| entry.name.len() as u64);
        let charged = entries.iter().map(len).sum();
        memory.hold(charged)?;
        Ok(Self { entries: entries.into_iter(), charged })
    }

    pub(super) fn next(&mut self) -> FsResult<Option<DirectoryEntry>> {
        self.entries.next().transpose()
    }

    /// The guest keeps it no longer.
    pub(super) fn close(self, memory: &mut MemoryGauge) {
        memory.let_go(self.charged);
    }
}
