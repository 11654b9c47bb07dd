//! What lies in the directories a guest may write to: how much, how many, and how deep. Files that were removed while
//! open count too.

use super::paths::Place;
use crate::workspace::{ENTRY_BYTES, STAT_BLOCK_BYTES};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    fn add_file(&mut self, metadata: &std::fs::Metadata) {
        self.bytes += metadata.blocks() * STAT_BLOCK_BYTES;
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
            held.add_file(&metadata);
        }
    }
    Ok(())
}

/// Open files that lay in one of the directories and have no name any more. What else this process has open, such as
/// loaded code that was removed from its cache, is not the run's.
pub(super) fn measure_removed(directories: &[PathBuf]) -> io::Result<Held> {
    let directories: Vec<PathBuf> = directories.iter().map(std::fs::canonicalize).collect::<io::Result<_>>()?;
    let mut held = Held::default();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let Ok(place) = std::fs::read_link(&path) else { continue };
        if !directories.iter().any(|directory| place.starts_with(directory)) {
            continue;
        }
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() && metadata.nlink() == 0 {
            held.add_entry(Place::default());
            held.add_file(&metadata);
        }
    }
    Ok(held)
}
