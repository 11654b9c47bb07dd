//! The side that submits: what a command does with a job, and what it asks of the daemon or does without one.
//!
//! Opening a client costs nothing: a run on this machine needs no key, no network and no daemon (which is given the job
//! where one runs, because it has workers ready), and each of them is opened when something needs it.

pub mod target;

pub mod submission;

pub mod job;

pub mod failure;

pub mod group;

pub mod trust;

mod interpreting;

mod packing;

mod sending;

mod trace;

mod door;

mod allowance;
mod daemon;

mod receiving;

mod network;

pub mod opening;

pub mod sessions;

pub mod found;

mod saved;

mod session_failure;

mod quotas;

mod home;

mod given;

mod sharing;

mod docker;

pub use crate::home::Wanted;
pub use docker::DockerSeen;
pub use failure::{FailureKind, SubmitError};
pub use found::{SessionFound, SessionsFound};
pub use given::GivenProgram;
pub use group::{Joined, PeerFound};
pub use home::following::{Following, HomeEvent};
pub use home::parcel::{PARCELS_WEIGHT_MAX, Parcel, Task};
pub use home::pattern::Pattern;
pub use home::wish::Wish;
pub use job::{Job, JobCanceller, JobEvent, JobEvents, JobStdin, StdinClosed};
pub use network::ClientError;
pub use opening::{Opening, OpeningEvent, SessionOpening};
pub use packing::{LeftOut, is_command_of_image};
pub use quotas::QuotaChange;
pub use receiving::PARTIAL_PREFIX;
pub(crate) use saved::read_saved;
pub use session_failure::SessionFailure;
pub use sessions::{SessionHandle, SessionTurn, Transfer, TurnEvent};
pub use sharing::{ShareChange, ShareScope, Sharing};
pub use submission::{StdinMode, Submission};
pub use target::{Target, WhichPeer};
pub use trust::Decided;

use crate::config::Config;
use crate::defaults::WORKERS_READY;
use crate::identity::{Identity, NodeId};
use crate::paths::Paths;
use crate::service::embedded::{Embedded, HERE, LocalSources};
use crate::service::kept::Keeping;
use crate::service::{Jobs, JobsConfig, Parking, Policy, blobs_dir};
use crate::state::containers::{Lacks, Offer, lacks};
use crate::state::known_bad;
use crate::state::placement::gpu::{self, GpuFacts};
use crate::state::placement::{Candidate, Capacity, Engine, Needs, Place, Placement, has_room, place};
use crate::state::sharing::Closed;
use crate::store::jobs::{JobStore, Kept, StoreError};
use crate::wire::{DockerOffer, Frame, JobId, JobProgram, NodeInfo, Tag};
use door::{Carrier, Connection, Door};
use network::{KnownPeers, Reached};
use packing::{MountsBy, Packed, pack};
use potluck_runtime::{CompileLimits, Ready, Runtime, RuntimeConfig, WorkerCommand};
use std::sync::{Arc, OnceLock};
use trace::Trace;

/// What a client works with.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where things lie.
    pub paths: Paths,
    /// What the owner decided.
    pub config: Config,
    /// How a worker process is started.
    pub worker: WorkerCommand,
}

/// A client. Clones share everything.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    runtime: OnceLock<Runtime>,
    identity: OnceLock<Identity>,
    embedded: OnceLock<Embedded>,
}

/// What this machine is called in sentences about a job that runs here.
const HERE_LABEL: &str = "this machine";

/// Where a job goes.
enum Route {
    Here,
    There(Reached),
}

impl Client {
    /// A client over these directories; opens nothing yet.
    #[must_use]
    pub fn open(config: ClientConfig) -> Self {
        let inner = Inner { config, runtime: OnceLock::new(), identity: OnceLock::new(), embedded: OnceLock::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Where things lie.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.inner.config.paths
    }

    /// What the owner decided.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config.config
    }

    /// What runs jobs in this process.
    ///
    /// # Errors
    /// [`ClientError`] when its directories cannot be used.
    pub fn runtime(&self) -> Result<Runtime, ClientError> {
        self.runtime_with(Ready::none())
    }

