//! Putting sessions to disk: each after a while without a turn, all when the node stops. One that cannot be put there, as
//! when it holds files open, stays where it is. One that nobody uses for long is removed.

use super::Sessions;
use super::resident::{Resident, Seat};
use crate::defaults::SESSION_KEPT;
use crate::dispatch::Role;
use crate::identity::NodeId;
use crate::service::{Inner, blocking, chain};
use crate::store::sessions::{SessionStore, SessionWriter, StoredFile};
use potluck_runtime::{Session, SessionFile, SessionFiles};
use std::error::Error;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Looks after a session until it ends, where sessions are kept.
pub(super) fn watch(inner: &Arc<Inner>, resident: &Arc<Resident>) {
    if let Some(kept) = &inner.sessions.kept {
        tokio::spawn(look_after(Arc::downgrade(inner), Arc::downgrade(resident), kept.idle));
    }
}

/// Looks after those that a node before this has kept.
pub(in crate::service) fn watch_all(inner: &Arc<Inner>) {
    let residents: Vec<_> = inner.sessions.table().values().cloned().collect();
    for resident in residents {
        watch(inner, &resident);
    }
}

async fn look_after(inner: Weak<Inner>, resident: Weak<Resident>, idle: Duration) {
    let mut patience = idle;
    loop {
        let Some(seen) = resident.upgrade() else { return };
        let bound = if seen.is_parked() { SESSION_KEPT } else { patience };
        let left = bound.saturating_sub(seen.idle_for());
        if !left.is_zero() {
            let used = seen.used.notified();
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = used => patience = idle,
            }
            continue;
        }
        let Some(inner) = inner.upgrade() else { return };
        if seen.is_parked() {
            tracing::info!(session = %seen.session, "session removed: it was not used for long");
            return inner.sessions.end(&seen).await;
        }
        if !park(&inner.sessions, &seen, Manner::Unseen).await {
            // What holds it up now may be over later.
            patience = seen.idle_for() + idle;
        }
    }
}

/// Puts the sessions of these peers to disk and returns how many; one that a turn uses stays as it is.
pub(in crate::service) async fn park_of_peers(
    inner: &Inner,
    is_theirs: impl Fn(&NodeId) -> bool,
    manner: Manner,
) -> u32 {
    let theirs = |resident: &Arc<Resident>| resident.role == Role::Peer && is_theirs(&resident.holder);
    let residents: Vec<_> = inner.sessions.table().values().filter(|resident| theirs(resident)).cloned().collect();
    let mut parked = 0;
    for resident in residents {
        // One that cannot be put there is tried again when it was used since.
        if !resident.is_parked() && resident.may_be_parked(manner) && park(&inner.sessions, &resident, manner).await {
            parked += 1;
        }
    }
    parked
}

/// Puts every session to disk.
pub(in crate::service) async fn put_away(inner: &Inner) {
    let residents: Vec<_> = inner.sessions.table().values().cloned().collect();
    for resident in residents {
        if !resident.is_parked() && !park(&inner.sessions, &resident, Manner::Last).await {
            tracing::warn!(session = %resident.session, "session is lost: it cannot be put to disk");
        }
        resident.end().await;
    }
}

/// What may be done to a session to put it to disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Manner {
    /// Nothing that it could notice.
    Unseen,
    /// It would be lost otherwise: files that it holds open are closed.
    Last,
}

/// Puts a session to disk; false if that cannot be done now, or never again because it has ended.
async fn park(sessions: &Sessions, resident: &Resident, manner: Manner) -> bool {
    let Some(store) = sessions.store() else { return false };
    let seat = match manner {
        Manner::Unseen => resident.sit(),
        // It may be on its way to disk just now.
        Manner::Last => Some(resident.sit_at_last().await),
    };
    let Some(mut seat) = seat else { return false };
    if resident.is_parked() {
        return true;
    }
    let Seat::Here(session) = &mut *seat else { return false };
    let mut result = put(store, resident, session).await;
    if result.is_err() && manner == Manner::Last && session.close_files().await.is_ok() {
        result = put(store, resident, session).await;
    }
    match result {
        Ok(()) => {
            let (store, session) = (store.clone(), resident.session);
            resident.note_parked(blocking(move || store.bytes(session)).await);
            tracing::debug!(session = %resident.session, "session put to disk");
            true
        }
        Err(error) => {
            resident.note_stays();
            tracing::debug!(session = %resident.session, error = %chain(&*error), "session stays in memory");
            false
        }
    }
}

async fn put(
    store: &SessionStore,
    resident: &Resident,
    session: &mut Session,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (store, id) = (store.clone(), resident.session);
    let writer = blocking(move || store.write(id)).await?;
    let files = session.files().await?;
    session.save(&writer.memory()).await?;
    let (writer, files) = blocking(move || copy(&files, &writer).map(|()| (writer, files))).await?;
    let stored = |file: SessionFile| StoredFile { path: file.path, executable: file.executable };
    let record = resident.record(files.files.into_iter().map(stored).collect(), files.directories);
    let place = blocking(move || writer.commit(record)).await?;
    // Only now that all of it is there may the session let go of what it has in memory.
    session.rest_on(&place).await?;
    Ok(())
}

/// Copies the files of the working directory; what cannot be carried is left out.
fn copy(files: &SessionFiles, writer: &SessionWriter) -> io::Result<()> {
    files.files.iter().try_for_each(|file| writer.add(&file.path, &mut files.open(&file.path)?))
}
