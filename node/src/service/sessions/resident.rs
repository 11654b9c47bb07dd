//! One session that is here, in memory or on disk, and what is known of it without waking it.

use super::parking::Manner;
use crate::clock::Clock;
use crate::dispatch::{Caller, Role};
use crate::identity::NodeId;
use crate::store::sessions::{SessionRecord, StoredFile};
use crate::wire::{JobId, SessionInfo, SessionState};
use potluck_runtime::{GuestPath, Interrupter, Limits, Session};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard as SyncGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Notify};

/// A session that is here.
pub(super) struct Resident {
    /// Its id.
    pub(super) session: JobId,
    /// Whose it is.
    pub(super) holder: NodeId,
    /// What they are to this node.
    pub(super) role: Role,
    holder_name: String,
    /// What its user calls it.
    pub(super) name: Option<String>,
    /// Its environment.
    pub(super) environment: String,
    image: String,
    /// What it may use; those of fuel, wall time and output hold for each turn.
    pub(super) limits: Limits,
    /// Its environment variables.
    pub(super) env: Vec<(String, String)>,
    created_unix: u64,
    facts: Mutex<Facts>,
    interrupter: Mutex<Option<Interrupter>>,
    /// Told when it was used, or has ended.
    pub(super) used: Notify,
    seat: AsyncMutex<Seat>,
    busy: AtomicBool,
}

/// A session that somebody does something with; nobody else does for as long as this lives.
pub(super) struct Seated<'a> {
    seat: MutexGuard<'a, Seat>,
    busy: &'a AtomicBool,
}

/// The session itself.
pub(super) enum Seat {
    /// In this process.
    Here(Box<Session>),
    /// On disk alone.
    Stored,
    /// It has ended.
    Ended,
}

#[derive(Clone, Copy)]
struct Facts {
    turns: u64,
    used_unix: u64,
    memory_bytes: u64,
    parked: bool,
    /// Whether it could not be put to disk as it is now.
    stays: bool,
    /// What of it lies on disk, also when it is awake again.
    stored_bytes: u64,
}

/// What whoever opens a session says of it.
pub(super) struct About {
    pub(super) session: JobId,
    pub(super) name: Option<String>,
    pub(super) environment: String,
    pub(super) image: String,
    pub(super) turns: u64,
    pub(super) limits: Limits,
    pub(super) env: Vec<(String, String)>,
}

impl Resident {
    /// A session that was opened just now.
    pub(super) fn new(caller: &Caller, about: About, session: Session) -> Self {
        let (now, memory_bytes) = (Clock::system().unix_now(), session.memory_bytes());
        let About { session: id, name, environment, image, turns, limits, env } = about;
        Self {
            session: id,
            holder: caller.id,
            role: caller.role,
            holder_name: caller.name.clone(),
            name,
            environment,
            image,
            limits,
            env,
            created_unix: now,
            facts: Mutex::new(Facts {
                turns,
                used_unix: now,
                memory_bytes,
                parked: false,
                stays: false,
                stored_bytes: 0,
            }),
            interrupter: Mutex::new(Some(session.interrupter())),
            used: Notify::new(),
            seat: AsyncMutex::new(Seat::Here(Box::new(session))),
            busy: AtomicBool::new(false),
        }
    }

    /// A session that is kept on disk.
    pub(super) fn stored(record: SessionRecord, stored_bytes: u64) -> Self {
        let SessionRecord { turns, used_unix, memory_bytes, .. } = record;
        Self {
            session: record.session,
            holder: record.holder,
            role: if record.owned { Role::Owner } else { Role::Peer },
            holder_name: record.holder_name,
            name: record.name,
            environment: record.environment,
            image: record.image,
            limits: record.limits,
            env: record.env,
            created_unix: record.created_unix,
            facts: Mutex::new(Facts { turns, used_unix, memory_bytes, parked: true, stays: false, stored_bytes }),
            interrupter: Mutex::new(None),
            used: Notify::new(),
            seat: AsyncMutex::new(Seat::Stored),
            busy: AtomicBool::new(false),
        }
    }

    /// What a twin is, but for its id and name.
    pub(super) fn about_twin(&self, session: JobId, name: Option<String>) -> About {
        About {
            session,
            name,
            environment: self.environment.clone(),
            image: self.image.clone(),
            turns: self.facts().turns,
            limits: self.limits.clone(),
            env: self.env.clone(),
        }
    }

