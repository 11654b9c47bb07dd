//! Packages where jobs find them: the wheels of a job unpacked together, once, in a directory named by what is in it. A directory
//! that has its name is whole; it is only ever read, by any job that brings the same wheels, and goes when nobody holds it and
//! others have been of use since. Unpacked, because packages look for their data beside their modules, and because importing 68
//! modules of markdown-it-py takes 1.3 G of fuel so and 2.1 G from an archive.

use super::archive::{Room, Wheel, WheelError};
use super::directory;
use crate::digest::Digest;
use crate::workspace::private_directory;
use rustix::fs::FlockOperation;
use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, BufReader};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What the wheels of one job may come to, unpacked.
const SET_ROOM: Room = Room { bytes: 512 << 20, files: 50_000 };
/// Bytes of all sets, those that are held not counted among what must go: four of the largest.
const SETS_BYTES_MAX: u64 = 2 << 30;
/// After how long a directory that is not whole is nobody's: filling one takes seconds.
const ABANDONED_AGE: Duration = Duration::from_secs(60 * 60);
/// What directories begin with that are not whole.
const ASIDE: &str = ".new-";
/// The ending of the file whose lock is shared by all who hold a set; its text is the set's size.
const HELD: &str = "held";

/// A wheel where a job runs.
#[derive(Clone, Debug)]
pub struct WheelAt {
    /// What its file is called.
    pub name: String,
    /// Its bytes, which were checked.
    pub digest: Digest,
    /// Where they lie.
    pub path: PathBuf,
}

/// Packages that stay as long as this lives.
#[derive(Debug)]
pub struct PackageSet {
    path: PathBuf,
    _held: File,
}

impl PackageSet {
    /// Where they lie.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl PartialEq for PackageSet {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for PackageSet {}

/// Packages cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// One of them is at fault.
    #[error("the package {name} cannot be used")]
    Wheel {
        /// Its file.
        name: String,
        /// Why.
        source: WheelError,
    },
    /// This machine is.
    #[error("cannot lay out the job's packages")]
    Disk(#[source] io::Error),
}

/// Where sets lie; it is made, because workers are told of it.
pub(crate) fn sets_dir(cache_dir: &Path) -> PathBuf {
    let dir = directory(cache_dir).join("sets");
    if let Err(error) = private_directory(&dir) {
        tracing::debug!(%error, "there is no place for packages");
    }
    dir
}

/// Unpacks these wheels, unless they are already. Blocks.
pub(crate) fn lay_out(dir: &Path, wheels: &[WheelAt]) -> Result<PackageSet, SetError> {
    private_directory(dir).map_err(SetError::Disk)?;
    let path = dir.join(name(wheels));
    let held = hold(&path).map_err(SetError::Disk)?;
    if path.is_dir() {
        // A time that cannot be set costs only the order in which sets go.
        let _ = held.set_times(FileTimes::new().set_modified(SystemTime::now()));
        return Ok(PackageSet { path, _held: held });
    }
    let aside = tempfile::Builder::new().prefix(ASIDE).tempdir_in(dir).map_err(SetError::Disk)?;
    let whole = aside.path().join("whole");
    private_directory(&whole).map_err(SetError::Disk)?;
    let mut room = SET_ROOM;
    for wheel in wheels {
        unpack(wheel, &whole, &mut room)?;
    }
    put(&whole, &path).map_err(SetError::Disk)?;
    // Without its size a set counts as nothing.
    let _ = fs::write(held_path(&path), (SET_ROOM.bytes - room.bytes).to_string());
    trim(dir, SETS_BYTES_MAX);
    Ok(PackageSet { path, _held: held })
}

fn unpack(wheel: &WheelAt, dir: &Path, room: &mut Room) -> Result<(), SetError> {
    let file = File::open(&wheel.path).map_err(SetError::Disk)?;
    let unpacked = Wheel::open(BufReader::new(file)).and_then(|mut archive| archive.unpack(dir, room));
    unpacked.map_err(|source| match source {
        WheelError::Disk(source) => SetError::Disk(source),
        source => SetError::Wheel { name: wheel.name.clone(), source },
    })
}

/// What a set of wheels is called, in whatever order they come.
fn name(wheels: &[WheelAt]) -> String {
    let mut digests: Vec<&Digest> = wheels.iter().map(|wheel| &wheel.digest).collect();
    digests.sort_unstable();
    digests.dedup();
    let bytes: Vec<u8> = digests.into_iter().flat_map(|digest| *digest.as_bytes()).collect();
    Digest::of(&bytes).to_string()
}

/// A power cut may leave no file of it without its bytes.
fn put(whole: &Path, path: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(whole)?)?;
    match fs::rename(whole, path) {
        Err(_) if path.is_dir() => Ok(()),
        renamed => renamed,
    }
}

fn held_path(path: &Path) -> PathBuf {
    path.with_extension(HELD)
}

