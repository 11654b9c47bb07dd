//! A file on its way into an environment. It is written aside, in `partial/`, locked by its writer, and renamed into
//! place only when its length and SHA-256 are the pinned ones. A partial file whose lock is free belongs to nobody.

use super::artifacts::Artifact;
use super::store::{EnvironmentError, failed};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A directory that has been filled for so long belongs to a process that is gone; filling one takes seconds.
const FILLING_MAX: Duration = Duration::from_secs(60 * 60);

/// Receives one artifact. Dropping it without [`ArtifactWriter::commit`] leaves nothing behind.
#[derive(Debug)]
pub struct ArtifactWriter {
    artifact: &'static Artifact,
    file: tempfile::NamedTempFile,
    place: PathBuf,
    hasher: Sha256,
    written: u64,
}

impl ArtifactWriter {
    pub(super) fn create(root: &Path, artifact: &'static Artifact) -> Result<Self, EnvironmentError> {
        let aside = root.join("partial");
        let doing = "make room for an artifact in";
        let file = tempfile::Builder::new().prefix(artifact.name).tempfile_in(&aside).map_err(failed(doing, &aside))?;
        file.as_file().lock().map_err(failed(doing, &aside))?;
        Ok(Self { artifact, file, place: root.join(artifact.place), hasher: Sha256::new(), written: 0 })
    }

    /// How many bytes have been written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Checks that everything has arrived and is what was pinned, and puts the artifact in place.
    ///
    /// # Errors
    /// [`EnvironmentError::Damaged`] if it is not, or the failure of the disk.
    pub fn commit(self) -> Result<(), EnvironmentError> {
        let name = self.artifact.name;
        if self.written != self.artifact.size {
            let why = format!("it has {} bytes instead of {}", self.written, self.artifact.size);
            return Err(EnvironmentError::Damaged { name, why });
        }
        if self.hasher.finalize().as_slice() != self.artifact.sha256 {
            return Err(EnvironmentError::Damaged { name, why: "its SHA-256 is not the pinned one".to_owned() });
        }
        let doing = "put an artifact in place at";
        self.file.as_file().sync_all().map_err(failed(doing, &self.place))?;
        self.file.persist(&self.place).map_err(|e| failed(doing, &self.place)(e.error))?;
        sync_parent(&self.place).map_err(failed(doing, &self.place))
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.artifact.size - self.written;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > room {
            let text = format!("{} is longer than the pinned {} bytes", self.artifact.name, self.artifact.size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes a rename survive a power cut.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Removes what interrupted writers left. Directories are only made under the environment's lock, which the caller
/// holds; a file is stale when nobody holds its own lock.
pub(super) fn sweep(root: &Path) {
    sweep_unfinished_directories(root);
    let Ok(entries) = fs::read_dir(root.join("partial")) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => match File::open(&path).map(|file| file.try_lock().is_ok()) {
                Ok(false) => Ok(()),
                _ => fs::remove_file(&path),
            },
        };
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "cannot remove a partial file");
        }
    }
}

fn sweep_unfinished_directories(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let old = modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > FILLING_MAX));
        if old && entry.file_name().as_encoded_bytes().starts_with(b".new-") {
            let removed = fs::remove_dir_all(entry.path());
            tracing::debug!(path = %entry.path().display(), ?removed, "removed an unfinished directory");
        }
    }
}
