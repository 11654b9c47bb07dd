//! What a run left in its working directory. Everything is read through a directory handle and no link is ever
//! followed, so a guest cannot make its host read a file of the host's. What cannot come back is named with the reason.

use crate::digest::Digest;
use crate::job::GuestPath;
use crate::workspace::Workspace;
use cap_std::fs::{Dir, DirEntry, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The most files one run can bring back; more are left behind. Bounds memory and the size of the listing.
pub const OUTPUT_FILES_MAX: usize = 20_000;
/// The most reasons listed for things left behind.
const LEFT_BEHIND_MAX: usize = 200;

/// What a run left behind; the scratch directory lives as long as this.
pub struct Outputs {
    workspace: Arc<Workspace>,
}

/// The files a run made or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputListing {
    /// Sorted by path.
    pub files: Vec<OutputEntry>,
    /// What is not brought back, each with its reason.
    pub left_behind: Vec<String>,
}

/// One file a run made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputEntry {
    /// Its place in the working directory.
    pub path: GuestPath,
    /// Its size in bytes.
    pub size: u64,
    /// The name of its content.
    pub digest: Digest,
    /// Whether the owner's execute bit is set.
    pub executable: bool,
}

/// The outputs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read output {path:?}")]
pub struct OutputError {
    path: String,
    #[source]
    source: io::Error,
}

impl Outputs {
    pub(crate) fn new(workspace: Arc<Workspace>) -> Self {
        Self { workspace }
    }

    /// The files made or changed by the job, and what is left behind. Reads each of them in full, on the calling thread:
    /// in async code this belongs on a blocking thread.
    ///
    /// # Errors
    /// An [`OutputError`] if a directory or file cannot be read.
    pub fn files(&self) -> Result<OutputListing, OutputError> {
        let root = self.workspace.root().map_err(|source| OutputError { path: ".".to_owned(), source })?;
        let mut walk = Walk { workspace: &self.workspace, listing: OutputListing::default(), unlisted: 0 };
        walk.directory(&root, "")?;
        if walk.unlisted > 0 {
            walk.listing.left_behind.push(format!("{} more files and links", walk.unlisted));
        }
        walk.listing.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk.listing)
    }

    /// Opens one output for reading, following no link in any component of its path.
    ///
    /// # Errors
    /// What the operating system reports; `InvalidInput` for anything but a regular file with one name.
    pub fn open(&self, path: &GuestPath) -> io::Result<std::fs::File> {
        let mut dir = self.workspace.root()?;
        let mut components = path.as_str().split('/').peekable();
        while let Some(component) = components.next() {
            if components.peek().is_some() {
                dir = open_directory(&dir, component)?;
                continue;
            }
            let file = open_file(&dir, component)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() || metadata.nlink() != 1 {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file with one name"));
            }
            return Ok(file.into_std());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "empty path"))
    }
}

/// The state of one listing.
struct Walk<'a> {
    workspace: &'a Workspace,
    listing: OutputListing,
    unlisted: u64,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Dir, prefix: &str) -> Result<(), OutputError> {
        let fail = |source| OutputError { path: prefix.to_owned(), source };
        for entry in dir.entries().map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.leave(&format!("{prefix}{}", name.to_string_lossy()), "its name is not UTF-8");
                continue;
            };
            let path = format!("{prefix}{name}");
            match GuestPath::parse(&path) {
                Ok(guest) => self.entry(dir, &entry, name, guest)?,
                Err(error) => self.leave(&path, &error.to_string()),
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, entry: &DirEntry, name: &str, path: GuestPath) -> Result<(), OutputError> {
        let fail = |source| OutputError { path: path.as_str().to_owned(), source };
        let metadata = entry.metadata().map_err(fail)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            let inner = open_directory(dir, name).map_err(fail)?;
            return self.directory(&inner, &format!("{path}/"));
        }
        if kind.is_symlink() {
            self.leave(path.as_str(), "it is a symbolic link");
        } else if !kind.is_file() {
            self.leave(path.as_str(), "it is not a regular file");
        } else if metadata.nlink() != 1 {
            self.leave(path.as_str(), "it is a hard link to another file");
        } else if metadata.len() > self.workspace.file_len_max() {
            self.leave(path.as_str(), "it is longer than the disk limit (mostly holes)");
        } else if self.listing.files.len() >= OUTPUT_FILES_MAX {
            self.unlisted += 1;
        } else {
            self.file(dir, name, path, &metadata)?;
        }
        Ok(())
    }

    fn file(&mut self, dir: &Dir, name: &str, path: GuestPath, metadata: &Metadata) -> Result<(), OutputError> {
        if self.workspace.is_as_laid_out(&path, metadata) {
            return Ok(());
        }
        let fail = |source| OutputError { path: path.as_str().to_owned(), source };
        let file = open_file(dir, name).map_err(fail)?;
        let (digest, size) = Digest::of_reader(file).map_err(fail)?;
        if self.workspace.has_input_content(&path, digest, size) {
            return Ok(());
        }
        let executable = metadata.mode() & 0o100 != 0;
        self.listing.files.push(OutputEntry { path, size, digest, executable });
        Ok(())
    }

    fn leave(&mut self, path: &str, why: &str) {
        if self.listing.left_behind.len() < LEFT_BEHIND_MAX {
            let shown: String = path.chars().take(200).collect();
            self.listing.left_behind.push(format!("{shown}: {why}"));
        } else {
            self.unlisted += 1;
        }
    }
}

fn open_directory(dir: &Dir, name: &str) -> io::Result<Dir> {
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let handle = dir.open_with(Path::new(name), &options)?;
    Ok(Dir::from_std_file(handle.into_std()))
}

/// Opens without following a link and without waiting for the other end of a pipe that took the file's place.
fn open_file(dir: &Dir, name: &str) -> io::Result<cap_std::fs::File> {
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed());
    dir.open_with(Path::new(name), &options)
}

#[cfg(test)]
mod tests;
