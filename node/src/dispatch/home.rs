//! What this machine's owner asks of the jobs this node is home to: given, listed, followed, cancelled, explained.

mod following;

use crate::dispatch::Role;
use crate::home::{Asked, JobHome, Wanted};
use crate::service::{self, MemoryLent, blocking, chain};
use crate::state::home::spec::{BatchId, Input, JobSpec, Submitter};
use crate::state::home::words::Cancel;
use crate::state::needs::Requirements;
use crate::state::now::Wall;
use crate::store::blobs::{BlobLease, BlobStore};
use crate::wire::{
    AskHome, AskWhy, CancelJobs, Fault, FaultCode, Frame, FrameError, FrameStream, FrameWriter, GiveJobs, GivenJob,
    HOME_JOBS_MAX, HomeJobs, RehearseJob, Rehearsed, Tag, WhyLine, WhyLines,
};
use following::Following;
use potluck_runtime::Digest;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are copied at once.
const PIECE_LEN: usize = 1 << 20;

/// Answers one of them.
pub(super) async fn answer(
    home: &JobHome,
    name: &str,
    now_ms: u64,
    first: &Frame,
    stream: &mut FrameStream,
) -> Result<(), Stop> {
    match first.tag {
        Tag::OWNER_GIVE => give(home, name, now_ms, decoded(first)?, &mut stream.writer).await,
        Tag::OWNER_HOME => list(home, decoded(first)?, &mut stream.writer).await,
        Tag::OWNER_FOLLOW => Following::of(home, stream).job(decoded(first)?).await,
        Tag::OWNER_FOLLOW_MAP => Following::of(home, stream).map(decoded(first)?).await,
        Tag::OWNER_CANCEL_JOBS => cancel(home, decoded(first)?, &mut stream.writer).await,
        Tag::OWNER_REHEARSE => rehearse(home, now_ms, decoded(first)?, &mut stream.writer).await,
        _ => why(home, decoded(first)?, &mut stream.writer).await,
    }
}

/// Why no more is said.
pub(super) enum Stop {
    /// The request is refused.
    Refused(Fault),
    /// Whoever asked is gone.
    Gone,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

impl From<FrameError> for Stop {
    fn from(_: FrameError) -> Self {
        Self::Gone
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::new(FaultCode::INTERNAL, chain(error))
}

fn decoded<T: serde::de::DeserializeOwned>(first: &Frame) -> Result<T, Fault> {
    first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, chain(&error)))
}

async fn give(
    home: &JobHome,
    name: &str,
    now_ms: u64,
    request: GiveJobs,
    writer: &mut FrameWriter,
) -> Result<(), Stop> {
    let GiveJobs { batch, jobs, sources } = request;
    for job in &jobs {
        admit(job, name)?;
    }
    let paths = sources.into_iter().map(|source| (source.digest, PathBuf::from(OsString::from_vec(source.path))));
    let wanted: HashMap<Digest, u64> = jobs.iter().flat_map(|job| job.submit.blobs()).collect();
    let (blobs, paths) = (home.blobs().clone(), paths.collect());
    // Held until the home holds them.
    let leases = blocking(move || take_in(&blobs, &wanted, &paths)).await?;
    let batch_id = batch.as_ref().map(|batch| batch.id);
    let jobs = jobs.into_iter().map(|job| with_spec(job, batch_id, now_ms)).collect();
    home.submit(batch, jobs).await.map_err(|why| Fault::new(FaultCode::BUSY, why))?;
    drop(leases);
    Ok(writer.send_empty(Tag::DONE).await?)
}

/// What can be known to be wrong is said at once.
fn admit(job: &GivenJob, name: &str) -> Result<(), Fault> {
    let lent = MemoryLent { one: None, all: None };
    let case = crate::service::Case::Kept;
    service::admit(&job.submit, Role::Owner, lent, name, case)?;
    if job.submit.mounts.iter().any(|mount| mount.local.is_some()) {
        return Err(Fault::new(
            FaultCode::BAD_INPUT,
            "the folders of a job that outlives its command go along by content",
        ));
    }
    if job.submit.stdin {
        return Err(Fault::new(FaultCode::BAD_INPUT, "a job that outlives its command has no stdin; give it a file"));
    }
    Ok(())
}

