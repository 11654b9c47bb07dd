//! A running node: one per data directory. It is started, waited for, and shut down; everything it spawned ends with it.

use crate::clock::Clock;
use crate::config::Config;
use crate::defaults::EVENTS_MAX;
use crate::dispatch::budget::Budgets;
use crate::dispatch::owner::serve_owner;
use crate::dispatch::{BeginError, JobService, Remembers};
use crate::driver::{Core, Driver, DriverWays, accept};
use crate::home::{HomeConfig, JobHome, Keep};
use crate::host::Host;
use crate::identity::{Identity, IdentityError, NodeId};
use crate::net::discovery::Discovery;
use crate::net::interfaces;
use crate::net::quic::{BindError, QuicEndpoint};
use crate::net::socket::OwnerSocket;
use crate::paths::Paths;
use crate::state::known_bad;
use crate::store::jobs::StoreError;
use crate::store::record::{Record, RecordError};
use crate::trust::book::BookStore;
use crate::trust::invitations::Invitations;
use crate::trust::pins::Pins;
use potluck_runtime::missing_walls;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where the running node says how it is reached.
const STATE_FILE: &str = "node.toml";
/// Locked for as long as a node runs.
const LOCK_FILE: &str = "node.running";
/// How often a lock is tried that a passing look may hold for a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What the running node says of itself on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct StateFile {
    pid: u32,
    port: u16,
    boot: u64,
}

