//! Scratch directories. Each [`Runtime`](crate::Runtime) with runs owns one directory, held by a file lock; each run has one
//! inside it: `root` (the guest's working directory) and `tmp`. A run that left both empty may leave them to the next run of
//! its tenant. Whatever dies, a directory whose owner's lock is free is removed by the next one that opens the same place.

use crate::digest::Digest;
use crate::job::{GuestPath, InputFile, Tenant};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::FlockOperation;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const LOCK_NAME: &str = ".lock";
/// How deep directories are copied.
const DEPTH_MAX: usize = 256;
const OWNER_PREFIX: &str = "owner-";
/// How often a worker without a parent tries to clean up, and how long it waits between: two seconds in all.
const ORPHAN_TRIES_MAX: usize = 200;
const ORPHAN_PAUSE: Duration = Duration::from_millis(10);

/// Where runs have their directories. The owner's directory is made for the first of them and removed with the last, so
/// that a process which ends between two runs, however it ends, leaves nothing.
pub(crate) struct Scratch {
    parent: PathBuf,
    next_run: AtomicU64,
    owner: Mutex<Option<Owner>>,
    /// Empty directories for the next runs; each counts as a run of the owner's.
    shelf: Mutex<Vec<Shelved>>,
    shelf_max: usize,
}

/// The directories of a run that is over, as empty as they were made.
struct Shelved {
    dir: PathBuf,
    tenant: Tenant,
    since: Instant,
}

/// The directory of this runtime, and the lock that says its owner lives.
struct Owner {
    dir: PathBuf,
    runs: usize,
    _lock: File,
}

impl Scratch {
    /// Removes the directories under `parent` whose owner is gone. At most `shelf_max` empty directories are kept.
    pub(crate) fn open(parent: &Path, shelf_max: usize) -> io::Result<Arc<Self>> {
        private_directory(parent)?;
        let _gate = gate(parent)?;
        sweep(parent)?;
        Ok(Arc::new(Self {
            parent: parent.to_owned(),
            next_run: AtomicU64::new(0),
            owner: Mutex::new(None),
            shelf: Mutex::default(),
            shelf_max,
        }))
    }

    /// Empty directories an earlier run of the tenant has left, if there are any.
    pub(crate) fn shelved(self: &Arc<Self>, tenant: Tenant, disk_bytes: u64) -> Option<Workspace> {
        let mut shelf = self.shelf();
        let at = shelf.iter().rposition(|shelved| shelved.tenant == tenant)?;
        let dir = shelf.remove(at).dir;
        Some(Workspace::new(dir, tenant, disk_bytes, self.clone()))
    }

    /// Fresh directories for one run.
    pub(crate) fn workspace(self: &Arc<Self>, tenant: Tenant, disk_bytes: u64) -> io::Result<Workspace> {
        let serial = self.next_run.fetch_add(1, Ordering::Relaxed);
        let dir = self.enter()?.join(format!("run-{serial}"));
        let workspace = Workspace::new(dir, tenant, disk_bytes, self.clone());
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        builder.create(&workspace.dir)?;
        builder.create(workspace.root_path())?;
        builder.create(workspace.tmp_path())?;
        Ok(workspace)
    }

    /// Directories with a copy of what lies in these.
    pub(crate) fn copy(self: &Arc<Self>, of: &Workspace) -> io::Result<Workspace> {
        let mut workspace = self.workspace(of.tenant, of.disk_bytes)?;
        workspace.bare = false;
        for (from, to) in [(of.root_path(), workspace.root_path()), (of.tmp_path(), workspace.tmp_path())] {
            let open = |dir: PathBuf| Dir::open_ambient_dir(dir, ambient_authority());
            copy_directory(&open(from)?, &open(to)?, 0)?;
        }
        Ok(workspace)
    }

    /// Removes the empty directories that nobody took for that long.
    pub(crate) fn clear_shelf(&self, age: Duration) {
        let old: Vec<Shelved> = self.shelf().extract_if(.., |shelved| shelved.since.elapsed() >= age).collect();
        for shelved in old {
            remove_directory(&shelved.dir);
            self.leave();
        }
    }

    pub(crate) fn has_shelved(&self) -> bool {
        !self.shelf().is_empty()
    }

    /// Whether there was room for these directories.
    fn shelve(&self, dir: &Path, tenant: Tenant) -> bool {
        let mut shelf = self.shelf();
        let has_room = shelf.len() < self.shelf_max;
        if has_room {
            shelf.push(Shelved { dir: dir.to_owned(), tenant, since: Instant::now() });
        }
        has_room
    }

