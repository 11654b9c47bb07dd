//! The side that runs jobs and keeps sessions: what a node does with a `SUBMIT`, a `CANCEL`, a `FETCH_ARTIFACT` or a
//! `SESSION_` request, whoever sent it and over whatever.
//!
//! 1. Nothing of a job outlives its stream or its link: when one ends, the run is killed and its files are removed.
//! 2. Every refusal is a fault with a sentence that names the rule.
//! 3. Bytes wait where they are when nobody takes them: no queue here grows with a job's input or output.

mod admission;

mod answers;

mod clashes;

mod gate;

pub(crate) mod lending;

mod present;

pub(crate) mod quotas;

pub(crate) mod stored;

mod images;

mod inbound;

mod cancelling;

mod stages;

mod inputs;

mod mounts;

pub mod environment;

mod walk;

mod noting;

mod pump;

mod outputs;

mod packages;

pub(crate) mod containers;

mod artifact;

pub(crate) mod sharing;

mod sessions;

pub(crate) mod kept;

mod sending_files;

pub mod embedded;

use crate::config::Docker;
use crate::defaults::DRAIN_TIMEOUT;
use crate::dispatch::{BeginError, Caller, JobService, Remembers, Role};
use crate::identity::{Identity, NodeId};
use crate::state::placement::Place;
pub use crate::state::sharing::rules::Policy;
use crate::store::blobs::BlobStore;
use crate::store::jobs::JobStore;
use crate::store::record::RecordError;
use crate::wire::{DockerOffer, Fault, Frame, FrameError, FrameStream, FrameWriter, Lends, Tag};
pub(crate) use admission::{MemoryLent, admit, check_mount_point, overlap};
use cancelling::Cancellations;
pub use clashes::{Case, Clash, check_paths};
use containers::Containers;
use environment::PeerStreams;
use gate::Gate;
use images::ImageMaker;
use inputs::LocalSources;
use kept::{Keeping, KeptRuns};
use lending::Lending;
pub(crate) use mounts::prepare_dir as prepare_mounts;
use potluck_runtime::Runtime;
use present::Present;
use quotas::Accounts;
pub(crate) use sending_files::{SendFileError, send_file};
pub use sessions::Parking;
use sessions::Sessions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use stored::StoredBytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where it is noted which blobs are whose, in the data directory.
pub(crate) const HOLDERS_DIR: &str = "holders";

/// Where blobs are kept in a cache directory.
pub(crate) fn blobs_dir(cache_dir: &Path) -> PathBuf {
    cache_dir.join("blobs")
}

/// The blobs of a cache directory of so many bytes, half of which are theirs.
pub(crate) fn blobs_in(cache_dir: &Path, cache_bytes_max: u64) -> BlobStore {
    BlobStore::new(blobs_dir(cache_dir), cache_bytes_max / 2)
}

/// Where and as whom jobs are run.
pub struct JobsConfig {
    /// The node that runs them, as it names itself to submitters.
    pub node: NodeId,
    /// Its label.
    pub name: String,
    /// What peers may do.
    pub policy: Policy,
    /// What is offered of containers.
    pub docker: Docker,
    /// Where the owner changes that while this runs; without it nothing of it changes.
    pub config_file: Option<PathBuf>,
    /// Below what the system's own files are.
    pub system_root: PathBuf,
    /// What runs them.
    pub runtime: Runtime,
    /// Where blobs are kept, once one arrives.
    pub blobs_dir: PathBuf,
    /// Where the folders that jobs carry are laid out while they run.
    pub mounts_dir: PathBuf,
    /// Bytes of blobs kept.
    pub blob_bytes_max: u64,
    /// Where the owner's quotas lie, and what was used of them.
    pub data_dir: PathBuf,
    /// Who may have an environment that is missing here.
    pub peers: Arc<dyn PeerStreams>,
    /// Whether images that jobs miss are made in the background.
    pub makes_images: bool,
    /// Where idle sessions go; without it they end with this process.
    pub parking: Option<Parking>,
    /// Where runs are kept; without it none is.
    pub(crate) keeping: Option<Keeping>,
    /// Where the jobs that run here are recorded; without it whoever submits them sees to that.
    pub records: Option<JobStore>,
    /// What signs receipts for peers; without it they get none.
    pub signer: Option<Identity>,
}

