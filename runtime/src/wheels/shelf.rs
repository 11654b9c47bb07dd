//! Wheels that this machine's jobs bring along, and which of them were found for what was asked: so that the same question costs
//! no network. A wheel lies under the name of its bytes; what was found for a question that pins every version stands until it
//! is asked anew, anything else for a day.

use super::failed::{PackagesError, failed};
use super::sets::{CachedPackages, cached_sets};
use super::{PYTHON_VERSION, archive, directory};
use crate::digest::Digest;
use crate::python::built_ins;
use crate::workspace::private_directory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long what was found for a question that leaves versions open is good for.
const OPEN_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The version of what is written down.
const VERSION: u32 = 1;
/// Bytes of what is written down of one question.
const ANSWER_LEN_MAX: u64 = 1 << 20;
/// How long a wheel that was used is left alone, so that a job that was just asked for finds it.
const KEEP_USED: Duration = Duration::from_secs(10 * 60);

/// A wheel on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundWheel {
    /// What its file is called.
    pub name: String,
    /// Its bytes.
    pub digest: Digest,
    /// How many.
    pub len: u64,
    /// Where it lies.
    pub path: PathBuf,
}

/// What was found for a question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    version: u32,
    wheels: Vec<Entry>,
    pub(super) modules: BTreeSet<String>,
    /// Modules of the environment that the packages use.
    pub(super) uses: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    digest: Digest,
    len: u64,
}

/// The wheels and answers of a cache directory.
pub(super) struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    pub(super) fn open(cache_dir: &Path) -> Result<Self, PackagesError> {
        let dir = directory(cache_dir);
        for part in ["wheels", "found"] {
            let path = dir.join(part);
            private_directory(&path).map_err(failed("make a place for packages at", &path))?;
        }
        Ok(Self { dir })
    }

    /// A directory for what is on its way.
    pub(super) fn aside(&self) -> Result<tempfile::TempDir, PackagesError> {
        tempfile::Builder::new().prefix(".pip-").tempdir_in(&self.dir).map_err(failed("write below", &self.dir))
    }

    /// What was found for a question, and whether that is still good; nothing where a wheel of it is gone.
    pub(super) fn answer(&self, asked: &str, is_pinned: bool) -> Option<(Answer, Vec<FoundWheel>, bool)> {
        let path = self.answer_path(asked);
        let metadata = fs::metadata(&path).ok().filter(|metadata| metadata.len() <= ANSWER_LEN_MAX)?;
        let answer: Answer = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        if answer.version != VERSION {
            return None;
        }
        let wheels = answer.wheels.iter().map(|entry| self.wheel(entry)).collect::<Option<_>>()?;
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or(Duration::MAX);
        Some((answer, wheels, is_pinned || age <= OPEN_AGE_MAX))
    }

    /// Writes down what was found.
    pub(super) fn remember(
        &self,
        asked: &str,
        wheels: &[FoundWheel],
        (modules, uses): (BTreeSet<String>, BTreeSet<String>),
    ) -> Result<Answer, PackagesError> {
        let entry = |wheel: &FoundWheel| Entry { name: wheel.name.clone(), digest: wheel.digest, len: wheel.len };
        let answer = Answer { version: VERSION, wheels: wheels.iter().map(entry).collect(), modules, uses };
        let path = self.answer_path(asked);
        let write = || -> io::Result<()> {
            let file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
            serde_json::to_writer(&file, &answer)?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(failed("remember which packages were found at", &path))?;
        Ok(answer)
    }

    /// Puts a wheel in its place.
    pub(super) fn put(&self, from: &Path, name: &str) -> Result<FoundWheel, PackagesError> {
        let put = || -> io::Result<FoundWheel> {
            let (digest, len) = Digest::of_reader(File::open(from)?)?;
            let path = self.wheel_path(&digest, name);
            fs::rename(from, &path)?;
            Ok(FoundWheel { name: name.to_owned(), digest, len, path })
        };
        put().map_err(failed("keep the package", from))
    }

    fn wheel(&self, entry: &Entry) -> Option<FoundWheel> {
        archive::parts(&entry.name).filter(|_| !entry.name.contains('/'))?;
        let path = self.wheel_path(&entry.digest, &entry.name);
        let file = File::open(&path).ok()?;
        if file.metadata().ok()?.len() != entry.len {
            return None;
        }
        // A time that cannot be set costs only the order in which wheels go.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Some(FoundWheel { name: entry.name.clone(), digest: entry.digest, len: entry.len, path })
    }

    fn wheel_path(&self, digest: &Digest, name: &str) -> PathBuf {
        self.dir.join("wheels").join(format!("{}-{name}", digest.short()))
    }

    /// What is asked, with all that the answer depends on.
    fn answer_path(&self, asked: &str) -> PathBuf {
        let question = format!("{VERSION} {PYTHON_VERSION} {:?}\n{asked}", built_ins());
        self.dir.join("found").join(format!("{}.json", Digest::of(question.as_bytes())))
    }
}

/// All packages of a cache directory: wheels, and sets that are unpacked.
///
/// # Errors
/// What the system says when they cannot be listed.
pub fn cached_packages(cache_dir: &Path) -> io::Result<Vec<CachedPackages>> {
    let mut found = cached_sets(cache_dir)?;
    let entries = match fs::read_dir(directory(cache_dir).join("wheels")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // What is gone by now was removed by another process.
        let Ok(metadata) = entry.metadata() else { continue };
        let used = metadata.modified().ok();
        let in_use = used.and_then(|used| used.elapsed().ok()).is_some_and(|age| age < KEEP_USED);
        found.push(CachedPackages::wheel(entry.path(), &metadata, used, in_use));
    }
    Ok(found)
}