    fn shelf(&self) -> MutexGuard<'_, Vec<Shelved>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self) -> MutexGuard<'_, Option<Owner>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more run; the answer is the owner's directory.
    fn enter(&self) -> io::Result<PathBuf> {
        let mut place = self.owner();
        let owner = match place.take() {
            Some(owner) => owner,
            None => Owner::create(&self.parent)?,
        };
        let owner = place.insert(owner);
        owner.runs += 1;
        Ok(owner.dir.clone())
    }

    /// Counts one run less.
    fn leave(&self) {
        let mut place = self.owner();
        let Some(owner) = place.as_mut() else { return };
        owner.runs -= 1;
        if owner.runs == 0 {
            remove_directory(&owner.dir);
            *place = None;
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.clear_shelf(Duration::ZERO);
    }
}

impl Owner {
    fn create(parent: &Path) -> io::Result<Self> {
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
fn gate(parent: &Path) -> io::Result<File> {
    let gate = lock_file(&parent.join(LOCK_NAME))?;
    rustix::fs::flock(&gate, FlockOperation::LockExclusive)?;
    Ok(gate)
}

fn remove_directory(dir: &Path) {
    match std::fs::remove_dir_all(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot remove scratch directory"),
    }
}

/// Removes the directories of owners that are gone: their lock can be taken.
fn sweep(parent: &Path) -> io::Result<()> {
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

/// Removes the directory of an owner that is gone, if no run is left in it; for the last of its workers.
pub(crate) fn remove_orphaned_owner(owner: &Path) -> io::Result<()> {
    let is_owner = owner.file_name().is_some_and(|name| name.to_string_lossy().starts_with(OWNER_PREFIX));
    let Some(parent) = owner.parent().filter(|_| is_owner) else { return Ok(()) };
    let gate = lock_file(&parent.join(LOCK_NAME))?;
    let gated = within_tries(|| Ok(rustix::fs::flock(&gate, FlockOperation::NonBlockingLockExclusive).is_ok()))?;
    if !gated || !owner.exists() || std::fs::read_dir(owner)?.flatten().any(|entry| entry.path().is_dir()) {
        return Ok(());
    }
    // A process that is killed closes its files one after the other: its pipes may be gone before its lock is.
    let mut lock = None;
    let free = within_tries(|| {
        lock = take_owner(owner)?;
        Ok(lock.is_some())
    })?;
    if free { std::fs::remove_dir_all(owner) } else { Ok(()) }
}

/// Asks again and again, for two seconds at most, until the answer is yes.
fn within_tries(mut met: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    for _ in 0..ORPHAN_TRIES_MAX {
        if met()? {
            return Ok(true);
        }
        std::thread::sleep(ORPHAN_PAUSE);
    }
    Ok(false)
}

/// Removes a directory in which a guest may still be making files for a moment.
pub(crate) fn remove_busy_directory(dir: &Path) {
    for _ in 0..ORPHAN_TRIES_MAX {
        match std::fs::remove_dir_all(dir) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => return,
            Err(_) => std::thread::sleep(ORPHAN_PAUSE),
        }
    }
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

/// The directories of one run; removed when dropped, or left to the next run.
pub(crate) struct Workspace {
    dir: PathBuf,
    tenant: Tenant,
    /// Whether the run ended so that nobody can write to the directories any more.
    settled: AtomicBool,
    /// Whether nothing was put into them before the run.
    bare: bool,
    laid: BTreeMap<GuestPath, Laid>,
    disk_bytes: u64,
    scratch: Arc<Scratch>,
}

/// An input as it was when the guest started. A guest can set a file's times but not its change time, so equal
/// figures mean that nobody wrote to it.
struct Laid {
    source: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Workspace {
    fn new(dir: PathBuf, tenant: Tenant, disk_bytes: u64, scratch: Arc<Scratch>) -> Self {
        let settled = AtomicBool::new(false);
        Self { dir, tenant, settled, bare: true, laid: BTreeMap::new(), disk_bytes, scratch }
    }

    /// Says that the run has ended cleanly; if it left nothing, its directories may serve again.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Whether the guest finds nothing in its directories.
    pub(crate) fn is_bare(&self) -> bool {
        self.bare
    }

    fn is_as_made(&self) -> bool {
        let is_empty = |dir: PathBuf| std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        self.settled.load(Ordering::Relaxed) && is_empty(self.root_path()) && is_empty(self.tmp_path())
    }

    /// The whole scratch directory of the run.
    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// The guest's working directory.
    pub(crate) fn root_path(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The guest's `/tmp`.
    pub(crate) fn tmp_path(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    pub(crate) fn root(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(self.root_path(), ambient_authority())
    }

    /// Copies the inputs in and makes the empty directories. The error names the input.
    pub(crate) fn lay_out(&mut self, inputs: &[InputFile], directories: &[GuestPath]) -> Result<u64, LayoutError> {
        self.bare = false;
        let root = self.root().map_err(|source| LayoutError { path: ".".to_owned(), source })?;
        let mut total = 0;
        for directory in directories {
            make_directories(&root, Path::new(directory.as_str()))
                .map_err(|source| LayoutError { path: directory.to_string(), source })?;
        }
        for input in inputs {
            let fail = |source| LayoutError { path: input.guest.to_string(), source };
            let laid = copy_in(&root, input).map_err(fail)?;
            total += laid.size;
            self.laid.insert(input.guest.clone(), laid);
        }
        Ok(total)
    }

    /// The length beyond which a file must be mostly holes: more than the guest was given and could write.
    pub(crate) fn file_len_max(&self) -> u64 {
        self.laid.values().map(|laid| laid.size).max().unwrap_or(0).saturating_add(self.disk_bytes)
    }

    /// Whether this file is an input nobody touched.
    pub(crate) fn is_as_laid_out(&self, path: &GuestPath, metadata: &Metadata) -> bool {
        self.laid.get(path).is_some_and(|laid| {
            laid.inode == metadata.ino()
                && laid.size == metadata.len()
                && laid.changed == (metadata.ctime(), metadata.ctime_nsec())
        })
    }

    /// Whether the file at `path` was an input with this very content (touched, or written with what it held).
    pub(crate) fn has_input_content(&self, path: &GuestPath, digest: Digest, size: u64) -> bool {
        let Some(laid) = self.laid.get(path).filter(|laid| laid.size == size) else { return false };
        let original = File::open(&laid.source).and_then(Digest::of_reader);
        original.is_ok_and(|(original, _)| original == digest)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !(self.is_as_made() && self.scratch.shelve(&self.dir, self.tenant)) {
            remove_directory(&self.dir);
            self.scratch.leave();
        }
    }
}

/// An input could not be laid into the working directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot put {path:?} into the working directory")]
pub(crate) struct LayoutError {
    path: String,
    #[source]
    source: io::Error,
}

/// Copies files, directories and links, and follows no link.
fn copy_directory(from: &Dir, to: &Dir, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other(format!("directories are nested deeper than {DEPTH_MAX}")));
    }
    for entry in from.entries()? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() {
            to.create_dir(&name)?;
            copy_directory(&entry.open_dir()?, &to.open_dir(&name)?, depth + 1)?;
        } else if kind.is_file() {
            from.copy(&name, to, &name)?;
        } else if kind.is_symlink() {
            to.symlink_contents(from.read_link_contents(&name)?, &name)?;
        }
    }
    Ok(())
}

fn make_directories(root: &Dir, path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    root.create_dir_with(path, &builder)
}

fn copy_in(root: &Dir, input: &InputFile) -> io::Result<Laid> {
    let path = Path::new(input.guest.as_str());
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directories(root, parent)?;
    }
    let mut source = File::open(&input.source)?;
    if !source.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(if input.executable { 0o700 } else { 0o600 });
    // From file to file `io::copy` lets the kernel copy, or share the blocks where the file system can.
    let mut target = root.open_with(path, &options)?.into_std();
    io::copy(&mut source, &mut target)?;
    let metadata = target.metadata()?;
    Ok(Laid {
        source: input.source.clone(),
        inode: metadata.ino(),
        size: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_an_owner_that_is_still_dying_is_removed_once_its_lock_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(parent.path(), 0).unwrap();
        let owner = scratch.enter().unwrap();
        let dying = std::thread::spawn(move || {
            std::thread::sleep(10 * ORPHAN_PAUSE);
            // Lets go of the lock and leaves the directory, as a killed process does.
            drop(scratch.owner().take());
        });
        remove_orphaned_owner(&owner).unwrap();
        dying.join().unwrap();
        assert!(!owner.exists());
    }
}
