//! The directory a runtime has its runs in, held by a file lock: whatever dies, a directory whose owner's lock is free is
//! removed by the owner's sweeper, or by the next one that opens the same place.

use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK_NAME: &str = ".lock";
const OWNER_PREFIX: &str = "owner-";

/// The directory of this runtime, and the lock that says its owner lives.
pub(super) struct Owner {
    pub(super) dir: PathBuf,
    pub(super) runs: usize,
    _lock: File,
}

impl Owner {
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        let _gate = gate(parent)?;
        let mut serial = 0u32;
        let dir = loop {
            let dir = parent.join(format!("{OWNER_PREFIX}{}-{serial}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => break dir,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && serial < 10_000 => serial += 1,
                Err(error) => return Err(error),
            }
        };
        let lock = lock_file(&dir.join(LOCK_NAME))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir, runs: 0, _lock: lock })
    }
}

/// One process at a time: a directory is never swept between being made and being locked.
pub(super) fn gate(parent: &Path) -> io::Result<File> {
    let gate = lock_file(&parent.join(LOCK_NAME))?;
    rustix::fs::flock(&gate, FlockOperation::LockExclusive)?;
    Ok(gate)
}

pub(super) fn remove_directory(dir: &Path) {
    match std::fs::remove_dir_all(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot remove scratch directory"),
    }
}

/// Removes the directories of owners that are gone: their lock can be taken.
pub(super) fn sweep(parent: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(OWNER_PREFIX) || !entry.file_type()?.is_dir() {
            continue;
        }
        let Some(_lock) = take_owner(&entry.path())? else { continue };
        tracing::debug!(dir = %entry.path().display(), "removing the scratch directory of a process that is gone");
        remove_directory(&entry.path());
    }
    Ok(())
}

/// The lock of an owner's directory, unless the owner lives.
fn take_owner(owner: &Path) -> io::Result<Option<File>> {
    let lock = lock_file(&owner.join(LOCK_NAME))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a directory of this process is left.
pub(super) fn has_owner_of(parent: &Path, process: i32) -> io::Result<bool> {
    let prefix = format!("{OWNER_PREFIX}{process}-");
    let mut entries = std::fs::read_dir(parent)?.flatten();
    Ok(entries.any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)))
}

fn lock_file(path: &Path) -> io::Result<File> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    File::options().create(true).truncate(false).write(true).mode(0o600).custom_flags(nofollow).open(path)
}

/// Makes `dir` (and its parents) if need be, and refuses one that another user owns or may enter.
pub(crate) fn private_directory(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let metadata = std::fs::symlink_metadata(dir)?;
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} {why}", dir.display())));
    if !metadata.is_dir() {
        return refuse("is not a directory");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("belongs to another user; remove it or choose another place");
    }
    if metadata.mode() & 0o077 != 0 {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_an_owner_is_swept_once_its_lock_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let owner = Owner::create(parent.path()).unwrap();
        let process = i32::try_from(std::process::id()).unwrap();
        sweep(parent.path()).unwrap();
        assert!(has_owner_of(parent.path(), process).unwrap());
        // Lets go of the lock and leaves the directory, as a killed process does.
        drop(owner);
        sweep(parent.path()).unwrap();
        assert!(!has_owner_of(parent.path(), process).unwrap());
    }
}