    /// What runs jobs in this process; opened now if it is not yet, with so many workers that wait.
    fn runtime_with(&self, ready: Ready) -> Result<Runtime, ClientError> {
        if let Some(runtime) = self.inner.runtime.get() {
            return Ok(runtime.clone());
        }
        let paths = self.paths();
        let runtime = Runtime::open(RuntimeConfig {
            cache_dir: paths.cache_dir.clone(),
            scratch_dir: paths.scratch_dir.clone(),
            cache_bytes_max: self.config().cache_bytes_max,
            worker: self.inner.config.worker.clone(),
            ready,
            compile: CompileLimits::default(),
        });
        let runtime = runtime.map_err(|source| ClientError::local("cannot set up the sandbox", source))?;
        Ok(self.inner.runtime.get_or_init(|| runtime).clone())
    }

    /// This machine's identity, made now if it has none.
    ///
    /// # Errors
    /// [`ClientError`] when it cannot be read or made.
    pub fn identity(&self) -> Result<Identity, ClientError> {
        if let Some(identity) = self.inner.identity.get() {
            return Ok(identity.clone());
        }
        let identity = Identity::load_or_create(&self.paths().data_dir)
            .map_err(|source| ClientError::local("cannot use this machine's identity", source))?;
        Ok(self.inner.identity.get_or_init(|| identity).clone())
    }

    /// Reads the submission, chooses the machine, and sends the job. What happens then comes as events.
    ///
    /// # Errors
    /// [`SubmitError`] for what is wrong with the submission, and when nobody can be reached who would run it.
    pub async fn submit(&self, target: Target, submission: Submission) -> Result<Job, SubmitError> {
        let id = new_job_id()?;
        let outputs_dir = submission.outputs_dir.clone();
        let target =
            if target == Target::Any && self.stays_here(&submission.needs()).await { Target::Local } else { target };
        // What is wrong with the job is said before anyone is looked for.
        let mounts_by = if target == Target::Local { MountsBy::Path } else { MountsBy::Content };
        let packed = self.read(submission, id, mounts_by).await?;
        self.submit_packed(target, packed, outputs_dir).await
    }

    async fn submit_packed(
        &self,
        target: Target,
        packed: Packed,
        outputs_dir: Option<std::path::PathBuf>,
    ) -> Result<Job, SubmitError> {
        let container = packed.job.program.container_image().cloned();
        match self
            .route(
                target,
                &Needs { memory_bytes: packed.job.memory_bytes(), container, gpus: packed.job.program.gpus() },
            )
            .await?
        {
            Route::Here => self.submit_here(packed, outputs_dir).await,
            Route::There(reached) => self.submit_there(reached, packed, outputs_dir).await,
        }
    }

    async fn route(&self, target: Target, needs: &Needs) -> Result<Route, SubmitError> {
        let wanted = match target {
            Target::Local => return Ok(Route::Here),
            Target::Peer(wanted) => Some(wanted),
            Target::Any => None,
        };
        let known = KnownPeers::load(self).await.map_err(|error| unreachable(&error))?;
        if let Some(wanted) = wanted {
            let peer = known.find(&wanted).map_err(|error| unreachable(&error))?;
            if Some(peer) == known.me() {
                return Ok(Route::Here);
            }
            if let Some(engine) = known.engine(peer) {
                self.refuse_engine(engine, &wanted)?;
            }
            let reached = known.reach(self, peer).await.map_err(|error| unreachable(&error))?;
            // What a machine offers of containers changes by the minute, so it is asked.
            if known.engine(peer).is_none() || needs.container.is_some() {
                let not_answered = |error| SubmitError::Unreachable(format!("cannot use {wanted}: {error}"));
                let info = reached.link.info().await.map_err(not_answered)?;
                self.refuse_engine(&info.engine, &wanted)?;
                refuse_container(needs, &info, &wanted)?;
            }
            return Ok(Route::There(reached));
        }
        let placement = self.placement(needs).await?;
        for choice in &placement.order {
            match choice {
                Place::Here => return Ok(Route::Here),
                Place::Peer(peer) => match known.reach(self, *peer).await {
                    Ok(reached) => return Ok(Route::There(reached)),
                    Err(error) => tracing::debug!(peer = %peer.short(), %error, "chosen peer was not reached"),
                },
            }
        }
        if placement.order.is_empty() {
            return Err(SubmitError::Unreachable(nowhere(&placement, needs)));
        }
        Ok(Route::Here)
    }

