//! The side that runs jobs and keeps sessions: what a node does with a `SUBMIT`, a `CANCEL`, a `FETCH_ARTIFACT` or a
//! `SESSION_` request, whoever sent it and over whatever.
//!
//! 1. Nothing of a job outlives its stream or its link: when one ends, the run is killed and its files are removed.
//! 2. Every refusal is a fault with a sentence that names the rule.
//! 3. Bytes wait where they are when nobody takes them: no queue here grows with a job's input or output.

mod admission;

mod clashes;

mod gate;

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

mod artifact;

pub(crate) mod sharing;

mod sessions;

mod sending_files;

pub mod embedded;

use crate::defaults::DRAIN_TIMEOUT;
use crate::dispatch::{Caller, JobService, Role};
use crate::identity::{Identity, NodeId};
use crate::store::blobs::BlobStore;
use crate::store::jobs::JobStore;
use crate::store::record::RecordError;
use crate::wire::{Cancel, Fault, FaultCode, Frame, FrameError, FrameStream, FrameWriter, Tag};
pub(crate) use admission::{admit, check_mount_point};
use cancelling::Cancellations;
pub use clashes::{Case, Clash, check_paths};
use environment::PeerStreams;
use gate::Gate;
use images::ImageMaker;
use inbound::Inbound;
use inputs::LocalSources;
pub(crate) use mounts::prepare_dir as prepare_mounts;
use potluck_runtime::Runtime;
use quotas::Accounts;
pub(crate) use sending_files::{SendFileError, send_file};
pub use sessions::Parking;
use sessions::Sessions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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

/// What the owner of this machine allows peers. The owner's own jobs are bound by their limits alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether peers may run jobs here at all.
    pub lend: bool,
    /// Jobs of peers that run at once.
    pub jobs_max: u32,
    /// Bytes of memory one job of a peer may ask for.
    pub job_memory_bytes_max: Option<u64>,
}

/// Where and as whom jobs are run.
pub struct JobsConfig {
    /// The node that runs them, as it names itself to submitters.
    pub node: NodeId,
    /// Its label.
    pub name: String,
    /// What peers may do.
    pub policy: Policy,
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
    /// What peers may use, or have used, cannot be read.
    #[error("cannot read the quotas of peers")]
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
    policy: Policy,
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
    records: Option<JobStore>,
    signer: Option<Identity>,
    leaving: watch::Sender<bool>,
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
        let inner = Inner {
            node: config.node,
            name: config.name,
            gate: Gate::new(config.policy.jobs_max),
            accounts,
            cancellations: Cancellations::default(),
            policy: config.policy,
            environments: environment::Getter::new(config.runtime.clone(), config.peers),
            images: ImageMaker::new(config.runtime.clone(), config.makes_images),
            runtime: config.runtime,
            blobs,
            mounts_dir,
            case,
            sessions,
            records: config.records,
            signer: config.signer,
            leaving: watch::Sender::new(false),
        };
        let inner = Arc::new(inner);
        sessions::watch_all(&inner);
        Ok(Self { inner })
    }

    /// What runs the jobs.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    async fn answer(&self, caller: Caller, first: Frame, stream: FrameStream, local: LocalSources) {
        let mut writer = stream.writer;
        let mut inbound = Inbound::new(stream.reader);
        let mut leaving = self.inner.leaving.subscribe();
        let result = tokio::select! {
            result = self.answer_to(&caller, &first, &mut inbound, &mut writer, &local) => result,
            _ = leaving.wait_for(|leaving| *leaving) => {
                Err(Fault::new(FaultCode::LEAVING, format!("{} is leaving and ended the job", self.inner.name)).into())
            }
            () = link_end(&caller) => Err(Stop::Gone),
        };
        match result {
            Ok(()) | Err(Stop::Gone | Stop::Cancelled) => {}
            Err(Stop::Refused(fault)) => {
                tracing::debug!(caller = %caller.id.short(), code = fault.code.0, text = %fault.text, "request refused");
                // Whoever cannot be told is gone, and the stream ends here either way.
                let _ = writer.send_fault(&fault).await;
            }
        }
        if writer.finish().await.is_ok() {
            inbound.until_closed().await;
        }
    }

    async fn answer_to(
        &self,
        caller: &Caller,
        first: &Frame,
        inbound: &mut Inbound,
        writer: &mut FrameWriter,
        local: &LocalSources,
    ) -> Result<(), Stop> {
        match first.tag {
            Tag::SUBMIT => walk::walk(&self.inner, caller, first, inbound, writer, local).await,
            Tag::CANCEL => self.cancel(caller, first, writer).await,
            Tag::FETCH_ARTIFACT => artifact::serve(&self.inner.runtime, first, writer).await,
            Tag::SESSION_TURN => sessions::turn(&self.inner, caller, first, inbound, writer).await,
            Tag::SESSION_INTERRUPT => sessions::interrupt(&self.inner, caller, first, writer).await,
            Tag::SESSION_LIST => sessions::list(&self.inner, caller, writer).await,
            Tag::SESSION_SAVE => sessions::save(&self.inner, caller, first, inbound, writer).await,
            Tag::SESSION_FORK => sessions::fork(&self.inner, caller, first, writer).await,
            Tag::SESSION_STOP => sessions::stop(&self.inner, caller, first, writer).await,
            Tag::OWNER_QUOTAS => sharing::tell(&self.inner, caller, writer).await,
            tag => Err(Fault::new(FaultCode::UNSUPPORTED, format!("{tag} is no request this node knows")).into()),
        }
    }
}

impl Jobs {
    async fn cancel(&self, caller: &Caller, first: &Frame, writer: &mut FrameWriter) -> Result<(), Stop> {
        let request: Cancel = first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, chain(&error)))?;
        if !self.inner.cancellations.cancel(caller.id, request.job) {
            return Err(Fault::new(FaultCode::NOT_FOUND, format!("no job {} is here", request.job)).into());
        }
        writer.send_empty(Tag::DONE).await.map_err(gone)
    }
}

/// Returns when the caller's connection has ended, whatever its streams still hold.
async fn link_end(caller: &Caller) {
    match &caller.link {
        Some(link) => drop(link.closed().await),
        None => std::future::pending().await,
    }
}

#[async_trait::async_trait]
impl JobService for Jobs {
    async fn serve(&self, caller: Caller, first: Frame, mut stream: FrameStream) {
        let sources = match first.tag {
            Tag::SUBMIT if caller.is_at_hand() => inputs::sources(&mut stream.reader).await,
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

    async fn forget(&self, peer: NodeId) {
        self.inner.sessions.forget(peer).await;
        self.inner.accounts.forget(&peer);
    }

    async fn shutdown(&self) {
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
