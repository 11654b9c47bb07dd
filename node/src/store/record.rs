//! A small TOML file that several processes may read and change: a change holds a lock, sees the newest state, and
//! replaces the file as a whole, so a reader and a crash see the state before or after it and nothing between.

use rustix::fs::{FlockOperation, flock};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const VERSION_KEY: &str = "version";
const VERSION: i64 = 1;

/// Why a record could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is from a later version.
    #[error("{path} was written by a later version of Potluck (file version {version})")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
}

/// A file that holds one `T`.
#[derive(Debug)]
pub struct Record<T> {
    path: PathBuf,
    content: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned + Default + Clone + PartialEq> Record<T> {
    /// The record at `path`; nothing is read yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), content: PhantomData }
    }

    /// What it holds now; the default when there is no file yet.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(&self) -> Result<T, RecordError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
            Err(source) => return Err(self.failed("read", source)),
        };
        let damaged = |why: String| RecordError::Damaged { path: self.path.clone(), why };
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| damaged(error.to_string()))?;
        match table.remove(VERSION_KEY).and_then(|version| version.as_integer()) {
            Some(VERSION) => {}
            Some(version) => return Err(RecordError::Version { path: self.path.clone(), version }),
            None => return Err(damaged("it has no version".into())),
        }
        table.try_into().map_err(|error| damaged(error.to_string()))
    }

    /// Changes what it holds, alone among all processes, and returns what `change` returns. Once this returns the
    /// change survives a crash. The file is left alone when nothing changed.
    ///
    /// # Errors
    /// [`RecordError`]; then nothing has changed.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<(R, T), RecordError> {
        let lock_path = self.path.with_extension("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(|source| self.failed("lock", source))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| self.failed("lock", error.into()))?;
        let before = self.read()?;
        let mut after = before.clone();
        let result = change(&mut after);
        if after != before {
            self.write(&after).map_err(|source| self.failed("write", source))?;
        }
        Ok((result, after))
    }

    /// Renames the file to one with `label` in its name; the record holds the default from then on. Nothing happens where
    /// there is no file.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn put_aside(&self, label: &str) -> Result<(), RecordError> {
        match fs::rename(&self.path, self.path.with_extension(format!("old-{label}.toml"))) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.failed("rename", source)),
            _ => Ok(()),
        }
    }

    /// When the file was last replaced; changes whenever what it holds does.
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()
    }

    /// Replaces the file, by whoever holds the lock. What is written aside has one name, so that of all who were killed
    /// meanwhile one file is left at most, and the next takes its place.
    fn write(&self, content: &T) -> io::Result<()> {
        let body = toml::to_string(content).map_err(io::Error::other)?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let aside = self.path.with_extension("part");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
        write!(file, "{VERSION_KEY} = {VERSION}\n{body}")?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)?;
        File::open(dir)?.sync_all()
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> RecordError {
        RecordError::Io { doing, path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Count {
        count: u32,
    }

    #[test]
    fn changes_made_at_once_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("count.toml");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        Record::<Count>::at(&path).update(|content| content.count += 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(Record::<Count>::at(&path).read().unwrap().count, 40);
        assert!(fs::read_to_string(&path).unwrap().starts_with("version = 1\n"));
    }

    #[test]
    fn damage_and_later_versions_are_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("count.toml");
        for (text, wanted) in [("count = 1", "no version"), ("version = 9", "later version"), ("<<<", "damaged")] {
            fs::write(&path, text).unwrap();
            let error = Record::<Count>::at(&path).update(|content| content.count += 1).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn what_whoever_was_killed_had_written_aside_is_not_in_the_way_and_does_not_pile_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("count.toml");
        fs::write(path.with_extension("part"), "version = 1\ncount = 7 and the half of a very long line").unwrap();
        Record::<Count>::at(&path).update(|content| content.count += 1).unwrap();
        assert_eq!(Record::<Count>::at(&path).read().unwrap().count, 1);
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["count.lock", "count.toml"]);
    }
}