    /// The session, to do something with; nothing while somebody else does.
    pub(super) fn sit(&self) -> Option<Seated<'_>> {
        self.seat.try_lock().ok().map(|seat| Seated::new(seat, &self.busy))
    }

    /// The session, once nobody else does anything with it.
    pub(super) async fn sit_at_last(&self) -> Seated<'_> {
        Seated::new(self.seat.lock().await, &self.busy)
    }

    fn facts(&self) -> SyncGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to write down beside its memory.
    pub(super) fn record(&self, files: Vec<StoredFile>, directories: Vec<GuestPath>) -> SessionRecord {
        let Facts { turns, used_unix, memory_bytes, .. } = *self.facts();
        SessionRecord {
            session: self.session,
            holder: self.holder,
            holder_name: self.holder_name.clone(),
            owned: self.role == Role::Owner,
            name: self.name.clone(),
            environment: self.environment.clone(),
            image: self.image.clone(),
            turns,
            created_unix: self.created_unix,
            used_unix,
            memory_bytes,
            files,
            directories,
            limits: self.limits.clone(),
            env: self.env.clone(),
        }
    }

    /// What to tell of it.
    pub(super) fn info(&self, caller: &Caller) -> SessionInfo {
        let facts = *self.facts();
        let state = match self.busy.load(Ordering::Relaxed) {
            true => SessionState::Busy,
            false if facts.parked => SessionState::Parked,
            false => SessionState::Awake,
        };
        SessionInfo {
            session: self.session,
            name: self.name.clone(),
            environment: self.environment.clone(),
            image: self.image.clone(),
            state,
            turns: facts.turns,
            created_unix: self.created_unix,
            used_unix: facts.used_unix,
            memory_bytes: facts.memory_bytes,
            owner: (self.holder != caller.id).then(|| self.holder_name.clone()),
            limits: self.limits.clone(),
        }
    }

    /// A turn is over.
    pub(super) fn note_turn(&self, session: &Session) {
        let mut facts = self.facts();
        facts.turns += 1;
        facts.memory_bytes = session.memory_bytes();
        drop(facts);
        self.note_use();
    }

    /// Something was done with it.
    pub(super) fn note_use(&self) {
        let mut facts = self.facts();
        (facts.used_unix, facts.parked, facts.stays) = (Clock::system().unix_now(), false, false);
        drop(facts);
        self.used.notify_one();
    }

    /// It is on disk, and takes so many bytes there.
    pub(super) fn note_parked(&self, stored_bytes: u64) {
        let mut facts = self.facts();
        (facts.parked, facts.stored_bytes) = (true, stored_bytes);
    }

    /// It could not be put to disk.
    pub(super) fn note_stays(&self) {
        self.facts().stays = true;
    }

    /// Whether it is worth trying to put it to disk in this manner.
    pub(super) fn may_be_parked(&self, manner: Manner) -> bool {
        manner == Manner::Last || !self.facts().stays
    }

    /// Bytes of it on disk.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.facts().stored_bytes
    }

    /// How long nothing was done with it.
    pub(super) fn idle_for(&self) -> Duration {
        Duration::from_secs(Clock::system().unix_now().saturating_sub(self.facts().used_unix))
    }

    /// Whether it is on disk.
    pub(super) fn is_parked(&self) -> bool {
        self.facts().parked
    }

    /// It is in this process again.
    pub(super) fn note_woken(&self, session: &Session) {
        *self.interrupter.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.interrupter());
    }

    /// Interrupts its turn, if one runs.
    pub(super) fn interrupt(&self) {
        if let Some(interrupter) = &*self.interrupter.lock().unwrap_or_else(PoisonError::into_inner) {
            interrupter.interrupt();
        }
    }

    /// Ends it; a turn that runs is interrupted first and waited for.
    pub(super) async fn end(&self) {
        self.interrupt();
        let mut seated = self.sit_at_last().await;
        let before = std::mem::replace(&mut *seated, Seat::Ended);
        if let Seat::Here(session) = before {
            session.close().await;
        }
        self.used.notify_one();
    }
}

impl<'a> Seated<'a> {
    fn new(seat: MutexGuard<'a, Seat>, busy: &'a AtomicBool) -> Self {
        busy.store(true, Ordering::Relaxed);
        Self { seat, busy }
    }
}

impl Deref for Seated<'_> {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.seat
    }
}

impl DerefMut for Seated<'_> {
    fn deref_mut(&mut self) -> &mut Seat {
        &mut self.seat
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.busy.store(false, Ordering::Relaxed);
    }
}
