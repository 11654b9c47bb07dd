//! What lies in the directories a guest may write to: how much, how many, and how deep. Files that were removed while
//! open count too.

use super::paths::Place;
use crate::workspace::{ENTRY_BYTES, STAT_BLOCK_BYTES};
use rustix::fs::{AtFlags, Dir, FileType, readlinkat, statat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

/// What directories hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: u64,
    /// Files, directories and links.
    pub(super) entries: u64,
    /// The greatest depth and the longest path below one of them, which need not be of the same thing.
    pub(super) deepest: Place,
}

impl Held {
    fn add_blocks(&mut self, blocks: u64) {
        self.bytes += blocks * STAT_BLOCK_BYTES;
    }

    fn add_entry(&mut self, place: Place) {
        self.bytes += ENTRY_BYTES;
        self.entries += 1;
        self.deepest = self.deepest.most(place);
    }
}

/// What these directories hold.
pub(super) fn measure(directories: &[PathBuf]) -> io::Result<Held> {
    let mut held = Held::default();
    for directory in directories {
        measure_directory(directory, Place::default(), &mut held)?;
    }
    Ok(held)
}

fn measure_directory(directory: &Path, place: Place, held: &mut Held) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let place = place.child(entry.file_name().len());
        held.add_entry(place);
        if metadata.is_dir() {
            measure_directory(&entry.path(), place, held)?;
        } else {
            // A file of several names is counted at each: never less than it holds.
            held.add_blocks(metadata.blocks());
        }
    }
    Ok(())
}

/// Open files that lay in one of the directories and have no name any more. What else this process has open, such as
/// loaded code that was removed from its cache, is not the run's.
pub(super) fn measure_removed(directories: &[PathBuf]) -> io::Result<Held> {
    let directories: Vec<PathBuf> = directories.iter().map(std::fs::canonicalize).collect::<io::Result<_>>()?;
    let mut descriptors = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let descriptors = descriptors.as_mut().map_err(|error| io::Error::from(error.kind()))?;
    let mut names = Vec::new();
    descriptors.rewind();
    while let Some(entry) = descriptors.read() {
        names.push(entry?.file_name().to_owned());
    }
    let mut held = Held::default();
    for name in names {
        let Ok(place) = readlinkat(descriptors.fd()?, &name, Vec::new()) else { continue };
        let place = Path::new(OsStr::from_bytes(place.as_bytes()));
        if !directories.iter().any(|directory| place.starts_with(directory)) {
            continue;
        }
        let Ok(file) = statat(descriptors.fd()?, &name, AtFlags::empty()) else { continue };
        if FileType::from_raw_mode(file.st_mode).is_file() && file.st_nlink == 0 {
            held.add_entry(Place::default());
            held.add_blocks(u64::try_from(file.st_blocks).unwrap_or_default());
        }
    }
    Ok(held)
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
