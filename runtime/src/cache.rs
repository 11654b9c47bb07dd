//! Compiled native code, kept so that a program is compiled once on each machine, and memory images, kept the same way. What is loaded from here runs outside
//! the sandbox, so: the directory and its files are this user's alone; a file is put in place whole (written aside, synced,
//! renamed); its note, beside it, says how long it is and what its BLAKE3 is, and which file (inode and time) was last
//! found to match. A file that changed since, or was not checked for a week, is read in full before it is used.
//! Holding a [`Code`] holds a shared lock on the file, and eviction takes only files whose lock is free.

mod contents;

pub use contents::{CachedCode, cached_code};

use crate::digest::Digest;
use crate::file_state::FileState;
use crate::handed::{Handed, path_in_process};
use crate::protocol::{CodeKind, Made};
use crate::workspace::private_directory;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use std::fs::{File, FileTimes};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a full check is good for, if the file stays the same.
const CHECK_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest note; a real one is about 200 bytes.
const NOTE_LEN_MAX: u64 = 4096;
const NOTE_VERSION: u32 = 1;
/// What the name of a note begins with that is not in its place yet.
const ASIDE: &str = "note-";
/// After how long such a note is nobody's: writing one takes a moment.
const ABANDONED_AGE: Duration = Duration::from_secs(60 * 60);
/// The unit in which the system counts what a file takes, in bytes.
const BLOCK_BYTES: u64 = 512;

/// The directory of compiled code.
pub(crate) struct Cache {
    dir: PathBuf,
    bytes_max: u64,
}

/// The name of one program's code under one engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CodeKey(pub(crate) Digest);

/// Compiled code, held so that it stays.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) path: PathBuf,
    pub(crate) kind: CodeKind,
    pub(crate) key: CodeKey,
    hold: File,
}

impl Code {
    /// Code that lies in a file of its own outside the cache (`hold`), for as long as this value lives.
    pub(crate) fn displaced(path: PathBuf, kind: CodeKind, key: CodeKey, hold: File) -> Self {
        Self { path, kind, key, hold }
    }

    /// The file, to be handed to a worker, which can only read it.
    pub(crate) fn handed(&self) -> io::Result<Handed> {
        Handed::to_read(&self.hold)
    }
}

/// What is known of a code file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    version: u32,
    kind: CodeKind,
    len: u64,
    digest: Digest,
    checked: Checked,
}

/// Which file was last found to match its note, and when.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checked {
    inode: u64,
    modified_s: i64,
    modified_ns: i64,
    at_s: u64,
}

impl Checked {
    fn now(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            inode: metadata.ino(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            at_s: unix_seconds(),
        })
    }

    fn still_holds(&self, file: &File) -> io::Result<bool> {
        let metadata = file.metadata()?;
        let same = self.inode == metadata.ino()
            && self.modified_s == metadata.mtime()
            && self.modified_ns == metadata.mtime_nsec();
        let age = unix_seconds().checked_sub(self.at_s);
        Ok(same && age.is_some_and(|age| age <= CHECK_AGE_MAX.as_secs()))
    }
}

impl Cache {
    pub(crate) fn open(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        if let Err(error) = private_directory(dir) {
            if !is_refusal_of_disk(&error) {
                return Err(error);
            }
            // Each compilation will say that its result is not kept.
            tracing::warn!(dir = %dir.display(), %error, "compiled code cannot be kept");
        }
        let cache = Self { dir: dir.to_owned(), bytes_max };
        cache.sweep();
        Ok(cache)
    }

