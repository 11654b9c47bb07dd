//! What takes room on the disk, by kind, and what of it may go: compiled code, images and blobs that nobody uses, the
//! least recently used first. Environments, sessions, recordings and records are listed beside them and never removed here.

use super::blobs::BlobStore;
use super::jobs::JobStore;
use crate::paths::Paths;
use crate::service::blobs_dir;
use potluck_runtime::{CachedCode, Digest, Environments, cached_code};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What something in the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Native code.
    Code,
    /// Interpreters' memories.
    Image,
    /// Inputs of jobs.
    Blob,
    /// Language environments.
    Environment,
    /// Saved sessions.
    Session,
    /// What jobs that were given to this node, and runs that are kept for others, said and made, where it is long.
    Recording,
    /// What is known of jobs, and what they said where it is short.
    Records,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Code, Self::Image, Self::Blob, Self::Environment, Self::Session, Self::Recording, Self::Records];

    /// What it is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Image => "images",
            Self::Blob => "blobs",
            Self::Environment => "environments",
            Self::Session => "sessions",
            Self::Recording => "recordings",
            Self::Records => "records",
        }
    }

    /// Whether it can be made, or sent, again.
    #[must_use]
    pub const fn may_go(self) -> bool {
        match self {
            Self::Code | Self::Image | Self::Blob => true,
            Self::Environment | Self::Session | Self::Recording | Self::Records => false,
        }
    }
}

/// One thing that takes room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// What it is kept under.
    pub name: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// When it was last of use, where that is known.
    pub used: Option<SystemTime>,
    /// Whether it is, or may be, used now.
    pub in_use: bool,
    handle: Handle,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Handle {
    Code(CachedCode),
    Blob(Digest),
    None,
}

/// What may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of what may go, together.
    pub bytes_max: u64,
    /// How long ago it was last of use, at most.
    pub age_max: Option<Duration>,
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// What is gone, or would be.
    pub removed: Vec<Item>,
    /// What would have to go as well and is in use.
    pub in_use: Vec<Item>,
}

/// Everything that takes room.
///
/// # Errors
/// What the system says when a directory cannot be listed.
pub fn contents(paths: &Paths) -> io::Result<Vec<Item>> {
    let mut items = Vec::new();
    for code in cached_code(&paths.cache_dir)? {
        let kind = if code.is_image { Kind::Image } else { Kind::Code };
        let CachedCode { name, bytes, used, in_use, .. } = code.clone();
        items.push(Item { kind, name, bytes, used, in_use, handle: Handle::Code(code) });
    }
    let blobs = BlobStore::new(blobs_dir(&paths.cache_dir), u64::MAX);
    let in_use = blobs.may_be_held();
    for (digest, bytes, used) in blobs.contents()? {
        let (name, handle) = (digest.to_string(), Handle::Blob(digest));
        items.push(Item { kind: Kind::Blob, name, bytes, used, in_use, handle });
    }
    for environment in Environments::new(&paths.cache_dir).list() {
        if environment.bytes > 0 {
            items.push(beside(Kind::Environment, environment.name, &environment.path, true)?);
        }
    }
    let folders = [
        (Kind::Environment, paths.interpreters_dir()),
        (Kind::Environment, paths.bundled_dir()),
        (Kind::Session, paths.sessions_dir()),
        (Kind::Recording, paths.recordings_dir()),
        (Kind::Recording, paths.kept_dir()),
    ];
    for (kind, folder) in folders {
        for path in entries(&folder)? {
            items.push(beside(kind, &name_of(&path), &path, true)?);
        }
    }
    if JobStore::is_in(&paths.data_dir) {
        for file in entries(&paths.data_dir)? {
            let name = name_of(&file);
            if name.starts_with("jobs.") {
                items.push(beside(Kind::Records, &name, &file, true)?);
            }
        }
    }
    Ok(items)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Something that is listed and stays.
fn beside(kind: Kind, name: &str, path: &Path, in_use: bool) -> io::Result<Item> {
    let used = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    Ok(Item { kind, name: name.to_owned(), bytes: bytes_of(path)?, used, in_use, handle: Handle::None })
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What a file or a directory with all in it takes; what goes meanwhile takes nothing.
fn bytes_of(path: &Path) -> io::Result<u64> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = metadata.blocks().saturating_mul(512);
    if metadata.is_dir() {
        for entry in entries(path)? {
            bytes = bytes.saturating_add(bytes_of(&entry)?);
        }
    }
    Ok(bytes)
}

/// What would have to go for the rest to be within the bounds, the least recently used first.
#[must_use]
pub fn surplus(items: &[Item], bounds: Bounds, now: SystemTime) -> Vec<Item> {
    let mut may_go: Vec<&Item> = items.iter().filter(|item| item.kind.may_go()).collect();
    may_go.sort_by_key(|item| item.used);
    let mut total: u64 = may_go.iter().fold(0, |total, item| total.saturating_add(item.bytes));
    let mut surplus = Vec::new();
    for item in may_go {
        let age = item.used.and_then(|used| now.duration_since(used).ok()).unwrap_or_default();
        let is_old = bounds.age_max.is_some_and(|age_max| age > age_max);
        if !is_old && total <= bounds.bytes_max {
            continue;
        }
        // What is in use stays, and others go for it.
        if !item.in_use {
            total = total.saturating_sub(item.bytes);
        }
        surplus.push(item.clone());
    }
    surplus
}

/// Removes what is beyond the bounds and not in use.
///
/// # Errors
/// What the system says; what was removed before stays removed.
pub fn collect(paths: &Paths, bounds: Bounds) -> io::Result<Collected> {
    let items = contents(paths)?;
    let blobs = BlobStore::new(blobs_dir(&paths.cache_dir), u64::MAX);
    // Held until all is done, so that nobody comes to hold what goes.
    let alone = blobs.alone();
    let mut collected = Collected::default();
    for item in surplus(&items, bounds, SystemTime::now()) {
        let gone = match &item.handle {
            Handle::Code(code) => code.remove()?,
            Handle::Blob(digest) => alone.is_some() && blobs.remove_unleased(*digest),
            Handle::None => false,
        };
        if gone { collected.removed.push(item) } else { collected.in_use.push(item) }
    }
    Ok(collected)
}

/// What [`collect`] would do.
///
/// # Errors
/// What the system says.
pub fn would_collect(paths: &Paths, bounds: Bounds) -> io::Result<Collected> {
    let surplus = surplus(&contents(paths)?, bounds, SystemTime::now());
    let (in_use, removed) = surplus.into_iter().partition(|item| item.in_use);
    Ok(Collected { removed, in_use })
}

#[cfg(test)]
mod tests;
