//! The crate's door: a [`Runtime`] owns the directories and knows how to start workers. Cloned, it is the same one.

use crate::cache::Cache;
use crate::digest::KnownDigests;
use crate::docker::{self, ContainerConfig, ContainerOffer, ContainerSweeper};
use crate::engine::{self, ENGINE_VERSION};
use crate::job::{GuestPath, Mount, Program, RunRequest, Tenant};
use crate::pool::{Pool, Ready};
use crate::prepare::{CompileLimits, PrepareError, Prepared};
use crate::protocol::{Access, Answer, Preopen, Proof, Purpose, Spec, decode, tag};
use crate::python::Environments;
use crate::wheels::sets::{self, PackageSet, SetError, WheelAt};
use crate::workspace::{Scratch, Workspace, are_small};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The most that arguments and environment may hold together, in bytes.
const ARGUMENTS_LEN_MAX: usize = 1 << 20;
/// How long a worker may take to load a program's code; for the largest, from a slow disk, it takes seconds.
pub(crate) const READY_TIME_MAX: Duration = Duration::from_secs(60);
/// The most folders of one run.
const MOUNTS_MAX: usize = 64;

/// Where a runtime keeps its things, and how it starts workers.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Compiled code and environments; private to the user.
    pub cache_dir: PathBuf,
    /// Working directories of runs; private to the user.
    pub scratch_dir: PathBuf,
    /// The most compiled code may take on disk; what is in use stays beyond it.
    pub cache_bytes_max: u64,
    /// What to execute for a worker.
    pub worker: WorkerCommand,
    /// How many workers wait for work.
    pub ready: Ready,
    /// What compiling a program may take.
    pub compile: CompileLimits,
}

/// A command whose process calls [`worker_main`](crate::worker_main).
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Runs programs in workers.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    cache: Cache,
    environments: Environments,
    packages_dir: PathBuf,
    scratch: Arc<Scratch>,
    pool: Arc<Pool>,
    known_digests: KnownDigests,
    compile: CompileLimits,
    fingerprints: [OnceLock<u64>; 2],
    containers: Mutex<Option<ContainerConfig>>,
    container_sweeper: OnceLock<ContainerSweeper>,
}

/// A runtime's directories cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the directory {dir:?} for {what}; check that it belongs to you and that its disk has room")]
pub struct OpenError {
    dir: PathBuf,
    what: &'static str,
    #[source]
    source: io::Error,
}