    /// The code of this name, if it is here and sound. What is not sound is removed.
    pub(crate) fn find(&self, key: CodeKey) -> Option<Code> {
        let path = self.code_path(key);
        match self.open_code(key, &path) {
            Ok(code) => Some(code),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code is unusable and is made again");
                self.discard(key);
                None
            }
        }
    }

    /// What code of this name takes here, sound or not; nothing if it is not here.
    pub(crate) fn bytes(&self, key: CodeKey) -> Option<u64> {
        let metadata = std::fs::metadata(self.code_path(key)).ok()?;
        self.note_path(key).is_file().then(|| metadata.blocks() * BLOCK_BYTES)
    }

    fn open_code(&self, key: CodeKey, path: &Path) -> io::Result<Code> {
        let file = open_own(path)?;
        rustix::fs::flock(&file, FlockOperation::LockShared)?;
        let mut note = self.read_note(key)?;
        if note.len != file.metadata()?.len() {
            return Err(invalid("its length is wrong"));
        }
        if !note.checked.still_holds(&file)? {
            let (digest, _) = Digest::of_reader(&file)?;
            if digest != note.digest {
                return Err(invalid("its content is damaged"));
            }
            note.checked = Checked::now(&file)?;
            if let Err(error) = self.write_note(key, &note) {
                tracing::debug!(%error, "the check of compiled code is not recorded");
            }
        }
        // The access time is the time of last use, whatever the mount options; eviction goes by it.
        if let Err(error) = file.set_times(FileTimes::new().set_accessed(SystemTime::now())) {
            tracing::debug!(%error, "the use of compiled code is not recorded");
        }
        Ok(Code { path: path.to_owned(), kind: note.kind, key, hold: file })
    }

    /// Takes the right to compile this code, if nobody has it now. Several processes may ask; one gets it.
    pub(crate) fn try_claim(&self, key: CodeKey) -> io::Result<Option<Claim>> {
        let path = self.dir.join(format!("{}.lock", key.0));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(&path)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had the claim may have removed the file between; a lock on that keeps nobody else away.
        if !is_still_at(&lock, &path)? {
            return Ok(None);
        }
        let output = self.dir.join(format!("{}.part", key.0));
        remove(&output)?;
        Ok(Some(Claim { lock_path: path, output, _lock: lock }))
    }

    /// Freshly made code that could not be put in place; it serves those who hold it, and is gone with its claim.
    pub(crate) fn borrow_unplaced(&self, claim: &Claim, key: CodeKey, made: &Made) -> io::Result<Code> {
        let file = open_own(&claim.output)?;
        Ok(Code::displaced(path_in_process(&file), made.kind, key, file))
    }

    /// Puts freshly made code in place and makes room for it.
    pub(crate) fn admit(&self, claim: &Claim, key: CodeKey, made: &Made) -> io::Result<Code> {
        let file = open_own(&claim.output)?;
        file.sync_all()?;
        let checked = Checked::now(&file)?;
        let note = Note { version: NOTE_VERSION, kind: made.kind, len: made.len, digest: made.digest, checked };
        self.write_note(key, &note)?;
        let path = self.code_path(key);
        std::fs::rename(&claim.output, &path)?;
        rustix::fs::flock(&file, FlockOperation::LockShared)?;
        self.evict();
        Ok(Code { path, kind: made.kind, key, hold: file })
    }

    /// Removes code that does not load.
    pub(crate) fn discard(&self, key: CodeKey) {
        for path in [self.code_path(key), self.note_path(key)] {
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove damaged code");
            }
        }
    }

    /// Removes the least recently used code until the bound is kept. Code in use is passed over.
    fn evict(&self) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        let mut codes: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "code"))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                // An image is full of holes, which take no room.
                Some((metadata.accessed().ok()?, metadata.blocks() * BLOCK_BYTES, entry.path()))
            })
            .collect();
        codes.sort();
        let mut total: u64 = codes.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in codes {
            if total <= self.bytes_max {
                return;
            }
            let Ok(file) = open_own(&path) else { continue };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            match remove(&path).and_then(|()| remove(&path.with_extension("note"))) {
                Ok(()) => total -= len,
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove old compiled code"),
            }
        }
    }

    /// Removes what interrupted compilations left: parts whose claim is free, and notes that nobody writes any more.
    fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(ASIDE.as_bytes()) && is_abandoned(&entry) {
                // Another process may have come first.
                let _gone = remove(&path);
            }
            if path.extension().is_none_or(|extension| extension != "part" && extension != "lock") {
                continue;
            }
            let Some(key) = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()) else {
                continue;
            };
            // Making the claim removes the part, dropping it removes the lock file.
            if let Err(error) = self.try_claim(CodeKey(key)) {
                tracing::debug!(path = %path.display(), %error, "cannot clean up after a compilation");
            }
        }
    }

    fn code_path(&self, key: CodeKey) -> PathBuf {
        self.dir.join(format!("{}.code", key.0))
    }

    fn note_path(&self, key: CodeKey) -> PathBuf {
        self.dir.join(format!("{}.note", key.0))
    }

    fn read_note(&self, key: CodeKey) -> io::Result<Note> {
        let mut file = open_own(&self.note_path(key)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => invalid("its note is missing"),
            _ => error,
        })?;
        if file.metadata()?.len() > NOTE_LEN_MAX {
            return Err(invalid("its note is too long"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let note: Note = rmp_serde::from_slice(&bytes).map_err(|_| invalid("its note is damaged"))?;
        if note.version != NOTE_VERSION {
            return Err(invalid("its note is of another version"));
        }
        Ok(note)
    }

    fn write_note(&self, key: CodeKey, note: &Note) -> io::Result<()> {
        let bytes = rmp_serde::to_vec(note).map_err(io::Error::other)?;
        let mut file = tempfile::Builder::new().prefix(ASIDE).tempfile_in(&self.dir)?;
        file.write_all(&bytes)?;
        file.persist(self.note_path(key)).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Claim {
    /// An empty file for what is made.
    pub(crate) fn create(&self) -> io::Result<Handed> {
        create_own(&self.output).map(Handed::new)
    }
}

/// Whether this file is the one that has this name.
fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = FileState::by_change(&file.metadata()?);
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(FileState::by_change(&named).is_of_same_file(&ours)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether nobody has written to it for so long that whoever did is gone.
fn is_abandoned(entry: &std::fs::DirEntry) -> bool {
    let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age > ABANDONED_AGE)
}

/// Makes a new file that is this user's alone.
pub(crate) fn create_own(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).custom_flags(nofollow()).open(path)
}

/// The right to compile one program, held by one process at a time.
pub(crate) struct Claim {
    /// Where the compiler writes.
    pub(crate) output: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Removed before the lock is let go, so that no one else's part is taken.
        for path in [&self.output, &self.lock_path] {
            if let Err(error) = remove(path) {
                tracing::debug!(path = %path.display(), %error, "cannot clean up after a compilation");
            }
        }
    }
}

/// Opens a file that must be this user's alone.
fn open_own(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(nofollow()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a private file of this user"));
    }
    Ok(file)
}

/// Whether a disk is full or may not be written to, which costs time and not runs.
pub(crate) fn is_refusal_of_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
        || error.raw_os_error() == Some(rustix::io::Errno::ACCESS.raw_os_error())
}