    /// No job goes where the engine is known to be unsafe.
    fn refuse_engine(&self, engine: &str, peer: &str) -> Result<(), SubmitError> {
        let refuse = |bad| SubmitError::Unreachable(format!("no job is sent to {peer}: {bad}; update Potluck there"));
        known_bad::check(engine, &self.config().bad_engines).map_err(refuse)
    }

    fn fitness(&self, info: Option<&NodeInfo>) -> Engine {
        let bad = info.is_some_and(|info| known_bad::check(&info.engine, &self.config().bad_engines).is_err());
        if bad { Engine::Unsafe } else { Engine::Fit }
    }

    /// Where a job with these needs would run now, and why not elsewhere.
    ///
    /// # Errors
    /// [`SubmitError`] when the book cannot be read.
    pub async fn placement(&self, needs: &Needs) -> Result<Placement, SubmitError> {
        let list = self.peers().await.map_err(|error| unreachable(&error))?;
        let mut candidates = vec![this_machine(&list.me)];
        candidates.extend(list.peers.into_iter().map(|peer| Candidate {
            place: Place::Peer(peer.id),
            name: peer.name,
            online: peer.online,
            engine: self.fitness(peer.info.as_ref()),
            capacity: peer.info.as_ref().map(capacity),
            closed: peer.info.as_ref().and_then(closed),
            docker: peer.info.as_ref().and_then(offered),
            gpus: peer.info.as_ref().map(graphics).unwrap_or_default(),
        }));
        Ok(place(&candidates, needs))
    }

    async fn submit_here(&self, packed: Packed, outputs_dir: Option<std::path::PathBuf>) -> Result<Job, SubmitError> {
        if let Some(stream) = daemon::submit(self.paths(), &packed).await {
            let (name, door) = (HERE_LABEL.to_owned(), Door::Daemon(self.paths().clone()));
            // The daemon records it.
            return Ok(Job::new(stream, packed, outputs_dir, name, (door, Carrier::Daemon), None));
        }
        let client = self.clone();
        let embedded = crate::service::blocking(move || client.embedded()).await;
        let embedded = embedded.map_err(|error| SubmitError::internal("this machine cannot run jobs", error))?;
        let sources = packed.sources.iter().map(|(digest, source)| (*digest, source.path.clone())).collect();
        let first = Frame::message(Tag::SUBMIT, &packed.job);
        let (stream, serving) = embedded.serve(first, LocalSources::new(sources));
        let name = HERE_LABEL.to_owned();
        let (trace, way) = (self.trace(&packed), (Door::Here(embedded), Carrier::Here(serving)));
        Ok(Job::new(stream, packed, outputs_dir, name, way, trace))
    }

    async fn submit_there(
        &self,
        reached: Reached,
        packed: Packed,
        outputs_dir: Option<std::path::PathBuf>,
    ) -> Result<Job, SubmitError> {
        let me = self.identity().map_err(|error| SubmitError::internal("this machine has no identity", error))?.id();
        let trace = self.trace(&packed).map(|trace| trace.to(me, reached.link.peer(), &reached.name, &packed.job));
        let Reached { link, name, carrier } = reached;
        let connection = Connection::new(self.clone(), link, carrier);
        let link = connection.link().clone();
        let lost = |why: String| SubmitError::Lost { peer: name.clone(), why };
        let mut stream = link.open_stream().await.map_err(|closed| lost(closed.to_string()))?;
        let sent = stream.writer.send_message(Tag::SUBMIT, &packed.job).await;
        sent.map_err(|error| SubmitError::from_frame(&name, error))?;
        let way = (Door::There(link), Carrier::There(connection));
        Ok(Job::new(stream, packed, outputs_dir, name, way, trace))
    }

    /// What is to be noted of a job that this process follows; nothing of a session, which does not end here.
    fn trace(&self, packed: &Packed) -> Option<Trace> {
        let is_job = !matches!(packed.job.program, JobProgram::Session { .. });
        is_job.then(|| Trace::begun(&self.paths().data_dir, self.kept(), &packed.job))
    }

