//! What is lent to peers now: the owner's rules and what is seen of the machine, put to [`crate::state::sharing`] every
//! second, and what follows from its decision done at once. The owner's own jobs are none of its business, with one exception:
//! what this machine's queue was given does not run here while the machine is paused. A job whose owner waits for it in the
//! foreground is bound by its limits alone.
//!
//! What runs is ended and not frozen. A frozen guest keeps its memory, its wall time goes on and would be blamed on the job, and
//! its submitter waits for a machine that may not come back; a job without side effects can simply run again elsewhere.

mod acting;
mod requests;

pub(super) use acting::keep;
pub(super) use requests::{end_job, jobs, pause, resume, tell};

use super::Inner;
use super::admission::MemoryLent;
use crate::clock::Clock;
use crate::config::{Config, Docker};
use crate::host::sensors::{Sensors, Sight};
use crate::identity::NodeId;
use crate::state::sharing::rules::{Pause, Policy, Rules};
use crate::state::sharing::{Closed, Decision, Facts, Owner, Sharing};
use crate::store::record::{Record, RecordError};
use crate::wire::{Fault, FaultCode, Lends, PeerLent, SharingNow};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};

/// Why this machine does not run what its own queue was given.
const PAUSED: &str = "this machine is paused; `potluck resume` has it run its own queue again";

/// Thousandths of cores that one container may use.
const CONTAINER_MILLI: u32 = 1000;

/// What the owner has decided beside the settings, in the data directory.
const SHARE_FILE: &str = "share.toml";

/// What the owner has decided, as a command changes it and a node heeds it.
#[must_use]
pub(crate) fn share_record(data_dir: &Path) -> Record<Rules> {
    Record::at(&data_dir.join(SHARE_FILE))
}

/// What is lent, and by what that is decided.
pub(super) struct Lending {
    record: Record<Rules>,
    /// Where the settings stand; without it they are those this was made with.
    config_file: Option<PathBuf>,
    cores: u32,
    sensors: AsyncMutex<Sensors>,
    state: Mutex<State>,
    /// Whether the machine is paused.
    paused: watch::Sender<bool>,
    /// Told when something is to be looked at now.
    wake: Notify,
    /// Whether sessions are being put to disk.
    parks: AtomicBool,
}

struct State {
    rules: Rules,
    rules_modified: Option<SystemTime>,
    settled: Policy,
    docker: Docker,
    settings_modified: Option<SystemTime>,
    sharing: Sharing,
    sight: Sight,
    decision: Arc<Decision>,
}

impl Lending {
    /// What a node of these settings lends.
    ///
    /// # Errors
    /// [`RecordError`] when what the owner has decided cannot be read.
    pub(super) fn open(
        data_dir: &Path,
        config_file: Option<PathBuf>,
        system_root: &Path,
        (policy, docker): (&Policy, &Docker),
    ) -> Result<Self, RecordError> {
        let record = share_record(data_dir);
        let (rules_modified, rules) = (record.modified(), record.read()?);
        let settled = *policy;
        let mut sharing = Sharing::default();
        // Until the machine was looked at nobody is known to be active, and a pause holds already.
        let sight = Sight { facts: nothing_seen(), means: Vec::new() };
        let decision = Arc::new(sharing.decide(&rules, settled, sight.facts));
        let paused = watch::Sender::new(decision.is_paused());
        let state = State {
            rules,
            rules_modified,
            settled,
            docker: docker.clone(),
            settings_modified: modified(config_file.as_deref()),
            sharing: Sharing::default(),
            sight,
            decision,
        };
        Ok(Self {
            record,
            config_file,
            cores: cores(),
            sensors: AsyncMutex::new(Sensors::below(system_root)),
            state: Mutex::new(state),
            paused,
            wake: Notify::new(),
            parks: AtomicBool::new(false),
        })
    }

    /// What is decided now.
    pub(super) fn now(&self) -> Arc<Decision> {
        Arc::clone(&self.state().decision)
    }

    /// Looks at the machine and at what its owner has decided, and decides.
    pub(super) async fn look(&self, workers: &[u32], containers: u32) {
        self.read();
        let rules = self.state().rules.clone();
        let mut sight = self.sensors.lock().await.look(&rules, workers).await;
        // Containers are the engine's processes, which are not known: each is taken to use all it may.
        let theirs = containers.saturating_mul(CONTAINER_MILLI);
        sight.facts.others_milli = sight.facts.others_milli.map(|others| others.saturating_sub(theirs));
        let mut state = self.state();
        state.sight = sight;
        self.decide(&mut state);
    }

    /// Decides anew; whether the machine is paused is told with it.
    fn decide(&self, state: &mut State) {
        state.decide();
        let paused = state.decision.is_paused();
        self.paused.send_if_modified(|before| std::mem::replace(before, paused) != paused);
    }

    /// Whether the machine is paused, now and later.
    pub(super) fn paused(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }

    /// Takes what the owner has decided by now. What cannot be read changes nothing, and is named in the log once.
    fn read(&self) {
        let unreadable = |error: &(dyn std::error::Error + 'static)| {
            tracing::warn!(error = %super::chain(error), "what is lent stays as it was");
        };
        let mut state = self.state();
        let rules_modified = self.record.modified();
        if rules_modified != state.rules_modified {
            state.rules_modified = rules_modified;
            match self.record.read() {
                Ok(rules) => state.rules = rules,
                Err(error) => unreadable(&error),
            }
        }
        let settings_modified = modified(self.config_file.as_deref());
        if let Some(file) = self.config_file.as_deref().filter(|_| settings_modified != state.settings_modified) {
            state.settings_modified = settings_modified;
            match crate::config::Settings::load(file).and_then(crate::config::Settings::resolve) {
                Ok(config) => (state.settled, state.docker) = (Policy::from(&config), config.docker),
                Err(error) => unreadable(&error),
            }
        }
    }

