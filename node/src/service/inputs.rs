//! A job's inputs: found among what the submitter lies beside, found in the blob store, or asked for and received.
//! Bytes that came are checked against their digest before anything reads them; the owner's own files are read as they lie.

use super::inbound::{Inbound, out_of_place};
use super::stored::KeptBytes;
use super::walk::over_quota;
use super::{Inner, Stop, blocking, finished, gone};
use crate::defaults::{INPUT_SILENCE_MAX, REQUEST_TIMEOUT};
use crate::dispatch::{Caller, Role};
use crate::state::home::spec::Input;
use crate::store::blobs::{BlobError, BlobLease, BlobStore, BlobWriter};
use crate::wire::{BlobHead, Fault, FaultCode, Frame, FrameReader, FrameWriter, Need, OwnerSources, SubmitJob, Tag};
use bytes::Bytes;
use potluck_runtime::{CHECKPOINT_LEN_MAX, Digest};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces of a blob that wait to be written, a frame each; when it is full its sender waits. With the longest frames this is
/// 2 MiB.
const PIECES_MAX: usize = 8;

/// Files of this machine its owner points to, so that they are not copied on the way.
#[derive(Clone, Debug, Default)]
pub struct LocalSources {
    paths: Arc<HashMap<Digest, PathBuf>>,
}

impl LocalSources {
    /// Sources by digest; the caller has read them.
    #[must_use]
    pub fn new(paths: HashMap<Digest, PathBuf>) -> Self {
        Self { paths: Arc::new(paths) }
    }

    /// Whether a file of that size is where the submitter says.
    fn has(&self, digest: &Digest, size: u64) -> bool {
        let Some(path) = self.paths.get(digest) else { return false };
        std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }
}

/// What the owner says after a `SUBMIT` of where its blobs lie.
pub(super) async fn sources(reader: &mut FrameReader) -> Result<LocalSources, Fault> {
    let named = tokio::time::timeout(REQUEST_TIMEOUT, reader.expect_message(Tag::OWNER_SOURCES)).await;
    let bad = |text: String| Fault::new(FaultCode::BAD_MESSAGE, text);
    let named: OwnerSources = named.map_err(|error| bad(error.to_string()))?.map_err(|error| bad(error.to_string()))?;
    let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
    let paths = named.sources.into_iter().map(|source| (source.digest, path(source.path)));
    Ok(LocalSources::new(paths.filter(|(_, path)| path.is_absolute()).collect()))
}

/// Where each blob of a job lies on this machine, for as long as this lives.
pub(super) struct Inputs {
    local: LocalSources,
    leases: HashMap<Digest, BlobLease>,
}

impl Inputs {
    /// Where the bytes of this digest lie.
    pub(super) fn path(&self, digest: &Digest) -> Result<&Path, Fault> {
        let received = self.leases.get(digest).map(BlobLease::path);
        received
            .or_else(|| self.local.paths.get(digest).map(PathBuf::as_path))
            .ok_or_else(|| Fault::new(FaultCode::INTERNAL, format!("blob {} was not asked for", digest.short())))
    }
}

/// Gathers every blob of a job and what it goes on from, asking the submitter for those that are missing.
pub(super) async fn gather(
    inner: &Inner,
    (job, restore): (&SubmitJob, Option<Input>),
    caller: &Caller,
    local: &LocalSources,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
) -> Result<Inputs, Stop> {
    let (wanted, blobs) = (wanted(job, restore)?, &inner.blobs);
    let mut inputs = Inputs { local: local.clone(), leases: HashMap::new() };
    let mut missing = Vec::new();
    for (digest, size) in &wanted {
        if local.has(digest, *size) {
            continue;
        }
        let may = caller.role == Role::Owner || *size == 0 || inner.accounts.stored.has_brought(&caller.id, digest);
        match blobs.lease(*digest, *size).filter(|_| may) {
            Some(lease) => {
                inputs.leases.insert(*digest, lease);
            }
            None => missing.push(*digest),
        }
    }
    missing.sort_unstable();
    check_room(inner, caller, missing.iter().map(|digest| wanted[digest]))?;
    writer.send_message(Tag::NEED, &Need { digests: missing.clone() }).await.map_err(gone)?;
    for digest in &missing {
        let digest = *digest;
        let lease = receive(inner, caller, digest, wanted[&digest], inbound).await?;
        inputs.leases.insert(digest, lease);
    }
    if !missing.is_empty() {
        let end = heard(inbound).await?;
        if end.tag != Tag::BLOBS_END {
            return Err(out_of_place(&end, "BLOBS_END"));
        }
        trim(blobs).await;
    }
    Ok(inputs)
}

/// The inputs of a job that was here before, if all of them still are.
pub(super) fn gather_again(inner: &Inner, job: &SubmitJob) -> Option<Inputs> {
    let wanted = wanted(job, None).ok()?;
    let lease = |(digest, size): (&Digest, &u64)| Some((*digest, inner.blobs.lease(*digest, *size)?));
    let leases = wanted.iter().map(lease).collect::<Option<_>>()?;
    Some(Inputs { local: LocalSources::default(), leases })
}

