//! Jobs that are given to this machine's daemon, which sees to them from then on: given, followed, cancelled. Whoever gave
//! one may go away, and come again.

pub(super) mod wish;

pub(super) mod parcel;

pub(super) mod pattern;

pub(super) mod following;

mod rehearsal;

use self::following::Following;
use self::parcel::Parcel;
use self::pattern::Pattern;
use self::wish::Wish;
use super::daemon::{ask_daemon, open_request};
use super::network::{ClientError, KnownPeers, decoded};
use super::{Client, MountsBy, Submission, SubmitError};
use crate::home::{Wanted, asked_for};
use crate::state::home::spec::{BatchId, BatchSpec, Priority};
use crate::state::needs::{Requirements, Who, WhoText};
use crate::state::placement::Place;
use crate::state::placement::gpu::ONLY_DOCKER;
use crate::store::jobs::{JobStore, Role};
use crate::wire::{
    AskHome, AskWhy, CancelJobs, FollowJob, FollowMap, Frame, FrameError, GiveJobs, GivenJob, HomeJobs, JobId,
    OwnerSource, Tag, WhyLine, WhyLines,
};
use potluck_runtime::Digest;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

impl Client {
    /// Reads a job that is to be given to the home.
    ///
    /// # Errors
    /// [`SubmitError`] for what is wrong with it.
    pub async fn parcel(&self, submission: Submission) -> Result<Parcel, SubmitError> {
        let packed = self.read(submission, super::new_job_id()?, MountsBy::Content).await?;
        Ok(Parcel::of(packed, None))
    }

    /// Reads what is the same for many jobs, once. What else is wrong with it, each of them will say.
    ///
    /// # Errors
    /// [`SubmitError`] when nothing is there to run any of them.
    pub async fn pattern(&self, submission: Submission) -> Result<Pattern, SubmitError> {
        let submission = super::interpreting::resolve(self.paths(), submission)?;
        let packed = self.read(submission.clone(), JobId([0; 16]), MountsBy::Content).await;
        Ok(Pattern::new(submission, packed.ok()))
    }

    /// A job as it was given before, under a new id, and what was wanted of its home and of machines then. Its inputs are those
    /// that the daemon still has. Blocks.
    ///
    /// # Errors
    /// [`ClientError::Failed`] when nobody knows what it asked for.
    pub fn parcel_again(&self, records: &JobStore, job: JobId) -> Result<(Parcel, Option<Wanted>), ClientError> {
        let unreadable = |source| ClientError::local("cannot read what the job asked for", source);
        let bytes = records.request(job, Role::Sent).map_err(unreadable)?;
        let Some(bytes) = bytes else {
            let why = "what the job asked for is not known; that is kept of jobs that were given with `potluck run -d` or `map`";
            return Err(ClientError::Failed(why.to_owned()));
        };
        let (mut submit, wanted) = asked_for(&bytes).map_err(ClientError::Failed)?;
        submit.job = super::new_job_id().map_err(|error| ClientError::Failed(error.to_string()))?;
        Ok((Parcel::again(submit), wanted))
    }

    /// The id of a new map.
    ///
    /// # Errors
    /// [`SubmitError`] when the system gives no random bytes.
    pub fn new_map(&self) -> Result<BatchId, SubmitError> {
        super::new_job_id().map(BatchId)
    }

    /// Whom a wish means.
    ///
    /// # Errors
    /// [`ClientError::WhichPeer`] for a name that is nobody's, among others.
    pub async fn requirements(&self, wish: &Wish) -> Result<Requirements, ClientError> {
        let known = KnownPeers::load(self).await?;
        let me = self.identity()?.id();
        let find = |name: &str| -> Result<Place, ClientError> {
            if name == "local" || name == self.config().name {
                return Ok(Place::Here);
            }
            let peer = known.find(name)?;
            Ok(if peer == me { Place::Here } else { Place::Peer(peer) })
        };
        let all = |texts: &[WhoText]| -> Result<Vec<Who>, ClientError> {
            texts.iter().map(|text| text.clone().resolve(find)).collect()
        };
        Ok(Requirements {
            needs: wish.needs.clone(),
            container: None,
            on: wish.on.iter().map(|name| find(name)).collect::<Result<_, _>>()?,
            prefer: all(&wish.prefer)?,
            avoid: all(&wish.avoid)?,
        })
    }

