//! The limits on disk space and on the number of files. Each call that may take room is charged the most it can take; only
//! when these charges together would pass a limit are the directories walked for the exact figures.

use super::tree::{self, Held};
use crate::limits::{LimitHit, LimitKind, Limits};
use crate::protocol::Given;
use crate::workspace::ENTRY_BYTES;
use std::io;
use std::path::PathBuf;

/// How much the directories of one run hold.
pub(super) struct DiskGauge {
    directories: Vec<PathBuf>,
    given: Given,
    bytes: Bound,
    entries: Bound,
}

/// An amount that is never less than what it stands for.
struct Bound {
    kind: LimitKind,
    held: u64,
    allowed: u64,
}

impl Bound {
    fn new(kind: LimitKind, allowed: u64) -> Self {
        // A session that goes on here may have made much before: the first charge finds out.
        Self { kind, held: u64::MAX, allowed }
    }

    fn add(&mut self, more: u64) -> bool {
        self.held = self.held.saturating_add(more);
        self.held <= self.allowed
    }

    /// Sets the exact figure, and what is to be added to it.
    fn set(&mut self, held: u64, more: u64) -> Result<(), LimitHit> {
        self.held = held.saturating_add(more);
        if self.held <= self.allowed {
            return Ok(());
        }
        Err(LimitHit { kind: self.kind, used: self.held, allowed: self.allowed })
    }
}

impl DiskGauge {
    /// Of what lies in the directories, `given` is not counted.
    pub(super) fn new(directories: Vec<PathBuf>, limits: &Limits, given: Given) -> Self {
        Self {
            directories,
            given,
            bytes: Bound::new(LimitKind::Disk, limits.disk_bytes),
            entries: Bound::new(LimitKind::Files, limits.files),
        }
    }

    /// Charges `len` bytes, or says which limit they would pass.
    pub(super) fn charge(&mut self, len: u64) -> Result<(), LimitHit> {
        if self.bytes.add(len) { Ok(()) } else { self.recount(len, 0) }
    }

    /// Charges one file, directory or link.
    pub(super) fn charge_entry(&mut self) -> Result<(), LimitHit> {
        let fits = self.entries.add(1);
        if self.bytes.add(ENTRY_BYTES) && fits { Ok(()) } else { self.recount(ENTRY_BYTES, 1) }
    }

    /// One more file that was put there for the guest, and is not counted.
    pub(super) fn give_entry(&mut self) {
        self.given.entries = self.given.entries.saturating_add(1);
        self.given.bytes = self.given.bytes.saturating_add(ENTRY_BYTES);
    }

    /// Counts anew, with what is about to be added.
    fn recount(&mut self, bytes: u64, entries: u64) -> Result<(), LimitHit> {
        // What cannot be measured is taken for full.
        let Ok(held) = self.measure() else { return self.bytes.set(u64::MAX, 0) };
        self.entries.set(held.entries.saturating_sub(self.given.entries), entries)?;
        self.bytes.set(held.bytes.saturating_sub(self.given.bytes), bytes)
    }

    fn measure(&self) -> io::Result<Held> {
        let (named, removed) = (tree::measure(&self.directories)?, tree::measure_removed(&self.directories)?);
        Ok(Held { bytes: named.bytes + removed.bytes, entries: named.entries + removed.entries, ..named })
    }

    /// The directories themselves.
    pub(super) fn directories(&self) -> &[PathBuf] {
        &self.directories
    }
}
