//! What lies in the cache of compiled code and images, for whoever looks after the disk. Nothing that is in use is removed:
//! what removes holds the lock that those who use it share.

use super::{BLOCK_BYTES, Note, open_own, remove};
use crate::protocol::CodeKind;
use rustix::fs::FlockOperation;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One file of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedCode {
    /// The name it is kept under.
    pub name: String,
    /// Whether it is an interpreter's memory, and not native code.
    pub is_image: bool,
    /// What it takes on the disk; holes take nothing.
    pub bytes: u64,
    /// When it was last of use.
    pub used: Option<SystemTime>,
    /// Whether some process uses it now.
    pub in_use: bool,
    path: PathBuf,
}

/// All compiled code and images of a cache directory; none where there is no such directory.
///
/// # Errors
/// What the system says when it cannot be listed.
pub fn cached_code(cache_dir: &Path) -> io::Result<Vec<CachedCode>> {
    let entries = match std::fs::read_dir(cache_dir.join("code")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "code") {
            // What is gone by now was removed by another process.
            found.extend(look_at(path));
        }
    }
    Ok(found)
}

fn look_at(path: PathBuf) -> Option<CachedCode> {
    let metadata = std::fs::metadata(&path).ok()?;
    let name = path.file_stem()?.to_str()?.to_owned();
    let note = std::fs::read(path.with_extension("note")).ok();
    let note = note.and_then(|bytes| rmp_serde::from_slice::<Note>(&bytes).ok());
    let is_image = note.is_some_and(|note| note.kind == CodeKind::Image);
    let in_use =
        open_own(&path).is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err());
    let bytes = metadata.blocks() * BLOCK_BYTES;
    Some(CachedCode { name, is_image, bytes, used: metadata.accessed().ok(), in_use, path })
}

impl CachedCode {
    /// Removes it; whether it is gone. It stays while somebody uses it.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self) -> io::Result<bool> {
        let file = match open_own(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        remove(&self.path).and_then(|()| remove(&self.path.with_extension("note")))?;
        Ok(true)
    }
}
