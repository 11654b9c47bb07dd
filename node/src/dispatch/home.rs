//! What this machine's owner asks of the jobs this node is home to: given, listed, followed, cancelled, explained.

use crate::dispatch::Role;
use crate::home::{Asked, JobHome, JobView};
use crate::service::{self, MemoryLent, blocking, chain};
use crate::state::home::run::RunId;
use crate::state::home::spec::{BatchId, Input, JobSpec, Submitter};
use crate::state::now::Wall;
use crate::store::blobs::{BlobLease, BlobStore};
use crate::store::recording::Follower;
use crate::wire::{
    AskWhy, CancelJobs, Fault, FaultCode, FollowJob, FollowMap, Frame, FrameError, FrameReader, FrameStream,
    FrameWriter, GiveJobs, GivenJob, HOME_JOBS_MAX, HomeJobs, JobId, JobNow, RunSays, Tag, WhyLine, WhyLines,
};
use potluck_runtime::Digest;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

/// Ended jobs of a map that are looked up at once, at 24 bytes each: many, since those of one time are looked up again each time.
const ENDED_AT_ONCE: u32 = 16_384;
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
        Tag::OWNER_HOME => {
            let (jobs, count) = home.open_jobs(HOME_JOBS_MAX);
            Ok(stream.writer.send_message(Tag::HOME_IS, &HomeJobs { jobs, count }).await?)
        }
        Tag::OWNER_FOLLOW => Following::of(home, stream).job(decoded(first)?).await,
        Tag::OWNER_FOLLOW_MAP => Following::of(home, stream).map(decoded(first)?).await,
        Tag::OWNER_CANCEL_JOBS => cancel(home, decoded(first)?, &mut stream.writer).await,
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
    let spec = JobSpec {
        id: job.submit.job,
        submitter: Submitter::named(&job.submitter),
        batch,
        priority: job.priority,
        requirements: Arc::new(job.requirements),
        inputs: inputs.into(),
        retries: job.retries,
        queue_timeout_ms: job.queue_timeout_ms,
        submitted: Wall(now_ms),
    };
    let task = batch.map(|batch| batch.0).zip(job.task);
    (spec, Asked { submit: job.submit, submitter: job.submitter, priority: job.priority.0, task })
}

/// Copies what is not here yet, and has the disk keep it.
fn take_in(
    blobs: &BlobStore,
    wanted: &HashMap<Digest, u64>,
    paths: &HashMap<Digest, PathBuf>,
) -> Result<Vec<BlobLease>, Fault> {
    let mut leases = Vec::new();
    let mut last = None;
    for (digest, size) in wanted {
        let lease = match blobs.lease(*digest, *size) {
            Some(lease) => lease,
            None => {
                let path = paths.get(digest).ok_or_else(|| {
                    Fault::new(FaultCode::BAD_INPUT, format!("nobody says where blob {} lies", digest.short()))
                })?;
                let copied = copy(blobs, *digest, *size, path)?;
                last = File::open(copied.path()).ok();
                copied
            }
        };
        leases.push(lease);
    }
    if let Some(copied) = last {
        // All that was copied, in one go.
        rustix::fs::syncfs(&copied).map_err(|error| internal(&std::io::Error::from(error)))?;
        if let Err(error) = blobs.trim_if_due() {
            tracing::warn!(error = %chain(&error), "blob cache could not be trimmed");
        }
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
    for job in request.jobs {
        home.cancel(job).await;
    }
    if let Some(batch) = request.batch {
        home.cancel_map(batch).await;
    }
    Ok(writer.send_empty(Tag::DONE).await?)
}

async fn why(home: &JobHome, request: AskWhy, writer: &mut FrameWriter) -> Result<(), Stop> {
    let lines = home.why(request.job).await.into_iter().map(|line| WhyLine {
        reason: line.reason.to_string(),
        change: line.reason.change(),
        name: line.name,
    });
    Ok(writer.send_message(Tag::WHY_IS, &WhyLines { lines: lines.collect() }).await?)
}

/// Somebody who follows.
struct Following<'a> {
    home: &'a JobHome,
    reader: &'a mut FrameReader,
    writer: &'a mut FrameWriter,
}

impl<'a> Following<'a> {
    fn of(home: &'a JobHome, stream: &'a mut FrameStream) -> Self {
        Self { home, reader: &mut stream.reader, writer: &mut stream.writer }
    }

    /// Follows a job to its end, or to what there is now.
    async fn job(mut self, request: FollowJob) -> Result<(), Stop> {
        let FollowJob { job, output, now } = request;
        let mut heard = None;
        let mut told: Option<JobNow> = None;
        if let Some(mut view) = self.home.watch(job) {
            loop {
                let current: JobView = view.borrow_and_update().clone();
                if current.now.at.is_ended() {
                    break;
                }
                if told.as_ref() != Some(&current.now) {
                    self.writer.send_message(Tag::JOB_IS, &current.now).await?;
                    told = Some(current.now);
                }
                if now {
                    return self.what_there_is(job, current.run.map(|(run, _)| run).filter(|_| output)).await;
                }
                let wanted = current.run.map(|(run, _)| run).filter(|run| output && heard != Some(*run));
                match wanted.and_then(|run| self.home.follow(job, Some(run))) {
                    Some(Ok((run, follower))) => {
                        self.says(run).await?;
                        if self.relay(follower, Some((run, &mut view))).await? {
                            heard = Some(run);
                        }
                    }
                    _ => self.or_gone(async { drop(view.changed().await) }).await?,
                }
            }
        }
        let ended = self.home.ended(job).map_err(|error| internal(&error))?;
        let Some(ended) = ended else {
            return Err(Fault::new(FaultCode::NOT_FOUND, format!("no job {job} is here")).into());
        };
        if output && heard.is_none_or(|run| run.attempt != ended.attempt) {
            self.all_of(job).await?;
        }
        Ok(self.writer.send_message(Tag::JOB_IS, &ended).await?)
    }