fn with_spec(job: GivenJob, batch: Option<BatchId>, now_ms: u64) -> (JobSpec, Asked) {
    let inputs: Vec<Input> = job.submit.blobs().map(|(digest, size)| Input { digest, size }).collect();
    let container = job.submit.program.container_image().cloned();
    let spec = JobSpec {
        id: job.submit.job,
        submitter: Submitter::named(&job.submitter),
        batch,
        priority: job.priority,
        requirements: Arc::new(Requirements { container, ..job.requirements }),
        kind: job.submit.kind(),
        inputs: inputs.into(),
        retries: job.retries,
        queue_timeout_ms: job.queue_timeout_ms,
        wall_ms: Some(job.submit.limits.wall_ms),
        submitted: Wall(now_ms),
    };
    let task = batch.map(|batch| batch.0).zip(job.task);
    let wanted = Wanted {
        requirements: spec.requirements.as_ref().clone(),
        retries: spec.retries,
        queue_timeout_ms: spec.queue_timeout_ms,
    };
    (spec, Asked { submit: job.submit, submitter: job.submitter, priority: job.priority.0, task, wanted })
}

/// Copies what is not here yet, and has the disk keep it.
fn take_in(
    blobs: &BlobStore,
    wanted: &HashMap<Digest, u64>,
    paths: &HashMap<Digest, PathBuf>,
) -> Result<Vec<BlobLease>, Fault> {
    let mut leases: Vec<BlobLease> = Vec::new();
    let mut copied = false;
    for (digest, size) in wanted {
        let lease = match blobs.lease(*digest, *size) {
            Some(lease) => lease,
            None => {
                let path = paths.get(digest).ok_or_else(|| {
                    Fault::new(FaultCode::BAD_INPUT, format!("nobody says where blob {} lies", digest.short()))
                })?;
                copied = true;
                copy(blobs, *digest, *size, path)?
            }
        };
        leases.push(lease);
    }
    // All of them in one go, also those that were here: whoever brought them need not have had them synced.
    if let Some(lease) = leases.first() {
        let on_disk = File::open(lease.path()).and_then(|file| Ok(rustix::fs::syncfs(&file)?));
        on_disk.map_err(|error| internal(&error))?;
    }
    if copied && let Err(error) = blobs.trim_if_due() {
        tracing::warn!(error = %chain(&error), "blob cache could not be trimmed");
    }
    Ok(leases)
}

fn copy(blobs: &BlobStore, digest: Digest, size: u64, path: &Path) -> Result<BlobLease, Fault> {
    let unreadable =
        |error: std::io::Error| Fault::new(FaultCode::BAD_INPUT, format!("cannot read {}: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let mut writer = blobs.receive(digest, size).map_err(|error| internal(&error))?;
    let mut piece = vec![0; PIECE_LEN.min(usize::try_from(size).unwrap_or(PIECE_LEN).max(1))];
    loop {
        let read = file.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        writer.write(&piece[..read]).map_err(|_| changed(path))?;
    }
    writer.commit().map_err(|_| changed(path))
}

fn changed(path: &Path) -> Fault {
    Fault::new(FaultCode::BAD_INPUT, format!("{} was changed while it was read; give the job again", path.display()))
}

async fn cancel(home: &JobHome, request: CancelJobs, writer: &mut FrameWriter) -> Result<(), Stop> {
    let how = if request.now { Cancel::Now } else { Cancel::Ask };
    home.cancel(&request.jobs, request.batch, how).await.map_err(|why| Fault::new(FaultCode::BUSY, why))?;
    Ok(writer.send_empty(Tag::DONE).await?)
}

async fn why(home: &JobHome, request: AskWhy, writer: &mut FrameWriter) -> Result<(), Stop> {
    let lines = home.why(request.job).await.into_iter().map(WhyLine::from);
    Ok(writer.send_message(Tag::WHY_IS, &WhyLines { lines: lines.collect() }).await?)
}

async fn rehearse(home: &JobHome, now_ms: u64, request: RehearseJob, writer: &mut FrameWriter) -> Result<(), Stop> {
    let rehearsal = home.rehearse(request.spec(now_ms)).await;
    let rehearsal = rehearsal.ok_or_else(|| Fault::new(FaultCode::BUSY, "the node is leaving"))?;
    Ok(writer.send_message(Tag::REHEARSED_IS, &Rehearsed::from(rehearsal)).await?)
}

/// The jobs that have not ended, in as many answers as they take.
async fn list(home: &JobHome, request: AskHome, writer: &mut FrameWriter) -> Result<(), Stop> {
    let HomeJobs { jobs, count, waiting } = home.open_jobs(usize::try_from(request.jobs_max).unwrap_or(usize::MAX));
    let mut parts = jobs.chunks(HOME_JOBS_MAX);
    let mut part = Some(parts.next().unwrap_or_default());
    while let Some(jobs) = part {
        writer.send_message(Tag::HOME_IS, &HomeJobs { jobs: jobs.to_vec(), count, waiting }).await?;
        part = parts.next();
    }
    Ok(writer.send_empty(Tag::DONE).await?)
}