/// Every blob of a job once, with its size.
fn wanted(job: &SubmitJob, restore: Option<Input>) -> Result<HashMap<Digest, u64>, Fault> {
    let mut wanted = HashMap::new();
    if restore.is_some_and(|checkpoint| checkpoint.size > CHECKPOINT_LEN_MAX) {
        return Err(Fault::new(FaultCode::BAD_INPUT, format!("a checkpoint has {CHECKPOINT_LEN_MAX} bytes at most")));
    }
    let restore = restore.map(|checkpoint| (checkpoint.digest, checkpoint.size));
    for (digest, size) in job.blobs().chain(restore) {
        if *wanted.entry(digest).or_insert(size) != size {
            let text = format!("blob {} is described with two sizes", digest.short());
            return Err(Fault::new(FaultCode::BAD_INPUT, text));
        }
    }
    Ok(wanted)
}

/// Refuses inputs that a peer may not keep here, before any of them travels.
fn check_room(inner: &Inner, caller: &Caller, sizes: impl Iterator<Item = u64>) -> Result<(), Fault> {
    let bytes = sizes.fold(0u64, u64::saturating_add);
    room(inner, caller, bytes).map(drop)
}

/// Room for so many bytes of a peer's; the owner's own are bounded by the cache alone.
fn room<'a>(inner: &'a Inner, caller: &Caller, bytes: u64) -> Result<Option<KeptBytes<'a>>, Fault> {
    if caller.role == Role::Owner || bytes == 0 {
        return Ok(None);
    }
    let held = [inner.held_by(&caller.id), inner.held_by_all()];
    let room = inner.accounts.make_room(caller.id, bytes, held);
    room.map(Some).map_err(|hit| over_quota(inner, hit))
}

/// The next frame of a submitter that is to send its inputs.
async fn heard(inbound: &mut Inbound) -> Result<Frame, Stop> {
    let silent = |_| {
        let text =
            format!("nothing of the job's inputs came for {} s, so its place is given up", INPUT_SILENCE_MAX.as_secs());
        Stop::Refused(Fault::new(FaultCode::TOO_SLOW, text))
    };
    tokio::time::timeout(INPUT_SILENCE_MAX, inbound.next()).await.map_err(silent)?
}

async fn receive(
    inner: &Inner,
    caller: &Caller,
    digest: Digest,
    size: u64,
    inbound: &mut Inbound,
) -> Result<BlobLease, Stop> {
    let role = caller.role;
    let frame = heard(inbound).await?;
    if frame.tag != Tag::BLOB {
        return Err(out_of_place(&frame, "BLOB"));
    }
    let head: BlobHead = frame.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, super::chain(&error)))?;
    if head.digest != digest || head.size != size {
        let text = format!("blob {} of {size} bytes was due and another came", digest.short());
        return Err(Fault::new(FaultCode::BAD_MESSAGE, text).into());
    }
    let room = room(inner, caller, size)?;
    let writer = inner.blobs.receive(digest, size).map_err(|error| refuse(&error, role))?;
    let (pieces, arriving) = mpsc::channel(PIECES_MAX);
    let writing = tokio::task::spawn_blocking(move || write(writer, arriving));
    let fed = feed(pieces, size, inbound).await;
    // Also if nothing more comes: what was written is removed when the writer is told so.
    let written = finished(writing).await;
    fed?;
    let lease = written.map_err(|error| refuse(&error, role))?;
    if let Some(Err(error)) = room.map(|room| room.keep(digest)) {
        tracing::debug!(%error, "whose blob it is was not noted");
    }
    Ok(lease)
}

/// Passes on what arrives of a blob of this size.
async fn feed(pieces: mpsc::Sender<Bytes>, size: u64, inbound: &mut Inbound) -> Result<(), Stop> {
    let mut left = size;
    while left > 0 {
        let frame = heard(inbound).await?;
        let len = frame.payload.len() as u64;
        if frame.tag != Tag::DATA || len == 0 {
            return Err(out_of_place(&frame, "DATA"));
        }
        left = left.saturating_sub(len);
        if pieces.send(frame.payload).await.is_err() {
            // The writer has failed and says why.
            break;
        }
    }
    Ok(())
}

/// Checks and writes a blob as it arrives; nothing of it stays if it does not arrive whole.
fn write(mut writer: BlobWriter, mut arriving: mpsc::Receiver<Bytes>) -> Result<BlobLease, BlobError> {
    while let Some(piece) = arriving.blocking_recv() {
        writer.write(&piece)?;
    }
    writer.commit()
}

async fn trim(blobs: &BlobStore) {
    let blobs = blobs.clone();
    if let Err(error) = blocking(move || blobs.trim_if_due()).await {
        tracing::warn!(error = %super::chain(&error), "blob cache could not be trimmed");
    }
}

fn refuse(error: &BlobError, role: Role) -> Fault {
    let code = match error {
        BlobError::Io { .. } => FaultCode::INTERNAL,
        BlobError::Lie { .. } | BlobError::WrongSize { .. } => FaultCode::BAD_INPUT,
    };
    match error {
        BlobError::Io { source, .. } if role == Role::Peer => {
            Fault::new(code, format!("the machine could not store the job's inputs: {}", source.kind()))
        }
        error => Fault::new(code, super::chain(error)),
    }
}