    /// What the run that counts has said.
    async fn all_of(&mut self, job: JobId) -> Result<(), Stop> {
        let Some(followed) = self.home.follow(job, None) else { return Ok(()) };
        let (run, follower) = followed.map_err(|error| internal(&error))?;
        self.says(run).await?;
        self.relay(follower, None).await.map(drop)
    }

    /// What a run has said by now.
    async fn what_there_is(&mut self, job: JobId, run: Option<RunId>) -> Result<(), Stop> {
        let Some(run) = run else { return Ok(()) };
        let (Some(len), Some(Ok((run, follower)))) = (self.home.said(run), self.home.follow(job, Some(run))) else {
            return Ok(());
        };
        self.says(run).await?;
        let mut frames = FrameReader::new(follower.take(len));
        while let Ok(Some(frame)) = frames.next().await {
            self.writer.send(frame).await?;
        }
        Ok(())
    }

    async fn says(&mut self, run: RunId) -> Result<(), Stop> {
        Ok(self.writer.send_message(Tag::RUN_SAYS, &RunSays { job: run.job, attempt: run.attempt }).await?)
    }

    /// Passes on what a run says, to its end (true), or until another is to be heard.
    async fn relay(
        &mut self,
        follower: Follower,
        mut watched: Option<(RunId, &mut watch::Receiver<JobView>)>,
    ) -> Result<bool, Stop> {
        let mut frames = FrameReader::new(follower);
        loop {
            tokio::select! {
                biased;
                frame = frames.next() => match frame {
                    Ok(Some(frame)) => self.writer.send(frame).await?,
                    Ok(None) => return Ok(true),
                    Err(error) => return Err(internal(&error).into()),
                },
                is_other = another(&mut watched) => {
                    if is_other {
                        return Ok(false);
                    }
                    // The job has ended: so will the recording.
                    watched = None;
                }
                heard = self.reader.next() => match heard {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(Stop::Gone),
                },
            }
        }
    }

    /// Waits for something, as long as whoever asked is there.
    async fn or_gone(&mut self, wait: impl Future<Output = ()>) -> Result<(), Stop> {
        let mut wait = std::pin::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return Ok(()),
                heard = self.reader.next() => match heard {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(Stop::Gone),
                },
            }
        }
    }

    /// Follows a map until whoever asked goes away.
    async fn map(mut self, request: FollowMap) -> Result<(), Stop> {
        let FollowMap { batch, output } = request;
        // Our greeting waits for the first answer, which may be long in coming.
        self.writer.flush().await?;
        let mut ends = self.home.watch_map(batch);
        let mut told = HashSet::new();
        let mut from_ms = 0;
        loop {
            ends.borrow_and_update();
            loop {
                let max = ENDED_AT_ONCE.saturating_add(u32::try_from(at_one_time(&told, from_ms)).unwrap_or(u32::MAX));
                let some = self.home.ended_of_map(batch, from_ms, max).map_err(|error| internal(&error))?;
                let fresh: Vec<_> = some.into_iter().filter(|end| !told.contains(end)).collect();
                let Some((_, last_ms)) = fresh.last().copied() else { break };
                for end in fresh {
                    self.ended(end.0, output).await?;
                    told.insert(end);
                }
                from_ms = last_ms;
            }
            // Nothing that ends later has an earlier time, but for a clock that was set back within this second.
            told.retain(|(_, ended_ms)| *ended_ms >= from_ms);
            let changed = async { drop(ends.changed().await) };
            self.or_gone(changed).await?;
        }
    }

    /// A job of a map that has ended.
    async fn ended(&mut self, job: JobId, output: bool) -> Result<(), Stop> {
        if output {
            self.all_of(job).await?;
        }
        if let Some(ended) = self.home.ended(job).map_err(|error| internal(&error))? {
            self.writer.send_message(Tag::JOB_IS, &ended).await?;
        }
        Ok(())
    }
}

/// Waits until another run than this one is to be heard (true), or the job has ended.
async fn another(watched: &mut Option<(RunId, &mut watch::Receiver<JobView>)>) -> bool {
    let Some((run, view)) = watched else { return std::future::pending().await };
    loop {
        if view.changed().await.is_err() {
            return false;
        }
        let current = view.borrow_and_update();
        if current.now.at.is_ended() {
            return false;
        }
        if current.run.map(|(run, _)| run) != Some(*run) {
            return true;
        }
    }
}

/// How many of those that were told have this time.
fn at_one_time(told: &HashSet<(JobId, u64)>, ms: u64) -> usize {
    told.iter().filter(|(_, ended_ms)| *ended_ms == ms).count()
}