/// A run cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The request asks for something impossible.
    #[error("cannot start the job: {0}")]
    Request(String),
    /// The working directory cannot be made or filled.
    #[error("cannot lay out the job's working directory; check the input files and the free space of the scratch disk")]
    Layout(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The worker does not start.
    #[error("cannot start the worker process: {0}; 'potluck doctor' tests it")]
    Worker(String),
    /// The container engine does not start it.
    #[error("cannot start the container: {0}")]
    Container(String),
    /// The compiled code was damaged and making it again failed.
    #[error("cannot make the program's code again")]
    Prepare(#[source] PrepareError),
}

impl Runtime {
    /// Makes the directories if need be, and removes what processes that are gone left in them.
    ///
    /// # Errors
    /// An [`OpenError`] that names the directory.
    pub fn open(mut config: RuntimeConfig) -> Result<Self, OpenError> {
        let fail = |dir: &Path, what| {
            let dir = dir.to_owned();
            move |source| OpenError { dir, what, source }
        };
        // Workers have another working directory than this process.
        for dir in [&mut config.cache_dir, &mut config.scratch_dir, &mut config.worker.program] {
            *dir = std::path::absolute(&*dir).map_err(fail(&*dir, "running jobs"))?;
        }
        match crate::workspace::private_directory(&config.cache_dir) {
            Err(error) if crate::cache::is_refusal_of_disk(&error) => {}
            made => made.map_err(fail(&config.cache_dir, "the cache"))?,
        }
        let code_dir = config.cache_dir.join("code");
        let cache = Cache::open(&code_dir, config.cache_bytes_max).map_err(fail(&code_dir, "compiled code"))?;
        let scratch = Scratch::open(&config.scratch_dir, config.ready.kept_max, config.worker.clone())
            .map_err(fail(&config.scratch_dir, "running jobs"))?;
        let fingerprints = [OnceLock::new(), OnceLock::new()];
        let environments = Environments::new(&config.cache_dir);
        let reads = vec![environments.directory(), sets::sets_dir(&config.cache_dir)];
        let pool = Pool::new(config.worker, config.ready, scratch.clone(), reads);
        Ok(Self {
            inner: Arc::new(Inner {
                cache,
                packages_dir: sets::sets_dir(&config.cache_dir),
                environments,
                scratch,
                pool,
                known_digests: KnownDigests::default(),
                compile: config.compile.within_this_process(),
                fingerprints,
                containers: Mutex::default(),
                container_sweeper: OnceLock::new(),
            }),
        })
    }

    /// The engine's name and version, as peers compare it.
    #[must_use]
    pub fn engine_version(&self) -> String {
        format!("wasmtime {ENGINE_VERSION}")
    }

    /// Starts the first worker that waits for a job, if any is to wait. Must be called within a Tokio runtime.
    pub fn make_ready(&self) {
        self.inner.pool.refill();
    }

    /// Ends the workers that wait; from now on none does.
    pub fn stand_down(&self) {
        self.inner.pool.close();
    }

    /// Turns containers on, or off; those that run go on. What containers this owner left behind when it was killed are
    /// removed in the background. Must be called within a Tokio runtime.
    pub fn offer_containers(&self, config: Option<ContainerConfig>) {
        self.inner.containers.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&config);
        let Some(config) = config else { return };
        // Ends when the engine has answered, or with the Tokio runtime.
        tokio::spawn(async move {
            match docker::sweep_leftovers(&config).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed what containers of an earlier process left"),
                Err(error) => tracing::debug!(%error, "containers are not swept"),
            }
        });
    }

    /// Has a process wait for the end of this one, to remove the containers it leaves.
    pub(crate) fn sweep_containers_later(&self, socket: &Path, owner: &str) {
        let start = || ContainerSweeper::start(self.inner.pool.command(), socket, owner);
        self.inner.container_sweeper.get_or_init(start);
    }

    /// What is offered of containers, if they are turned on.
    #[must_use]
    pub fn containers(&self) -> Option<ContainerOffer> {
        let config = self.inner.containers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        config.map(|config| ContainerOffer { config })
    }

    /// Guests of others than the owner may use so many cores in all, those that run now as well; nothing said is all.
    pub fn lend_cores(&self, cores: Option<u32>) {
        self.inner.pool.ranks().set_cores(cores);
    }

    /// Ends the workers that wait for others than the owner; those at work are ended by whoever holds their runs.
    pub fn dismiss_others(&self) {
        self.inner.pool.dismiss_others();
    }

    /// The processes of all workers that run.
    #[must_use]
    pub fn worker_processes(&self) -> Vec<u32> {
        self.inner.pool.ranks().processes()
    }

    pub(crate) async fn lay_out(&self, request: RunRequest) -> Result<(Workspace, RunRequest), StartError> {
        let shelved = self.inner.scratch.shelved(request.tenant, request.limits.disk_bytes);
        let is_bare = request.inputs.is_empty() && request.directories.is_empty();
        let this = self.clone();
        let is_quick = shelved.is_some()
            && request.directories.is_empty()
            && request.restore.is_none()
            && are_small(&request.inputs);
        let work = move || {
            let fresh = || this.inner.scratch.workspace(request.tenant, request.limits.disk_bytes);
            let mut workspace = shelved.map_or_else(fresh, Ok).map_err(layout)?;
            if !is_bare {
                workspace.lay_out(&request.inputs, &request.directories).map_err(layout)?;
            }
            if let Some(checkpoint) = &request.restore {
                workspace.lay_out_checkpoint(checkpoint).map_err(layout)?;
            }
            Ok((workspace, request))
        };
        if is_quick { work() } else { tokio::task::spawn_blocking(work).await.map_err(layout)? }
    }

    /// Directories with a copy of what lies in these.
    pub(crate) async fn copy_workspace(&self, of: &Arc<Workspace>) -> Result<Arc<Workspace>, StartError> {
        let (of, scratch) = (of.clone(), self.inner.scratch.clone());
        let work = move || scratch.copy(&of).map(Arc::new).map_err(layout);
        tokio::task::spawn_blocking(work).await.map_err(layout)?
    }

    /// Has a worker try what it must not be able to do.
    ///
    /// # Errors
    /// [`StartError::Worker`] if there is no worker, or it does not answer.
    pub async fn prove_walls(&self) -> Result<Vec<Proof>, StartError> {
        let fail = |error: io::Error| StartError::Worker(error.to_string());
        let mut line = self.inner.pool.start().map_err(fail)?;
        line.order(&Spec::Prove).await.map_err(fail)?;
        let answered = tokio::time::timeout(READY_TIME_MAX, line.frames.next()).await;
        match answered.map_err(|_| StartError::Worker("it gives no answer".to_owned()))?.map_err(fail)? {
            Some((tag::ANSWER, payload)) => match decode(&payload).map_err(fail)? {
                Answer::Proved(proofs) => Ok(proofs),
                _ => Err(StartError::Worker("it gave an answer that is none".to_owned())),
            },
            Some(_) => Err(StartError::Worker("it gave an answer that is none".to_owned())),
            None => Err(StartError::Worker(line.worker.exited().await.explain())),
        }
    }

    /// Lays out the wheels of a job, unless a job with the same ones has done so.
    ///
    /// # Errors
    /// [`SetError`] for a wheel that cannot be used, or the failure of the disk.
    pub async fn lay_out_packages(&self, wheels: Vec<WheelAt>) -> Result<Arc<PackageSet>, SetError> {
        let dir = self.inner.packages_dir.clone();
        let work = tokio::task::spawn_blocking(move || sets::lay_out(&dir, &wheels).map(Arc::new));
        work.await.map_err(|error| SetError::Disk(io::Error::other(error)))?
    }

    /// The language environments of this machine.
    #[must_use]
    pub fn environments(&self) -> &Environments {
        &self.inner.environments
    }

    /// An empty working directory.
    pub(crate) fn scratch_directory(&self, disk_bytes: u64) -> io::Result<Workspace> {
        self.inner.scratch.workspace(Tenant::OWNER, disk_bytes)
    }

    pub(crate) fn compile(&self) -> CompileLimits {
        self.inner.compile
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    pub(crate) fn known_digests(&self) -> &KnownDigests {
        &self.inner.known_digests
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.inner.pool
    }

    /// What code must have been made with to be of use here.
    pub(crate) fn fingerprint(&self, purpose: Purpose) -> Result<u64, PrepareError> {
        let cell = &self.inner.fingerprints[usize::from(purpose == Purpose::Interpreter)];
        if let Some(fingerprint) = cell.get() {
            return Ok(*fingerprint);
        }
        let engine = engine::engine(purpose, None)
            .map_err(|error| PrepareError::Worker { path: PathBuf::new(), why: format!("{error:#}") })?;
        Ok(*cell.get_or_init(|| engine::fingerprint(&engine, purpose)))
    }
}

