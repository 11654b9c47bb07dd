//! The disk limit. Each call that may take room is charged the most it can take; only when these charges together
//! would pass the limit are the directories walked for the exact figure. Files that were removed while open count too.

use crate::limits::{LimitHit, LimitKind};
use rustix::fs::{AtFlags, Dir, FileType, readlinkat, statat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

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
    let mut descriptors = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let descriptors = descriptors.as_mut().map_err(|error| io::Error::from(error.kind()))?;
    let mut names = Vec::new();
    descriptors.rewind();
    while let Some(entry) = descriptors.read() {
        names.push(entry?.file_name().to_owned());
    }
    let mut total = 0;
    for name in names {
        let Ok(place) = readlinkat(descriptors.fd()?, &name, Vec::new()) else { continue };
        let place = Path::new(OsStr::from_bytes(place.as_bytes()));
        if !directories.iter().any(|directory| place.starts_with(directory)) {
            continue;
        }
        let Ok(file) = statat(descriptors.fd()?, &name, AtFlags::empty()) else { continue };
        if FileType::from_raw_mode(file.st_mode).is_file() && file.st_nlink == 0 {
            total += ENTRY_BYTES + u64::try_from(file.st_blocks).unwrap_or_default() * STAT_BLOCK_BYTES;
        }
    }
    Ok(total)
}

/// What this process has open; opened itself before this process can open nothing of the kind.
static DESCRIPTORS: LazyLock<Mutex<io::Result<Dir>>> = LazyLock::new(|| {
    let open = || Ok(Dir::new(OwnedFd::from(File::open("/proc/self/fd")?))?);
    Mutex::new(open())
});

/// To be called before the process is confined.
pub(super) fn open_descriptors() {
    LazyLock::force(&DESCRIPTORS);
}
