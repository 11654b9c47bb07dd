//! Sessions that are here: interpreters that stay between two requests. Only whoever opened one may use it; this machine's
//! owner may list and stop all. A session has one turn at a time, and a turn ends with the stream that asked for it. Idle
//! ones are put to disk, as all are when the node stops.

mod opening;

mod parking;

mod requests;

mod resident;

mod turns;

pub(super) use opening::{Opening, open, session_program};
pub(super) use parking::{Manner, park_of_peers, put_away, watch_all};
pub(super) use requests::{fork, interrupt, list, save, stop};
pub(super) use turns::turn;

use super::walk::over_quota;
use super::{Inner, sentence};
use crate::defaults::{SESSIONS_MAX, SESSIONS_PER_PEER_MAX};
use crate::dispatch::{Caller, Role};
use crate::identity::NodeId;
use crate::state::quotas::QuotaHit;
use crate::store::sessions::SessionStore;
use crate::wire::{Fault, FaultCode, Frame, JobId, WhichSession};
use potluck_runtime::SessionError;
use resident::Resident;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where sessions go when they are idle.
#[derive(Clone, Debug)]
pub struct Parking {
    /// Where they are kept.
    pub dir: PathBuf,
    /// How long after its last turn one is put there.
    pub idle: Duration,
}

/// The sessions of a node.
pub(super) struct Sessions {
    table: Mutex<HashMap<JobId, Arc<Resident>>>,
    /// None where sessions end with this process.
    kept: Option<Kept>,
}

struct Kept {
    store: SessionStore,
    idle: Duration,
}

impl Sessions {
    /// The sessions that a node before this has kept.
    pub(super) fn open(parking: Option<Parking>) -> io::Result<Self> {
        let mut table = HashMap::new();
        let mut kept = None;
        if let Some(Parking { dir, idle }) = parking {
            let store = SessionStore::open(&dir)?;
            for record in store.list()? {
                let bytes = store.bytes(record.session);
                table.insert(record.session, Arc::new(Resident::stored(record, bytes)));
            }
            kept = Some(Kept { store, idle });
        }
        Ok(Self { table: Mutex::new(table), kept })
    }

    fn table(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Resident>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Option<&SessionStore> {
        self.kept.as_ref().map(|kept| &kept.store)
    }

    /// The caller's session of this id.
    fn find(&self, caller: &Caller, session: JobId) -> Result<Arc<Resident>, Fault> {
        let found = self.table().get(&session).filter(|resident| resident.holder == caller.id).cloned();
        found.ok_or_else(|| no_session(session))
    }

    /// Whether one more may be opened, on the node of this name, with this id and name.
    fn has_room(&self, caller: &Caller, node: &str, session: JobId, name: Option<&str>) -> Result<(), Fault> {
        let table = self.table();
        let theirs = || table.values().filter(|resident| resident.holder == caller.id);
        if table.contains_key(&session) {
            return Err(here_already(session));
        }
        if let Some(name) = name.filter(|name| theirs().any(|resident| resident.name.as_deref() == Some(name))) {
            let text = format!("a session of yours is called {name:?} on {node} already; choose another name");
            return Err(Fault::new(FaultCode::BAD_INPUT, text));
        }
        if caller.role == Role::Peer && theirs().count() >= SESSIONS_PER_PEER_MAX || table.len() >= SESSIONS_MAX {
            let text = format!(
                "{node} keeps {SESSIONS_MAX} sessions at most, {SESSIONS_PER_PEER_MAX} of one peer; end one with \
                 `potluck session stop`, `potluck session ls` shows them"
            );
            return Err(Fault::new(FaultCode::BUSY, text));
        }
        Ok(())
    }

    /// Bytes that a peer's sessions take on disk.
    pub(super) fn stored_bytes(&self, peer: &NodeId) -> u64 {
        let table = self.table();
        let theirs = table.values().filter(|resident| resident.role == Role::Peer && resident.holder == *peer);
        theirs.fold(0, |sum, resident| sum.saturating_add(resident.stored_bytes()))
    }

    /// Bytes that the sessions of all peers take on disk.
    pub(super) fn all_stored_bytes(&self) -> u64 {
        let table = self.table();
        let of_peers = table.values().filter(|resident| resident.role == Role::Peer);
        of_peers.fold(0, |sum, resident| sum.saturating_add(resident.stored_bytes()))
    }

    /// Every peer with a session here.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.table().values().filter(|resident| resident.role == Role::Peer).map(|resident| resident.holder).collect()
    }

    fn insert(&self, resident: Arc<Resident>) -> Result<(), Fault> {
        match self.table().entry(resident.session) {
            Entry::Occupied(_) => Err(here_already(resident.session)),
            Entry::Vacant(place) => {
                place.insert(resident);
                Ok(())
            }
        }
    }

    /// Ends a session and removes all of it; one whose turn runs is interrupted by that.
    async fn end(&self, resident: &Resident) {
        self.table().remove(&resident.session);
        resident.end().await;
        if let Some(store) = self.store() {
            let (store, session) = (store.clone(), resident.session);
            super::blocking(move || store.remove(session)).await;
        }
    }

    /// Ends the sessions of a peer that is not trusted any more.
    pub(super) async fn forget(&self, peer: NodeId) {
        let theirs: Vec<_> = self.table().values().filter(|resident| resident.holder == peer).cloned().collect();
        for resident in theirs {
            self.end(&resident).await;
        }
    }
}

/// Refuses what would take more of the disk of a peer that keeps as much as it may.
pub(super) fn check_stored(inner: &Inner, caller: &Caller) -> Result<(), Fault> {
    if caller.role == Role::Owner {
        return Ok(());
    }
    let (used, allowed) = (inner.held_by(&caller.id), inner.accounts.of(&caller.id).stored_bytes);
    if used >= allowed {
        return Err(over_quota(inner, QuotaHit::Stored { used, allowed, asked: 1 }));
    }
    let room = inner.accounts.stored.make_room_among_all(1, inner.held_by_all(), inner.accounts.disk());
    room.map_err(|hit| over_quota(inner, hit))
}

fn here_already(session: JobId) -> Fault {
    Fault::new(FaultCode::BAD_INPUT, format!("session {session} is here already"))
}

fn no_session(session: JobId) -> Fault {
    Fault::new(FaultCode::NOT_FOUND, format!("no session {session} of yours is here; `potluck session ls` shows them"))
}

fn decoded<T: DeserializeOwned>(first: &Frame) -> Result<T, Fault> {
    first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, super::chain(&error)))
}

/// The caller's session that a request names.
fn named(inner: &Inner, caller: &Caller, first: &Frame) -> Result<Arc<Resident>, Fault> {
    let request: WhichSession = decoded(first)?;
    inner.sessions.find(caller, request.session)
}

/// What to tell of a failure. What the user can do something about is told with its causes.
fn failure(error: &SessionError, role: Role) -> Fault {
    match error {
        SessionError::FilesOpen(_) | SessionError::NoScript => Fault::new(FaultCode::BAD_INPUT, error.to_string()),
        // Where it lies here means nothing to others.
        SessionError::Refused { why, .. } => {
            Fault::new(FaultCode::BAD_INPUT, format!("cannot go on with the saved session: {why}"))
        }
        SessionError::Files(_)
        | SessionError::Start(_)
        | SessionError::Prepare(_)
        | SessionError::Worker(_)
        | SessionError::Undone(_)
        | SessionError::Half(_)
        | SessionError::File { .. } => {
            tracing::warn!(error = %super::chain(error), "session failed");
            Fault::new(FaultCode::INTERNAL, sentence(error, role))
        }
    }
}