    /// Gives jobs to this machine's daemon, all or none; at most [`GIVEN_MAX`](crate::wire::GIVEN_MAX). When this returns
    /// they survive whatever becomes of anybody. The same jobs may be given again.
    ///
    /// # Errors
    /// [`ClientError`], for what needs a graphics processor and has no way to one, too.
    pub async fn give(
        &self,
        batch: Option<BatchSpec>,
        parcels: Vec<Parcel>,
        wish: &Wish,
        requirements: &Requirements,
    ) -> Result<(), ClientError> {
        let mut sources = HashMap::new();
        let mut jobs = Vec::new();
        for parcel in parcels {
            if requirements.needs.gpus > 0 && !parcel.program().reaches_gpus() {
                return Err(ClientError::Failed(ONLY_DOCKER.to_owned()));
            }
            let (mut submit, task) = parcel.unpacked(&mut sources);
            // What is needed of its machine is what it gets there.
            submit.program = submit.program.with_gpus(requirements.needs.gpus);
            jobs.push(GivenJob {
                submit,
                submitter: wish.submitter.clone(),
                priority: Priority(wish.priority),
                requirements: requirements.clone(),
                retries: wish.retries,
                queue_timeout_ms: wish.queue_timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                task,
            });
        }
        let source = |(digest, source): (Digest, super::packing::Source)| OwnerSource {
            digest,
            path: source.path.as_os_str().as_bytes().to_vec(),
        };
        let request = GiveJobs { batch, jobs, sources: sources.into_iter().map(source).collect() };
        // Large inputs take their time.
        let mut stream = open_request(self, Frame::message(Tag::OWNER_GIVE, &request)).await?;
        stream.reader.expect(Tag::DONE).await.map(drop).map_err(daemon_failed)
    }

    /// The jobs of this home that have not ended: at most so many, those first that machines have. None where no daemon runs:
    /// nobody knows then how far they are.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn home_jobs(&self, most: usize) -> Result<HomeJobs, ClientError> {
        let mut all = HomeJobs::default();
        if !self.daemon_runs() {
            return Ok(all);
        }
        let jobs_max = u64::try_from(most).unwrap_or(u64::MAX);
        let mut stream = open_request(self, Frame::message(Tag::OWNER_HOME, &AskHome { jobs_max })).await?;
        loop {
            let frame = stream.reader.expect_any().await.map_err(daemon_failed)?;
            match frame.tag {
                Tag::DONE => return Ok(all),
                Tag::HOME_IS => {
                    let part: HomeJobs = decoded(&frame)?;
                    (all.count, all.waiting) = (part.count, part.waiting);
                    all.jobs.extend(part.jobs);
                }
                got => return Err(daemon_failed(FrameError::Unexpected { got, wanted: Tag::HOME_IS })),
            }
        }
    }

    /// Follows a job.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow(&self, which: FollowJob) -> Result<Following, ClientError> {
        self.following(Frame::message(Tag::OWNER_FOLLOW, &which)).await
    }

    /// Follows a map.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow_map(&self, which: FollowMap) -> Result<Following, ClientError> {
        self.following(Frame::message(Tag::OWNER_FOLLOW_MAP, &which)).await
    }

    async fn following(&self, request: Frame) -> Result<Following, ClientError> {
        Ok(Following::of(open_request(self, request).await?))
    }

    /// Nobody wants these jobs any more.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_jobs(&self, which: &CancelJobs) -> Result<(), ClientError> {
        ask_daemon(self, Frame::message(Tag::OWNER_CANCEL_JOBS, which), Tag::DONE).await.map(drop)
    }

    /// Why a job is not where it could be: a line for each machine, none when it has ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn why(&self, job: JobId) -> Result<Vec<WhyLine>, ClientError> {
        let answer = ask_daemon(self, Frame::message(Tag::OWNER_WHY, &AskWhy { job }), Tag::WHY_IS).await?;
        Ok(decoded::<WhyLines>(&answer)?.lines)
    }
}

/// Why the daemon's answer is none.
fn daemon_failed(error: FrameError) -> ClientError {
    match error {
        FrameError::Fault(fault) => ClientError::Refused(fault),
        error => ClientError::DaemonSilent { source: Box::new(error) },
    }
}