/// The service could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// A directory cannot be used.
    #[error("cannot set up {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What peers may use, or have used, or what is lent, cannot be read.
    #[error("cannot read what the owner has decided for peers")]
    Quotas(#[from] RecordError),
}

/// Runs jobs. Clones share everything.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    name: String,
    lending: Arc<Lending>,
    containers: Containers,
    present: Arc<Present>,
    runtime: Runtime,
    blobs: BlobStore,
    mounts_dir: PathBuf,
    /// Of the disk that jobs are laid out on.
    case: Case,
    gate: Gate,
    accounts: Arc<Accounts>,
    cancellations: Cancellations,
    environments: environment::Getter,
    images: ImageMaker,
    sessions: Sessions,
    /// What it goes on with as soon as it has its directories to itself.
    keeping: Mutex<Option<Keeping>>,
    /// Set once, then.
    kept: OnceLock<KeptRuns>,
    records: Option<JobStore>,
    signer: Option<Identity>,
    leaving: watch::Sender<bool>,
}

impl Inner {
    /// Bytes of a peer on this disk that stay until it lets go of them: its sessions, and what its runs have left.
    fn held_by(&self, peer: &NodeId) -> u64 {
        let runs = self.kept.get().map_or(0, |kept| kept.stored_bytes(|home| home == Place::Peer(*peer)));
        self.sessions.stored_bytes(peer).saturating_add(runs)
    }

    /// The same, of all peers.
    fn held_by_all(&self) -> u64 {
        let runs = self.kept.get().map_or(0, |kept| kept.stored_bytes(|home| home != Place::Here));
        self.sessions.all_stored_bytes().saturating_add(runs)
    }
}