    /// The owner pauses, or resumes, from this moment on; then it is written down.
    fn set_pause(&self, pause: Option<Pause>) {
        let mut state = self.state();
        state.rules.pause = pause;
        self.decide(&mut state);
    }

    /// Writes down what [`Lending::set_pause`] has set.
    fn write_pause(&self, pause: Option<Pause>) -> Result<(), RecordError> {
        self.record.update(|rules| rules.pause = pause).map(drop)
    }

    /// Refuses a peer to whom nothing is lent now.
    pub(super) fn admit(&self, peer: &NodeId, name: &str) -> Result<(), Fault> {
        let decision = self.now();
        match decision.of(peer).closed {
            None => Ok(()),
            Some(closed) => {
                // That nothing is lent at all is a rule and not a moment.
                let code = match decision.ask_again_s(closed) {
                    None if closed == Closed::Never => FaultCode::NOT_ALLOWED,
                    _ => FaultCode::NOT_LENDING,
                };
                Err(Fault::new(code, decision.refusal(name, closed)).again_in(decision.ask_again_s(closed)))
            }
        }
    }

    /// Refuses a run of this machine's own queue while the machine is paused.
    pub(super) fn admit_own(&self) -> Result<(), Fault> {
        let decision = self.now();
        if !decision.is_paused() {
            return Ok(());
        }
        Err(Fault::new(FaultCode::NOT_LENDING, PAUSED).again_in(decision.ask_again_s(Closed::Paused)))
    }

    /// Memory that is lent to a peer.
    pub(super) fn memory(&self, peer: &NodeId) -> MemoryLent {
        let decision = self.now();
        MemoryLent { one: decision.of(peer).job_memory_bytes, all: decision.memory_bytes }
    }

    /// What is offered of containers by now.
    pub(super) fn docker(&self) -> Docker {
        self.state().docker.clone()
    }

    /// What a peer is told of what is lent.
    pub(super) fn lends(&self) -> Lends {
        lends(&self.now(), self.cores)
    }

    /// What the owner is told.
    fn told(&self) -> SharingNow {
        let state = self.state();
        told(&state.decision, &state.sight, self.cores)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Looks at the machine and at what its owner has decided, and decides.
    async fn look_at_lending(&self) {
        let mut containers = 0u32;
        self.present.each(|_, entry| containers += u32::from(entry.container().is_some() && entry.has_place()));
        self.lending.look(&self.runtime.worker_processes(), containers).await;
    }
}

impl State {
    fn decide(&mut self) {
        self.sight.facts.unix_s = Clock::system().unix_now();
        let decision = self.sharing.decide(&self.rules, self.settled, self.sight.facts);
        if decision.closed != self.decision.closed {
            let closed = decision.closed.map_or("nothing", Closed::word);
            tracing::info!(places = decision.places, closed, "what is lent changes");
        }
        self.decision = Arc::new(decision);
    }
}

/// What would be lent if a node ran over these directories now: without one, nothing is remembered of before.
///
/// # Errors
/// [`RecordError`] when what the owner has decided cannot be read.
pub(crate) async fn sharing_alone(
    data_dir: &Path,
    system_root: &Path,
    config: &Config,
) -> Result<SharingNow, RecordError> {
    let lending = Lending::open(data_dir, None, system_root, (&Policy::from(config), &config.docker))?;
    lending.look(&[], 0).await;
    Ok(lending.told())
}

fn lends(decision: &Decision, cores: u32) -> Lends {
    Lends {
        places: if decision.closed.is_some() { 0 } else { decision.places },
        closed: decision.closed.map(|closed| closed.word().to_owned()),
        text: decision.sentence(cores),
        again_s: decision.closed.and_then(|closed| decision.ask_again_s(closed)),
    }
}

fn told(decision: &Decision, sight: &Sight, cores: u32) -> SharingNow {
    let facts = &sight.facts;
    let looked = decision.rules().mind_the_owner();
    let of = |peer: &NodeId| PeerLent { peer: *peer, closed: decision.of(peer).closed.map(|c| c.word().to_owned()) };
    SharingNow {
        lends: lends(decision, cores),
        cores: decision.cores,
        memory_bytes: decision.memory_bytes,
        away_s: match facts.owner {
            Owner::AwayFor(seconds) if looked => Some(seconds),
            Owner::AwayFor(_) | Owner::Unknown => None,
        },
        away_by: sight.means.iter().map(|means| (*means).to_owned()).collect(),
        on_battery: facts.on_battery,
        others_milli: facts.others_milli,
        temperature: facts.temperature,
        peers: decision.rules().peers.keys().map(of).collect(),
        ..SharingNow::default()
    }
}

/// Cores that this process may use.
fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

const fn nothing_seen() -> Facts {
    Facts {
        now_s: 0,
        unix_s: 0,
        local: None,
        owner: Owner::Unknown,
        on_battery: false,
        others_milli: None,
        temperature: None,
    }
}

fn modified(file: Option<&Path>) -> Option<SystemTime> {
    std::fs::metadata(file?).and_then(|metadata| metadata.modified()).ok()
}
