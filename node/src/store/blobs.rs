//! Blobs: bytes named by their BLAKE3 digest, kept in the cache so that an input travels once.
//!
//! A file has a blob's name only after all its bytes were checked against that name; what is still arriving has another
//! name and is removed when it is dropped. Any number of processes may receive one blob at once: the last rename wins
//! and both files are the same. The store is a cache: a blob may go whenever nobody holds a [`BlobLease`] of it. A process
//! with leases shares a lock, so that others can tell that there are some.

use potluck_runtime::Digest;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long a blob that was touched is left alone by trimming, so that another process that just found it can use it.
const KEEP_TOUCHED: Duration = Duration::from_secs(10 * 60);
/// How old an unfinished file is when its writer is taken for dead.
const ABANDONED_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Blobs that arrive between two looks at the whole store, at most: other processes fill it as well.
const LOOK_AFTER: u32 = 4096;
/// The part of its bound by which the store may grow between two looks once it is over it: what is held cannot go, and is not to
/// be listed for each blob that comes.
const OVER_PART: u64 = 32;
/// What a file takes of most disks, at least and in steps.
const BLOCK_LEN: u64 = 4096;
/// What files that are still arriving begin with; no digest does.
const PARTIAL_PREFIX: &str = "partial-";
/// The file whose lock is shared by all who hold blobs.
pub(crate) const PRESENCE_FILE: &str = "held";

/// The blobs of one cache directory. Clones share it.
#[derive(Clone, Debug)]
pub struct BlobStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    bytes_max: u64,
    leases: Mutex<Leases>,
    fill: Mutex<Fill>,
}

/// How full the store is, as far as this process knows; nothing is known of one that was not looked at.
#[derive(Debug, Default)]
struct Fill {
    /// Bytes that may arrive, and blobs, before it is looked at again.
    room_bytes: u64,
    room_blobs: u32,
}

/// What is held in this process.
#[derive(Debug, Default)]
struct Leases {
    counts: HashMap<Digest, usize>,
    /// Says so to other processes; there while anything is held, if the disk lets it be.
    presence: Option<File>,
}

/// Why a blob could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file system refused.
    #[error("cannot {doing} in the blob cache {dir}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The cache.
        dir: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The bytes are not those of the digest.
    #[error("blob {} arrived with other bytes than its digest promises", wanted.short())]
    Lie {
        /// The digest that was promised.
        wanted: Digest,
    },
    /// More bytes arrived than were promised, or fewer.
    #[error("blob {} has {promised} bytes by its description and {arrived} arrived", wanted.short())]
    WrongSize {
        /// The blob.
        wanted: Digest,
        /// How many were promised.
        promised: u64,
        /// How many arrived.
        arrived: u64,
    },
}

impl BlobStore {
    /// The store in `dir`, which holds about `bytes_max` bytes. The directory is made when the first blob arrives, so that
    /// a job that carries nothing needs no directory it can write.
    #[must_use]
    pub fn new(dir: PathBuf, bytes_max: u64) -> Self {
        Self { inner: Arc::new(Inner { dir, bytes_max, leases: Mutex::default(), fill: Mutex::default() }) }
    }

    /// The blob, if it is here with this size; it stays at least as long as the lease.
    #[must_use]
    pub fn lease(&self, digest: Digest, size: u64) -> Option<BlobLease> {
        // The lease comes first, so that no trimming in this process can come between the look and the use.
        let lease = self.hold(digest);
        let file = File::open(lease.path()).ok()?;
        if file.metadata().ok()?.len() != size {
            return None;
        }
        // A time that cannot be set costs only the order in which blobs go.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Some(lease)
    }