/// Shares the lock of a set. Whoever removes one removes its lock file with it.
fn hold(path: &Path) -> io::Result<File> {
    let held = held_path(path);
    loop {
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&held)?;
        rustix::fs::flock(&file, FlockOperation::LockShared)?;
        if is_at(&file, &held) {
            return Ok(file);
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |ours: Metadata| fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
    file.metadata().is_ok_and(same)
}

/// Removes the sets of no use for longest until the bound is kept, and what was never finished.
fn trim(dir: &Path, bytes_max: u64) {
    let Ok(mut sets) = sets_in(dir) else { return };
    sets.sort_by_key(|set| set.used);
    let mut total: u64 = sets.iter().fold(0, |total, set| total.saturating_add(set.bytes));
    for set in sets.iter().filter(|set| !set.in_use) {
        if total <= bytes_max {
            break;
        }
        match set.remove() {
            Ok(true) => total = total.saturating_sub(set.bytes),
            Ok(false) => {}
            Err(error) => tracing::warn!(path = %set.path.display(), %error, "cannot remove old packages"),
        }
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_aside = entry.file_name().as_encoded_bytes().starts_with(ASIDE.as_bytes());
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed().unwrap_or_default());
        if is_aside && age.is_ok_and(|age| age > ABANDONED_AGE) {
            // Another process may have come first.
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
}

/// Packages in the cache: a wheel, or a set that is unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedPackages {
    /// What it is kept under.
    pub name: String,
    /// What it takes on the disk, roughly.
    pub bytes: u64,
    /// When it was last of use.
    pub used: Option<SystemTime>,
    /// Whether it is, or may be, used now.
    pub in_use: bool,
    path: PathBuf,
}

impl CachedPackages {
    pub(super) fn wheel(path: PathBuf, metadata: &Metadata, used: Option<SystemTime>, in_use: bool) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, bytes: metadata.blocks() * 512, used, in_use, path }
    }

    /// Removes it; whether it is gone. It stays while somebody uses it.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self) -> io::Result<bool> {
        if !self.path.is_dir() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(true),
            };
        }
        let held = held_path(&self.path);
        let Some(_alone) = alone(&held) else { return Ok(false) };
        // Whoever comes now finds none, and fills a new one under a lock file of its own.
        let aside = self.path.with_file_name(format!("{ASIDE}{}-{}", self.name, std::process::id()));
        fs::rename(&self.path, &aside)?;
        fs::remove_file(&held)?;
        fs::remove_dir_all(&aside)?;
        Ok(true)
    }
}

/// The lock of a set that nobody holds.
fn alone(held: &Path) -> Option<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(held).ok()?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    is_at(&file, held).then_some(file)
}

/// All sets of a cache directory.
pub(super) fn cached_sets(cache_dir: &Path) -> io::Result<Vec<CachedPackages>> {
    sets_in(&directory(cache_dir).join("sets"))
}

fn sets_in(dir: &Path) -> io::Result<Vec<CachedPackages>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut sets = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.parse::<Digest>().is_err() {
            continue;
        }
        let held = held_path(&entry.path());
        let bytes = fs::read_to_string(&held).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
        let used = fs::metadata(&held).and_then(|metadata| metadata.modified()).ok();
        let in_use = alone(&held).is_none();
        sets.push(CachedPackages { name, bytes, used, in_use, path: entry.path() });
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheels::archive::tests::{PURE, wheel};

    fn at(dir: &Path, module: &str, text: &str) -> WheelAt {
        let bytes = wheel(PURE, &[(module, text.as_bytes())]);
        let path = dir.join(format!("{module}.whl"));
        fs::write(&path, &bytes).unwrap();
        WheelAt { name: format!("{module}.whl"), digest: Digest::of(&bytes), path }
    }

    #[test]
    fn wheels_lie_together_once_and_in_whatever_order() {
        let (cache, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (at(dir.path(), "one.py", "1"), at(dir.path(), "two.py", "2"));
        let sets = sets_dir(cache.path());
        let set = lay_out(&sets, &[one.clone(), two.clone()]).unwrap();
        assert_eq!(fs::read(set.path().join("two.py")).unwrap(), b"2");
        assert_eq!(lay_out(&sets, &[two, one]).unwrap(), set);
        let listed = cached_sets(cache.path()).unwrap();
        assert!(listed.len() == 1 && listed[0].in_use && listed[0].bytes > 0, "{listed:?}");
        assert!(!listed[0].remove().unwrap(), "it is held");
        drop(set);
        assert!(listed[0].remove().unwrap() && cached_sets(cache.path()).unwrap().is_empty());
        assert_eq!(fs::read_dir(&sets).unwrap().count(), 0);
    }

    #[test]
    fn sets_beyond_the_bound_go_the_oldest_first_and_never_while_they_are_held() {
        let (cache, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sets = sets_dir(cache.path());
        let held = lay_out(&sets, &[at(dir.path(), "one.py", "1")]).unwrap();
        drop(lay_out(&sets, &[at(dir.path(), "two.py", "2")]).unwrap());
        trim(&sets, 0);
        assert!(held.path().is_dir() && cached_sets(cache.path()).unwrap().len() == 1);
    }

    #[test]
    fn a_wheel_that_cannot_be_used_leaves_nothing() {
        let (cache, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sets = sets_dir(cache.path());
        let path = dir.path().join("x.whl");
        fs::write(&path, "no wheel").unwrap();
        let broken = WheelAt { name: "x.whl".to_owned(), digest: Digest::of(b"no wheel"), path };
        assert!(matches!(lay_out(&sets, &[broken]), Err(SetError::Wheel { .. })));
        assert!(cached_sets(cache.path()).unwrap().is_empty());
    }
}