    /// How many jobs are known after they ended, and how long.
    fn kept(&self) -> Kept {
        Kept { jobs_max: self.config().history_max, age_max: self.config().history_age }
    }

    /// The records of jobs, opened now. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn records(&self) -> Result<JobStore, StoreError> {
        JobStore::open(&self.paths().data_dir, self.kept())
    }

    /// The service in this process.
    fn embedded(&self) -> Result<Embedded, ClientError> {
        if let Some(embedded) = self.inner.embedded.get() {
            return Ok(embedded.clone());
        }
        let embedded = Embedded::open(self.jobs_config(HERE, false, None)?);
        let embedded = embedded.map_err(|source| ClientError::local("cannot set up the service", source))?;
        Ok(self.inner.embedded.get_or_init(|| embedded).clone())
    }

    /// The service of a daemon over these directories, to be given to [`crate::Node::start`]. Must be called within a
    /// Tokio runtime.
    ///
    /// # Errors
    /// [`ClientError`] when the identity or a directory cannot be used.
    pub fn job_service(&self) -> Result<Jobs, ClientError> {
        let identity = self.identity()?;
        self.runtime_with(WORKERS_READY)?.make_ready();
        let parking = Parking { dir: self.paths().sessions_dir(), idle: self.config().session_idle };
        let records = self.records().map_err(|source| ClientError::local("cannot use the records of jobs", source))?;
        let keeping = Keeping::in_records(records.clone(), self.paths().kept_dir());
        let keeping = keeping.map_err(|source| ClientError::local("cannot make a place for what runs say", source))?;
        let config = JobsConfig {
            records: Some(records),
            keeping: Some(keeping),
            signer: Some(identity.clone()),
            ..self.jobs_config(identity.id(), self.config().images, Some(parking))?
        };
        let jobs = Jobs::open(config);
        let jobs = jobs.map_err(|source| ClientError::local("cannot set up the service", source))?;
        jobs.keep_to_rules();
        Ok(jobs)
    }

    fn jobs_config(
        &self,
        node: NodeId,
        makes_images: bool,
        parking: Option<Parking>,
    ) -> Result<JobsConfig, ClientError> {
        let config = self.config();
        Ok(JobsConfig {
            node,
            name: config.name.clone(),
            policy: Policy::from(config),
            docker: config.docker.clone(),
            config_file: Some(self.paths().config_file()),
            system_root: self.paths().system_root.clone(),
            runtime: self.runtime()?,
            blobs_dir: blobs_dir(&self.paths().cache_dir),
            mounts_dir: self.paths().mounts_dir(),
            blob_bytes_max: config.cache_bytes_max / 2,
            data_dir: self.paths().data_dir.clone(),
            peers: Arc::new(network::ClientPeers::new(self)),
            makes_images,
            parking,
            keeping: None,
            records: None,
            signer: None,
        })
    }

    /// Whether a job for any machine stays on this one, which is preferred while it has room, because then nothing
    /// needs to travel and nobody needs to be asked.
    async fn stays_here(&self, needs: &Needs) -> bool {
        if !self.has_group() {
            return true;
        }
        let me = self.info().await;
        me.is_ok_and(|me| has_room(&this_machine(&me), needs))
    }

    /// Built-in images that jobs in this process would have started from and that are not there; none if they are not to be made.
    #[must_use]
    pub fn images_wanted(&self) -> Vec<&'static str> {
        let embedded = self.inner.embedded.get().filter(|_| self.config().images);
        embedded.map_or_else(Vec::new, Embedded::images_wanted)
    }

    async fn read(&self, submission: Submission, id: JobId, mounts_by: MountsBy) -> Result<Packed, SubmitError> {
        let submission = interpreting::resolve(self.paths(), submission)?;
        if packing::is_quick(&submission) {
            return pack(&submission, id, mounts_by);
        }
        crate::service::blocking(move || pack(&submission, id, mounts_by)).await
    }

    /// Whether there is a peer at all; without one, nothing of the network is touched.
    fn has_group(&self) -> bool {
        network::book(self.paths()).is_ok_and(|book| book.peers().next().is_some())
    }
}