    /// A writer for a blob that is about to arrive.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn receive(&self, digest: Digest, size: u64) -> Result<BlobWriter, BlobError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.inner.dir);
        made.map_err(|source| self.failed("make a place", source))?;
        let file = tempfile::Builder::new()
            .prefix(PARTIAL_PREFIX)
            .tempfile_in(&self.inner.dir)
            .map_err(|source| self.failed("write", source))?;
        Ok(BlobWriter { store: self.clone(), file, hasher: blake3::Hasher::new(), wanted: digest, promised: size })
    }

    /// [Trims](Self::trim) the store when as much has arrived since it was looked at last as may take it over its bound. Costs
    /// little otherwise, however many blobs there are.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn trim_if_due(&self) -> Result<(), BlobError> {
        let has_room = {
            let fill = self.fill();
            fill.room_bytes > 0 && fill.room_blobs > 0
        };
        if has_room {
            return Ok(());
        }
        let (total, most) = (self.trim()?, self.inner.bytes_max);
        let room_bytes = most.saturating_sub(total).max(most / OVER_PART);
        *self.fill() = Fill { room_bytes, room_blobs: LOOK_AFTER };
        Ok(())
    }

    /// So many bytes have arrived.
    fn filled(&self, bytes: u64) {
        let mut fill = self.fill();
        fill.room_bytes = fill.room_bytes.saturating_sub(bytes.next_multiple_of(BLOCK_LEN));
        fill.room_blobs = fill.room_blobs.saturating_sub(1);
    }

    fn fill(&self) -> MutexGuard<'_, Fill> {
        self.inner.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the blobs unused for longest until the store is within its bound; returns the bytes it then holds.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn trim(&self) -> Result<u64, BlobError> {
        let now = SystemTime::now();
        let mut blobs = Vec::new();
        let mut total = 0u64;
        let entries = match fs::read_dir(&self.inner.dir) {
            Ok(entries) => entries,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(source) => return Err(self.failed("list", source)),
        };
        for entry in entries {
            let Ok(entry) = entry else { continue };
            // A file that is gone by now was removed by another process.
            let Ok(metadata) = entry.metadata() else { continue };
            let age = metadata.modified().ok().and_then(|time| now.duration_since(time).ok()).unwrap_or_default();
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            match name.parse::<Digest>() {
                Ok(digest) => {
                    total = total.saturating_add(metadata.blocks().saturating_mul(512));
                    blobs.push((age, digest, metadata.blocks().saturating_mul(512)));
                }
                Err(_) if name.starts_with(PARTIAL_PREFIX) && age > ABANDONED_AGE => {
                    let _ = fs::remove_file(entry.path());
                }
                Err(_) => {}
            }
        }
        blobs.sort_by_key(|(age, ..)| std::cmp::Reverse(*age));
        for (age, digest, bytes) in blobs {
            if total <= self.inner.bytes_max || (age < KEEP_TOUCHED && total <= self.inner.bytes_max.saturating_mul(2))
            {
                break;
            }
            if self.remove_unleased(digest) {
                total = total.saturating_sub(bytes);
            }
        }
        Ok(total)
    }

    /// Every blob that is here: its digest, what it takes on the disk, and when it was last of use.
    pub(crate) fn contents(&self) -> io::Result<Vec<(Digest, u64, Option<SystemTime>)>> {
        let entries = match fs::read_dir(&self.inner.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.parse::<Digest>().ok());
            // A file that is gone by now was removed by another process.
            if let (Some(digest), Ok(metadata)) = (digest, entry.metadata()) {
                found.push((digest, metadata.blocks().saturating_mul(512), metadata.modified().ok()));
            }
        }
        Ok(found)
    }

    /// Whether some process holds blobs now.
    pub(crate) fn may_be_held(&self) -> bool {
        self.inner.dir.exists() && self.alone().is_none()
    }

    /// That no process holds a blob, nor comes to while the file is open; none when one does.
    pub(crate) fn alone(&self) -> Option<File> {
        let file = self.presence_file().ok()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
    }

    fn presence_file(&self) -> io::Result<File> {
        let path = self.inner.dir.join(PRESENCE_FILE);
        File::options().create(true).truncate(false).write(true).mode(0o600).open(path)
    }

    /// Whether the blob is here.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        self.path(digest).exists()
    }

    /// How many bytes the blob has, if it is here.
    pub(crate) fn len(&self, digest: Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|metadata| metadata.len())
    }

    /// When the blob was last of use.
    pub(crate) fn used_at(&self, digest: Digest) -> Option<SystemTime> {
        fs::metadata(self.path(digest)).and_then(|metadata| metadata.modified()).ok()
    }

    /// Removes the blob unless somebody holds it.
    pub(crate) fn remove_unleased(&self, digest: Digest) -> bool {
        let leases = self.inner.leases.lock().unwrap_or_else(PoisonError::into_inner);
        !leases.counts.contains_key(&digest) && fs::remove_file(self.path(digest)).is_ok()
    }

    fn hold(&self, digest: Digest) -> BlobLease {
        let mut leases = self.inner.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.presence.is_none() {
            // A collection under way is waited for: it is short.
            let presence = self.presence_file().ok();
            leases.presence = presence.filter(|file| flock(file, FlockOperation::LockShared).is_ok());
        }
        *leases.counts.entry(digest).or_default() += 1;
        drop(leases);
        BlobLease { store: self.clone(), digest, path: self.path(digest) }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.inner.dir.join(digest.to_string())
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> BlobError {
        BlobError::Io { doing, dir: self.inner.dir.clone(), source }
    }
}

/// A blob that stays where it is while this lives.
#[derive(Debug)]
pub struct BlobLease {
    store: BlobStore,
    digest: Digest,
    path: PathBuf,
}

impl BlobLease {
    /// Where the bytes are. To be read, never written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BlobLease {
    fn drop(&mut self) {
        let mut leases = self.store.inner.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = leases.counts.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                leases.counts.remove(&self.digest);
            }
        }
        if leases.counts.is_empty() {
            leases.presence = None;
        }
    }
}

/// A blob that is arriving. Dropped before [`BlobWriter::commit`], it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: BlobStore,
    file: tempfile::NamedTempFile,
    hasher: blake3::Hasher,
    wanted: Digest,
    promised: u64,
}

impl BlobWriter {
    /// The next bytes.
    ///
    /// # Errors
    /// [`BlobError::WrongSize`] as soon as there are too many, or [`BlobError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.hasher.update(bytes);
        if self.hasher.count() > self.promised {
            return Err(self.wrong_size());
        }
        self.file.write_all(bytes).map_err(|source| self.store.failed("write", source))
    }

    /// Checks the bytes and gives them their name.
    ///
    /// # Errors
    /// [`BlobError`]; then nothing is left.
    pub fn commit(self) -> Result<BlobLease, BlobError> {
        if self.hasher.count() != self.promised {
            return Err(self.wrong_size());
        }
        if Digest::from_bytes(*self.hasher.finalize().as_bytes()) != self.wanted {
            return Err(BlobError::Lie { wanted: self.wanted });
        }
        let Self { store, file, wanted, promised, .. } = self;
        let lease = store.hold(wanted);
        file.persist(lease.path()).map_err(|error| store.failed("rename", error.error))?;
        store.filled(promised);
        Ok(lease)
    }

    fn wrong_size(&self) -> BlobError {
        BlobError::WrongSize { wanted: self.wanted, promised: self.promised, arrived: self.hasher.count() }
    }
}

#[cfg(test)]
mod tests;