pub(crate) fn layout(error: impl std::error::Error + Send + Sync + 'static) -> StartError {
    StartError::Layout(Box::new(error))
}

/// The environment variables every guest has.
pub(crate) fn base_env() -> Vec<(String, String)> {
    vec![("HOME".to_owned(), "/tmp".to_owned()), ("TMPDIR".to_owned(), "/tmp".to_owned())]
}

/// The directories every guest has.
pub(crate) fn base_preopens(workspace: &Workspace) -> Vec<Preopen> {
    vec![
        Preopen { host: workspace.root_path(), guest: "/".to_owned(), access: Access::ReadWrite },
        Preopen { host: workspace.tmp_path(), guest: "/tmp".to_owned(), access: Access::ReadWrite },
    ]
}

pub(crate) fn read_only(host: &Path, guest: &str) -> Preopen {
    Preopen { host: host.to_owned(), guest: guest.to_owned(), access: Access::ReadOnly }
}

pub(crate) fn check_request(prepared: &Prepared, request: &RunRequest) -> Result<(), StartError> {
    let refuse = |why: String| Err(StartError::Request(why));
    if *prepared.program() != request.program {
        return refuse("the program is not the one that was prepared".to_owned());
    }
    let env_len: usize = request.env.iter().map(|(key, value)| key.len() + value.len()).sum();
    if env_len + request.args.iter().map(String::len).sum::<usize>() > ARGUMENTS_LEN_MAX {
        return refuse(
            "arguments and environment hold more than 1 MiB; put the data into a file and send it with -f".to_owned(),
        );
    }
    if request.args.iter().any(|text| text.contains('\0')) {
        return refuse("an argument holds a zero byte".to_owned());
    }
    if request.env.iter().any(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0')) {
        return refuse("an environment variable's name is empty or holds '=', or a zero byte is in one".to_owned());
    }
    if request.gpus > 0 && !matches!(request.program, Program::Container { .. }) {
        return refuse(
            "only a job that runs in a container can have graphics cards; name an image with --docker-image".to_owned(),
        );
    }
    if request.mounts.len() > MOUNTS_MAX {
        return refuse(format!("it attaches more than {MOUNTS_MAX} folders"));
    }
    let mut taken = vec!["/".to_owned(), "/tmp".to_owned()];
    taken.extend(
        prepared.script().iter().flat_map(|script| script.plan.preopens.iter().map(|(_, guest)| guest.clone())),
    );
    taken.extend(prepared.is_container().then(|| docker::WORK_PLACE.to_owned()));
    for mount in &request.mounts {
        check_mount(mount, &taken).map_err(StartError::Request)?;
        taken.push(mount.guest.clone());
    }
    Ok(())
}

fn check_mount(mount: &Mount, taken: &[String]) -> Result<(), String> {
    let guest = &mount.guest;
    let inner = guest.strip_prefix('/').unwrap_or_default();
    if GuestPath::parse(inner).is_err() {
        return Err(format!("the folder's place {guest:?} is not an absolute path such as /data"));
    }
    if taken.contains(guest) {
        return Err(format!("the place {guest:?} is taken; attach the folder elsewhere"));
    }
    match std::fs::metadata(&mount.host) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is not a folder", mount.host.display())),
        Err(error) => Err(format!("cannot attach {}: {error}", mount.host.display())),
    }
}