fn new_job_id() -> Result<JobId, SubmitError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| SubmitError::internal("the system gives no random bytes", error))?;
    Ok(JobId(id))
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> SubmitError {
    SubmitError::Unreachable(crate::service::chain(error))
}

fn this_machine(info: &NodeInfo) -> Candidate {
    Candidate {
        place: Place::Here,
        name: info.name.clone(),
        online: true,
        capacity: Some(capacity(info)),
        engine: Engine::Fit,
        closed: None,
        docker: offered(info),
        gpus: graphics(info),
    }
}

/// What a machine offers of containers, as it says.
fn offered(info: &NodeInfo) -> Option<Offer> {
    info.docker.as_ref().map(DockerOffer::facts)
}

/// The graphics processors of a machine, as it says.
fn graphics(info: &NodeInfo) -> Vec<GpuFacts> {
    info.graphics().into_iter().map(GpuFacts::from).collect()
}

/// Nothing is sent to a machine that would not run its container.
fn refuse_container(needs: &Needs, info: &NodeInfo, peer: &str) -> Result<(), SubmitError> {
    let lacks = needs.container.as_ref().and_then(|image| lacks(offered(info).as_ref(), image));
    let refuse = |lacks: Lacks| SubmitError::Unreachable(format!("{peer} {lacks}; {}", lacks.change()));
    lacks.map_or(Ok(()), |lacks| Err(refuse(lacks)))?;
    match gpu::obstacle(&graphics(info), offered(info).as_ref(), (needs.gpus, 0)) {
        None => Ok(()),
        Some(reason) => Err(SubmitError::Unreachable(format!("{peer} {}", reason.with_change()))),
    }
}

/// Why a container runs on no machine: a line for each.
fn nowhere(placement: &Placement, needs: &Needs) -> String {
    let image = needs.container.as_ref().map_or(String::new(), |image| format!(" of the image {image}"));
    let mut text = format!("no machine runs a container{image} now:");
    for (candidate, why) in &placement.not_chosen {
        let name = match candidate.place {
            Place::Here => HERE_LABEL.to_owned(),
            Place::Peer(peer) => label(&candidate.name, peer),
        };
        text.push_str(&format!("\n  {name} {why}"));
    }
    text
}

/// Why a machine lends nothing now, as it says.
fn closed(info: &NodeInfo) -> Option<Closed> {
    info.lends.as_ref().and_then(|lends| lends.closed.as_deref()).map(Closed::from_word)
}

fn capacity(info: &NodeInfo) -> Capacity {
    Capacity {
        cores: info.cores,
        load_milli: info.load_milli,
        jobs_running: info.jobs_running,
        memory_free_bytes: info.memory_free_bytes,
    }
}

impl From<&Config> for Policy {
    fn from(config: &Config) -> Self {
        Self { lend: config.lend, jobs_max: config.jobs_max, job_memory_bytes_max: config.job_memory_bytes_max }
    }
}

impl Client {
    /// What this process would say of its machine if it were asked.
    pub(crate) fn info_alone(&self) -> Result<NodeInfo, ClientError> {
        let runtime = self.runtime()?;
        let host = crate::host::Host::look(&self.paths().system_root);
        let (load, gpus) = (host.load(), host.gpus());
        let id = self.identity().map_or(HERE, |identity| identity.id());
        let running = self.inner.embedded.get().map_or(0, Embedded::jobs_running);
        Ok(NodeInfo {
            id,
            name: self.config().name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: runtime.engine_version(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cores: host.cores(),
            memory_bytes: load.memory_bytes,
            memory_free_bytes: load.memory_free_bytes,
            load_milli: load.load_milli,
            gpus: gpus.iter().map(|gpu| gpu.name.clone()).collect(),
            jobs_running: running,
            environments: crate::service::environment::ready(&runtime),
            addresses: Vec::new(),
            instance: 0,
            walls_missing: Some(crate::node::walls_missing()),
            lends: None,
            tags: self.config().tags.clone(),
            docker: None,
            gpu_details: gpus,
        })
    }
}

/// So that a label and not an id is shown where one is known.
pub(crate) fn label(name: &str, id: NodeId) -> String {
    if name.is_empty() { id.short() } else { name.to_owned() }
}
