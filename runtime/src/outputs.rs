//! What a run left in its working directory. Everything is read through a directory handle and no link is ever
//! followed, so a guest cannot make its host read a file of the host's. What cannot come back is named with the reason.

pub(crate) mod walk;

pub use walk::OUTPUT_FILES_MAX;

use crate::digest::Digest;
use crate::job::GuestPath;
use crate::workspace::Workspace;
use std::fs::File;
use std::io;
use std::sync::Arc;
use walk::{Found, FoundFile};

/// What a run left behind; the scratch directory lives as long as this.
pub struct Outputs {
    workspace: Arc<Workspace>,
    /// What did not get as far as the working directory, each with its reason.
    left_behind: Vec<String>,
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

impl OutputError {
    pub(crate) fn new(path: impl Into<String>, source: io::Error) -> Self {
        Self { path: path.into(), source }
    }
}

impl Outputs {
    pub(crate) fn new(workspace: Arc<Workspace>) -> Self {
        Self::with_left_behind(workspace, Vec::new())
    }

    /// What a run left where we cannot go ourselves, but for what could not be brought from there.
    pub(crate) fn with_left_behind(workspace: Arc<Workspace>, left_behind: Vec<String>) -> Self {
        Self { workspace, left_behind }
    }

    /// The files made or changed by the job, and what is left behind. Reads each of them in full, on the calling thread:
    /// in async code this belongs on a blocking thread.
    ///
    /// # Errors
    /// An [`OutputError`] if a directory or file cannot be read.
    pub fn files(&self) -> Result<OutputListing, OutputError> {
        let mut files = Vec::new();
        let mut left_behind = self.left_behind.clone();
        left_behind.extend(walk::walk(&self.workspace, |found| match found {
            Found::File(file) => self.entry(&file).map(|entry| entry.map(|entry| files.push(entry)).is_some()),
            Found::Directory(_) => Ok(false),
        })?);
        files.sort_by(|a: &OutputEntry, b| a.path.cmp(&b.path));
        Ok(OutputListing { files, left_behind })
    }

    /// What is told of a file, unless it is an input as it was.
    fn entry(&self, file: &FoundFile<'_>) -> Result<Option<OutputEntry>, OutputError> {
        if self.workspace.is_as_laid_out(&file.path, file.metadata) {
            return Ok(None);
        }
        let read = file.open().and_then(Digest::of_reader);
        let (digest, size) = read.map_err(|source| OutputError::new(file.path.as_str(), source))?;
        if self.workspace.has_input_content(&file.path, digest, size) {
            return Ok(None);
        }
        Ok(Some(OutputEntry { path: file.path.clone(), size, digest, executable: file.is_executable() }))
    }

    /// Opens one output for reading, following no link in any component of its path.
    ///
    /// # Errors
    /// What the operating system reports; `InvalidInput` for anything but a regular file with one name.
    pub fn open(&self, path: &GuestPath) -> io::Result<File> {
        walk::open(&self.workspace, path)
    }
}

#[cfg(test)]
mod tests;
