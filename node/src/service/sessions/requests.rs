//! What else can be asked of sessions: which there are, an interrupt, all of one's state, a twin, its end.

use super::turns::busy;
use super::{decoded, failure, named, opening};
use crate::dispatch::{Caller, Role};
use crate::service::inbound::Inbound;
use crate::service::{Inner, SendFileError, Stop, admission, blocking, gone, outputs, send_file, walk};
use crate::wire::{
    Fault, FaultCode, ForkSession, Frame, FrameWriter, OutputFile, SessionInfo, SessionList, SessionMemory, Tag,
    WhichSession,
};
use potluck_runtime::{Digest, GuestPath, SessionFile, SessionFiles};
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Answers a `SESSION_LIST`.
pub(in crate::service) async fn list(inner: &Inner, caller: &Caller, writer: &mut FrameWriter) -> Result<(), Stop> {
    let shown = |holder| holder == caller.id || caller.role == Role::Owner;
    let residents: Vec<_> =
        inner.sessions.table().values().filter(|resident| shown(resident.holder)).cloned().collect();
    let mut sessions: Vec<SessionInfo> = residents.iter().map(|resident| resident.info(caller)).collect();
    sessions.sort_by_key(|info| (info.created_unix, info.session));
    writer.send_message(Tag::SESSIONS_ARE, &SessionList { sessions }).await.map_err(gone)
}

/// Answers a `SESSION_INTERRUPT`.
pub(in crate::service) async fn interrupt(
    inner: &Inner,
    caller: &Caller,
    first: &Frame,
    writer: &mut FrameWriter,
) -> Result<(), Stop> {
    named(inner, caller, first)?.interrupt();
    writer.send_empty(Tag::DONE).await.map_err(gone)
}

/// Answers a `SESSION_STOP`, which this machine's owner may ask of any session.
pub(in crate::service) async fn stop(
    inner: &Inner,
    caller: &Caller,
    first: &Frame,
    writer: &mut FrameWriter,
) -> Result<(), Stop> {
    let resident = match caller.role {
        Role::Peer => named(inner, caller, first)?,
        Role::Owner => {
            let request: WhichSession = decoded(first)?;
            let found = inner.sessions.table().get(&request.session).cloned();
            found.ok_or_else(|| super::no_session(request.session))?
        }
    };
    inner.sessions.end(&resident).await;
    writer.send_empty(Tag::DONE).await.map_err(gone)
}

/// Answers a `SESSION_FORK`.
pub(in crate::service) async fn fork(
    inner: &Arc<Inner>,
    caller: &Caller,
    first: &Frame,
    writer: &mut FrameWriter,
) -> Result<(), Stop> {
    let request: ForkSession = decoded(first)?;
    admission::admit_session_name(request.name.as_deref())?;
    let resident = inner.sessions.find(caller, request.session)?;
    walk::check_lent(inner, caller)?;
    admission::admit_limits(&resident.limits, caller.role, walk::memory_lent(inner, caller), &inner.name)?;
    inner.sessions.has_room(caller, &inner.name, request.twin, request.name.as_deref())?;
    super::check_stored(inner, caller)?;
    let twin = {
        let mut seat = resident.sit().ok_or_else(busy)?;
        let session = opening::awake(inner, &resident, &mut seat).await?;
        session.fork().await.map_err(|error| failure(&error, caller.role))?
    };
    resident.note_use();
    let info = opening::settle(inner, caller, resident.about_twin(request.twin, request.name), twin)?;
    writer.send_message(Tag::SESSION_IS, &info).await.map_err(gone)
}

/// Answers a `SESSION_SAVE`: what the session is, its files, its memory. No turn runs meanwhile.
pub(in crate::service) async fn save(
    inner: &Arc<Inner>,
    caller: &Caller,
    first: &Frame,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
) -> Result<(), Stop> {
    let resident = named(inner, caller, first)?;
    walk::check_not_paused(inner, caller)?;
    let mut seat = resident.sit().ok_or_else(busy)?;
    let sending = async {
        let session = opening::awake(inner, &resident, &mut seat).await?;
        let memory = new_file(inner, caller)?;
        session.save(memory.path()).await.map_err(|error| failure(&error, caller.role))?;
        let files = session.files().await.map_err(|error| failure(&error, caller.role))?;
        resident.note_use();
        writer.send_message(Tag::SESSION_IS, &resident.info(caller)).await.map_err(gone)?;
        let files = send_files(files, writer).await?;
        send_memory(memory.path(), files, writer).await
    };
    tokio::select! {
        sent = sending => sent,
        stop = inbound.interrupted() => Err(stop),
    }
}

/// A file for what is on its way, removed when this is dropped, or after this process has died by the next.
fn new_file(inner: &Inner, caller: &Caller) -> Result<NamedTempFile, Fault> {
    let prefix = format!("{}-", std::process::id());
    let file = tempfile::Builder::new().prefix(&prefix).tempfile_in(&inner.mounts_dir);
    file.map_err(|error| unreadable(&error, caller.role))
}

/// Sends the files of a working directory; returns what there is to say of the rest of it.
async fn send_files(files: SessionFiles, writer: &mut FrameWriter) -> Result<SessionFiles, Stop> {
    let mut files = files;
    for SessionFile { path, executable, .. } in std::mem::take(&mut files.files) {
        let (place, all) = (path.clone(), files);
        let opened = blocking(move || (open_one(&all, &place), all)).await;
        files = opened.1;
        let (file, digest, size) = opened.0.map_err(|error| unreadable(&error, Role::Peer))?;
        outputs::send_one(OutputFile { path, digest, size, executable }, file, writer).await?;
    }
    Ok(files)
}

/// A file and what its bytes are called. No turn runs, so nobody changes it.
fn open_one(files: &SessionFiles, path: &GuestPath) -> io::Result<(File, Digest, u64)> {
    let mut file = files.open(path)?;
    let (digest, size) = Digest::of_reader(&mut file)?;
    file.rewind()?;
    Ok((file, digest, size))
}

async fn send_memory(path: &Path, files: SessionFiles, writer: &mut FrameWriter) -> Result<(), Stop> {
    let place = path.to_owned();
    let opened = blocking(move || {
        let file = File::open(place)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    });
    let (file, size) = opened.await.map_err(|error: io::Error| unreadable(&error, Role::Peer))?;
    let left_behind = outputs::shortened(files.left_behind);
    let head = SessionMemory { size, directories: files.directories, left_behind };
    writer.send_message(Tag::SESSION_MEMORY, &head).await.map_err(gone)?;
    match send_file(writer, file, size, |_| {}).await {
        Ok(()) => Ok(()),
        Err(SendFileError::Write(error)) => Err(gone(error)),
        Err(SendFileError::Read(error)) => Err(unreadable(&error, Role::Peer).into()),
    }
}

fn unreadable(error: &io::Error, role: Role) -> Fault {
    tracing::warn!(%error, "a session cannot be written down");
    Fault::new(FaultCode::INTERNAL, format!("cannot write the session down: {}", super::sentence(error, role)))
}
