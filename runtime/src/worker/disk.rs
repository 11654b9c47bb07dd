//! The disk limit. Each call that may take room is charged the most it can take; only when these charges together
//! would pass the limit are the directories walked for the exact figure. Files that were removed while open count too.

use crate::limits::{LimitHit, LimitKind};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What each file, directory and link is taken to need beside its content.
pub(super) const ENTRY_BYTES: u64 = 4096;
/// The size of the blocks `stat` counts in.
const STAT_BLOCK_BYTES: u64 = 512;

/// How much the directories of one run hold.
pub(super) struct DiskGauge {
    directories: Vec<PathBuf>,
    allowed: u64,
    /// What the directories held before the guest started; not counted.
    before: u64,
    /// No less than what the guest added so far.
    bound: u64,
}

impl DiskGauge {
    pub(super) fn new(directories: Vec<PathBuf>, allowed: u64) -> io::Result<Self> {
        let mut gauge = Self { directories, allowed, before: 0, bound: 0 };
        // Nothing is open yet that could have lost its name.
        gauge.before = gauge.measure_directories()?;
        Ok(gauge)
    }

    /// For directories that are known to be empty.
    #[expect(clippy::unnecessary_wraps, reason = "interchangeable with `new`")]
    pub(super) fn bare(directories: Vec<PathBuf>, allowed: u64) -> io::Result<Self> {
        Ok(Self { directories, allowed, before: 0, bound: 0 })
    }

    /// Charges `len` bytes, or says which limit they would pass.
    pub(super) fn charge(&mut self, len: u64) -> Result<(), LimitHit> {
        self.bound = self.bound.saturating_add(len);
        if self.bound <= self.allowed {
            return Ok(());
        }
        // What cannot be measured is taken for full.
        let held = self.measure().unwrap_or(u64::MAX).saturating_sub(self.before);
        self.bound = held.saturating_add(len);
        if self.bound <= self.allowed {
            return Ok(());
        }
        Err(LimitHit { kind: LimitKind::Disk, used: self.bound, allowed: self.allowed })
    }

    fn measure(&self) -> io::Result<u64> {
        Ok(self.measure_directories()? + measure_removed(&self.directories)?)
    }

    fn measure_directories(&self) -> io::Result<u64> {
        self.directories.iter().try_fold(0, |total, directory| Ok(total + measure_directory(directory)?))
    }
}

fn measure_directory(directory: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += ENTRY_BYTES;
        if metadata.is_dir() {
            total += measure_directory(&entry.path())?;
        } else {
            // A file of several names is counted at each: never less than it holds.
            total += metadata.blocks() * STAT_BLOCK_BYTES;
        }
    }
    Ok(total)
}

/// Open files that lay in one of the directories and have no name any more. What else this process has open, such as
/// loaded code that was removed from its cache, is not the run's.
fn measure_removed(directories: &[PathBuf]) -> io::Result<u64> {
    let directories: Vec<PathBuf> = directories.iter().map(std::fs::canonicalize).collect::<io::Result<_>>()?;
    let mut total = 0;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let Ok(place) = std::fs::read_link(&path) else { continue };
        if !directories.iter().any(|directory| place.starts_with(directory)) {
            continue;
        }
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() && metadata.nlink() == 0 {
            total += ENTRY_BYTES + metadata.blocks() * STAT_BLOCK_BYTES;
        }
    }
    Ok(total)
}