/// Why a job's walk ended before its run did.
#[derive(Debug)]
enum Stop {
    /// The submitter cancelled.
    Cancelled,
    /// The submitter is gone.
    Gone,
    /// This side refuses or failed.
    Refused(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

/// Nothing can be told to a submitter that cannot be written to.
fn gone(error: FrameError) -> Stop {
    tracing::debug!(%error, "submitter cannot be written to");
    Stop::Gone
}

impl Jobs {
    /// A service that takes jobs.
    ///
    /// # Errors
    /// [`JobsError`] when its directories cannot be used.
    pub fn open(config: JobsConfig) -> Result<Self, JobsError> {
        let blobs = BlobStore::new(config.blobs_dir, config.blob_bytes_max);
        let mounts_dir = config.mounts_dir;
        let unusable = |source| JobsError::Directory { path: mounts_dir.clone(), source };
        mounts::prepare_dir(&mounts_dir).map_err(unusable)?;
        let case = Case::of(&mounts_dir).map_err(unusable)?;
        let sessions_dir = config.parking.as_ref().map_or(PathBuf::new(), |parking| parking.dir.clone());
        let sessions = Sessions::open(config.parking);
        let sessions = sessions.map_err(|source| JobsError::Directory { path: sessions_dir, source })?;
        let holders = config.data_dir.join(HOLDERS_DIR);
        let stored = StoredBytes::open(blobs.clone(), &holders);
        let stored = stored.map_err(|source| JobsError::Directory { path: holders, source })?;
        let accounts = Arc::new(Accounts::open(&config.data_dir, config.policy.jobs_max, stored)?);
        let lending =
            Lending::open(&config.data_dir, config.config_file, &config.system_root, (&config.policy, &config.docker))?;
        let containers = Containers::new(config.runtime.clone(), &config.data_dir);
        containers.settle(&config.docker);
        let inner = Inner {
            node: config.node,
            name: config.name,
            gate: Gate::new(config.policy.jobs_max),
            lending: Arc::new(lending),
            containers,
            present: Present::new(),
            accounts,
            cancellations: Cancellations::default(),
            environments: environment::Getter::new(config.runtime.clone(), config.peers),
            images: ImageMaker::new(config.runtime.clone(), config.makes_images),
            runtime: config.runtime,
            blobs,
            mounts_dir,
            case,
            sessions,
            keeping: Mutex::new(config.keeping),
            kept: OnceLock::new(),
            records: config.records,
            signer: config.signer,
            leaving: watch::Sender::new(false),
        };
        let inner = Arc::new(inner);
        sessions::watch_all(&inner);
        Ok(Self { inner })
    }

    /// Keeps to its owner's rules of lending from now on. Must be called within a Tokio runtime.
    pub fn keep_to_rules(&self) {
        tokio::spawn(lending::keep(Arc::downgrade(&self.inner)));
    }

    /// What runs the jobs.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }
}

#[async_trait::async_trait]
impl JobService for Jobs {
    async fn serve(&self, caller: Caller, first: Frame, mut stream: FrameStream) {
        let sources = match first.tag {
            Tag::SUBMIT | Tag::RUN_KEEP if caller.is_at_hand() => inputs::sources(&mut stream.reader).await,
            _ => Ok(LocalSources::default()),
        };
        match sources {
            Ok(sources) => self.answer(caller, first, stream, sources).await,
            // Whoever cannot be told is gone.
            Err(fault) => drop(stream.writer.send_fault(&fault).await),
        }
    }

    fn jobs_running(&self) -> u32 {
        self.inner.gate.running()
    }

    fn environments_ready(&self) -> Vec<String> {
        environment::ready(&self.inner.runtime)
    }

    fn engine_version(&self) -> String {
        self.inner.runtime.engine_version()
    }

    fn remembers(&self) -> Option<Remembers> {
        let records = self.inner.records.clone()?;
        Some(Remembers { records, blobs: self.inner.blobs.clone() })
    }

    fn begin(&self, trusted: &[NodeId]) -> Result<(), BeginError> {
        let keeping = self.inner.keeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(keeping) = keeping else { return Ok(()) };
        let kept = KeptRuns::begin(&Arc::downgrade(&self.inner), keeping, trusted);
        let kept = kept.map_err(|error| BeginError(error.into()))?;
        self.inner.kept.get_or_init(|| kept);
        Ok(())
    }

    fn lends(&self) -> Option<Lends> {
        Some(self.inner.lending.lends())
    }

    fn docker(&self) -> Option<DockerOffer> {
        self.inner.containers.offer()
    }

    fn paused(&self) -> Option<watch::Receiver<bool>> {
        Some(self.inner.lending.paused())
    }

    async fn forget(&self, peer: NodeId) {
        if let Some(kept) = self.inner.kept.get() {
            kept.forget(peer).await;
        }
        self.inner.sessions.forget(peer).await;
        self.inner.accounts.forget(&peer);
    }

    async fn shutdown(&self) {
        if let Some(kept) = self.inner.kept.get() {
            kept.evict_all().await;
        }
        self.inner.leaving.send_replace(true);
        if tokio::time::timeout(DRAIN_TIMEOUT, self.inner.gate.empty()).await.is_err() {
            tracing::warn!("jobs did not end in time");
        }
        sessions::put_away(&self.inner).await;
        let accounts = Arc::clone(&self.inner.accounts);
        let records = self.inner.records.clone();
        blocking(move || {
            accounts.write();
            records.inspect(JobStore::close);
        })
        .await;
        self.inner.runtime.stand_down();
    }
}

/// The sentence of a failure and its causes. A peer is not told what lies where on this machine.
fn sentence(error: &(dyn std::error::Error + 'static), role: Role) -> String {
    match role {
        Role::Peer => error.to_string(),
        Role::Owner => chain(error),
    }
}

/// A failure with all its causes, outermost first.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Answers a `FETCH_ARTIFACT` outside of a node.
pub(crate) async fn give_artifact(runtime: &Runtime, first: &Frame, writer: &mut FrameWriter) -> Result<(), Fault> {
    match artifact::serve(runtime, first, writer).await {
        Ok(()) | Err(Stop::Gone | Stop::Cancelled) => Ok(()),
        Err(Stop::Refused(fault)) => Err(fault),
    }
}

/// Runs `work`, which blocks, where blocking harms nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    finished(tokio::task::spawn_blocking(work)).await
}

async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;