/// A node that runs now, as another process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningNode {
    /// Its process.
    pub pid: u32,
    /// Its UDP port; on this machine it is reached at 127.0.0.1.
    pub port: u16,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// One is running already.
    #[error("a node is already running here (process {pid}); stop it with `potluck down`")]
    AlreadyRunning {
        /// Its process.
        pid: u32,
    },
    /// The directories could not be made or locked.
    #[error("cannot use the data directory")]
    Directory(#[source] io::Error),
    /// The owner cannot be listened to.
    #[error("cannot make the socket by which commands reach the node, in the data directory")]
    Socket(#[source] io::Error),
    /// There is no identity.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// What is remembered of jobs cannot be read.
    #[error("cannot read the records of jobs; `potluck doctor` looks at them")]
    Jobs(#[from] StoreError),
    /// What was kept for peers cannot be read.
    #[error("cannot read the records of jobs; `potluck doctor` looks at them")]
    Kept(#[from] BeginError),
    /// A file of the data directory cannot be used.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// The port cannot be had.
    #[error("{0}")]
    Bind(#[from] BindError),
}

/// A running node. Dropping it stops it without goodbyes; use [`Node::shutdown`].
pub struct Node {
    core: Arc<Core>,
    driver: Option<JoinHandle<()>>,
    acceptor: JoinHandle<()>,
    owner: Option<JoinHandle<()>>,
    discovery: Option<JoinHandle<()>>,
    state: Record<StateFile>,
    _lock: File,
}

impl Node {
    /// Starts a node over these directories. It answers as soon as this returns.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(paths: &Paths, config: Config, service: Arc<dyn JobService>) -> Result<Self, StartError> {
        Self::start_with_clock(paths, config, service, Clock::system()).await
    }

    /// Starts a node that goes by this clock.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with_clock(
        paths: &Paths,
        config: Config,
        service: Arc<dyn JobService>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        paths.create().map_err(StartError::Directory)?;
        let state = Record::at(&paths.data_dir.join(STATE_FILE));
        let lock = lock(&paths.data_dir, &state).await?;
        let identity = Identity::load_or_create(&paths.data_dir)?;
        warn_of_walls();
        let store = Arc::new(BookStore::in_dir(&paths.data_dir));
        let book = store.read()?;
        let invitations = Arc::new(Invitations::in_dir(&paths.data_dir));
        let trusted: Vec<NodeId> = book.peers().map(|entry| entry.id).collect();
        let pins = Arc::new(Pins::new(identity.id(), trusted.iter().copied()));
        pins.replace_pending(book.pending().map(|entry| entry.id));
        let endpoint = QuicEndpoint::serve(&identity, Arc::clone(&pins), config.port)?;
        let port = endpoint.port();
        let socket = OwnerSocket::listen(&paths.data_dir).map_err(StartError::Socket)?;
        let (boot, _) = state.update(|state| {
            *state = StateFile { pid: std::process::id(), port, boot: next_boot(state.boot, clock.unix_now_ms()) };
            state.boot
        })?;
        let (inbox, messages) = mpsc::channel(EVENTS_MAX);
        let core = Arc::new(Core {
            identity,
            clock,
            boot,
            instance: instance().ok_or(IdentityError::NoRandomness)?,
            walls_missing: walls_missing(),
            endpoint,
            pins,
            bad_engine: known_bad::check(&service.engine_version(), &config.bad_engines).err(),
            service,
            home: OnceLock::new(),
            interfaces: RwLock::new(interfaces::list()),
            stop: CancellationToken::new(),
            invitations,
            host: Host::watch(&paths.system_root),
            budgets: Budgets::default(),
            inbox,
            config,
        });
        core.service.begin(&trusted)?;
        open_home(&core, paths)?;
        let (known_sender, known) = watch::channel(Vec::new());
        let discovery = core.config.discovery.and_then(|port| start_discovery(&core, port, known));
        let driver = tokio::spawn(Driver::new(Arc::clone(&core), store, known_sender).run(messages));
        let acceptor = tokio::spawn(accept(Arc::clone(&core)));
        let owner = Some(tokio::spawn(serve_owner(Arc::clone(&core), socket)));
        if let Some(bad) = &core.bad_engine {
            tracing::warn!(%bad, "this machine lends nothing, because its engine is known to be unsafe; update Potluck");
        }
        tracing::info!(node = core.identity.id().short(), port, "node is up");
        Ok(Self { core, driver: Some(driver), acceptor, owner, discovery, state, _lock: lock })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.core.identity.id()
    }

    /// The UDP port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.core.endpoint.port()
    }

    /// Waits until the node is asked to stop by its owner. Then call [`Node::shutdown`].
    pub async fn wait(&self) {
        self.core.stop.cancelled().await;
    }

    /// Stops: says goodbye to everyone, ends the jobs, closes the links, and returns when nothing of it is left but the
    /// transport's socket, which is let go of a moment later.
    pub async fn shutdown(mut self) {
        self.core.stop.cancel();
        if let Some(discovery) = self.discovery.take() {
            let _ = discovery.await;
        }
        if let Some(driver) = self.driver.take() {
            let _ = driver.await;
        }
        if let Some(owner) = self.owner.take() {
            let _ = owner.await;
        }
        let _ = self.state.update(|state| {
            state.pid = 0;
            state.port = 0;
        });
        tracing::info!(node = self.core.identity.id().short(), "node is down");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.core.stop.cancel();
        self.acceptor.abort();
        for task in [self.driver.take(), self.owner.take(), self.discovery.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

/// The node that runs over these directories, if one does.
#[must_use]
pub fn running(paths: &Paths) -> Option<RunningNode> {
    let file = File::open(paths.data_dir.join(LOCK_FILE)).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {
            let state: StateFile = Record::at(&paths.data_dir.join(STATE_FILE)).read().ok()?;
            (state.port != 0).then_some(RunningNode { pid: state.pid, port: state.port })
        }
        // Nobody holds it; ours goes with the file.
        _ => None,
    }
}

/// Goes on with the jobs this node is home to.
fn open_home(core: &Arc<Core>, paths: &Paths) -> Result<(), StartError> {
    let Some(Remembers { records, blobs }) = core.service.remembers() else { return Ok(()) };
    let dir = paths.recordings_dir();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(StartError::Directory)?;
    let ways = Arc::new(DriverWays::new(Arc::downgrade(core)));
    let keep = Keep { time: core.config.keep_time, bytes_max: core.config.keep_bytes_max };
    let config = HomeConfig { node: core.identity.id(), store: records, keep, dir, blobs, clock: core.clock, ways };
    let home = JobHome::open(config)?;
    core.home.get_or_init(|| home);
    Ok(())
}

fn start_discovery(
    core: &Arc<Core>,
    port: u16,
    known: watch::Receiver<Vec<std::net::IpAddr>>,
) -> Option<JoinHandle<()>> {
    match Discovery::open(Arc::clone(core), port, known) {
        Ok(discovery) => Some(tokio::spawn(discovery.run())),
        Err(error) => {
            tracing::warn!(port, %error, "peers are not discovered; those with known addresses are still reached");
            None
        }
    }
}

/// Holds the data directory for this node alone.
async fn lock(data_dir: &Path, state: &Record<StateFile>) -> Result<File, StartError> {
    let path = data_dir.join(LOCK_FILE);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(StartError::Directory)?;
    for _ in 0..LOCK_TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(error) => return Err(StartError::Directory(error.into())),
        }
    }
    let pid = state.read().map_or(0, |state| state.pid);
    Err(StartError::AlreadyRunning { pid })
}

/// Greater than every boot before, also when the clock was set back.
fn next_boot(last: u64, now_unix_ms: u64) -> u64 {
    now_unix_ms.max(last.saturating_add(1))
}

/// The parts of the second wall that this system has not, by name.
pub(crate) fn walls_missing() -> Vec<String> {
    missing_walls().into_iter().map(|wall| wall.name().to_owned()).collect()
}

/// Says of each part of the second wall that is missing what that costs.
fn warn_of_walls() {
    for wall in missing_walls() {
        tracing::warn!("guests are confined without {}: {}", wall.name(), wall.advice());
    }
}

/// A number by chance, and never 0, which stands for none.
fn instance() -> Option<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes).max(1))
}

#[cfg(test)]
mod tests;