fn nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_note_that_nobody_finished_is_removed_and_one_that_is_being_written_is_not() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("code");
        drop(Cache::open(&dir, 0).unwrap());
        for (name, age) in [("note-old", ABANDONED_AGE * 2), ("note-new", Duration::ZERO)] {
            let file = File::create(dir.join(name)).unwrap();
            file.set_times(FileTimes::new().set_modified(SystemTime::now() - age)).unwrap();
        }
        drop(Cache::open(&dir, 0).unwrap());
        assert!(!dir.join("note-old").exists() && dir.join("note-new").exists());
    }

    #[test]
    fn of_many_who_claim_and_sweep_at_once_one_has_the_claim() {
        let home = tempfile::tempdir().unwrap();
        let key = CodeKey(Digest::of(b"code"));
        let claimed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let cache = Cache::open(home.path(), 0).unwrap();
                    while claimed.load(Ordering::Relaxed) < 500 {
                        cache.sweep();
                        let Some(claim) = cache.try_claim(key).unwrap() else { continue };
                        let _handed = claim.create().expect("nobody else has made it");
                        let mine = std::fs::metadata(&claim.output).unwrap().ino();
                        std::thread::yield_now();
                        assert_eq!(std::fs::metadata(&claim.output).unwrap().ino(), mine, "somebody else's");
                        claimed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    }
}
