//! Jobs that are given to this machine's daemon, which sees to them from then on: given, followed, cancelled. Whoever gave
//! one may go away, and come again.

use super::daemon::{ask_daemon, open_request};
use super::network::{ClientError, KnownPeers, decoded};
use super::receiving::{ArrivingFile, OutputsDir};
use super::{Client, MountsBy, Packed, Submission, SubmitError};
use crate::home::versioned;
use crate::state::home::spec::{BatchId, BatchSpec, Priority, RETRIES_DEFAULT};
use crate::state::needs::{Needs, Requirements, Who, WhoText};
use crate::state::placement::Place;
use crate::store::jobs::{JobStore, Role};
use crate::wire::bounds::SUBMIT_LEN_MAX;
use crate::wire::{
    AskWhy, CancelJobs, Ended, Fault, FollowJob, FollowMap, Frame, FrameError, FrameStream, GiveJobs, GivenJob,
    HomeJobs, JobId, JobNow, JobProgram, OutputFile, OwnerSource, RunSays, Stage, SubmitJob, Tag, Time, WhyLine,
    WhyLines, encode,
};
use bytes::Bytes;
use potluck_runtime::{Digest, GuestPath, OutputStream};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// What the parcels of one [`Client::give`] may weigh together; as much again is left for what was estimated too low.
pub const PARCELS_WEIGHT_MAX: usize = SUBMIT_LEN_MAX / 2;
/// Bytes of what its home is told of a job beside what is run: a hundred, and the words of its requirements.
const PARCEL_WEIGHT: usize = 1024;
/// Bytes of a digest and a path; so many that no more are told than [`BLOBS_MAX`](crate::wire::bounds::BLOBS_MAX).
const SOURCE_WEIGHT: usize = 256;

/// What a job wants of its home and of machines.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Whose it is, among those who share this home.
    pub submitter: String,
    /// Its place among its submitter's jobs; the greater goes first.
    pub priority: i8,
    /// What the machine must have.
    pub needs: Needs,
    /// The only machines that may run it, by name or id; any, where none is named.
    pub on: Vec<String>,
    /// Where it runs rather.
    pub prefer: Vec<WhoText>,
    /// Where it runs only when no other machine fits.
    pub avoid: Vec<WhoText>,
    /// Runs after the first that it may have when machines vanish with it.
    pub retries: u32,
    /// How long it may wait for a machine that fits.
    pub queue_timeout: Option<Duration>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            submitter: String::new(),
            priority: 0,
            needs: Needs::default(),
            on: Vec::new(),
            prefer: Vec::new(),
            avoid: Vec::new(),
            retries: RETRIES_DEFAULT,
            queue_timeout: None,
        }
    }
}

/// A job that was read, and can be given.
#[derive(Debug)]
pub struct Parcel {
    packed: Packed,
    task: Option<u32>,
}

impl Parcel {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.packed.job.job
    }

    /// What it reads, in the order it is listed: names there, and digests.
    #[must_use]
    pub fn inputs(&self) -> Vec<(String, Digest)> {
        self.packed.job.files.iter().map(|file| (file.path.to_string(), file.digest)).collect()
    }

    /// The name of all that its result depends on: program, arguments, variables and the bytes of every file. Where it runs and
    /// what it may use are no part of that.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        let SubmitJob { program, args, env, files, directories, mounts, .. } = &self.packed.job;
        let program = match program {
            JobProgram::Wasm { digest, name, .. } => (Some(*digest), name.as_str(), ""),
            JobProgram::Script { environment, entry, .. } => (None, entry.as_str(), environment.as_str()),
            JobProgram::Session { environment, .. } => (None, "", environment.as_str()),
        };
        Digest::of(&encode(&(program, args, env, files, directories, mounts)))
    }

    /// Roughly the bytes it takes in what the daemon is told; those of one [`Client::give`] come to
    /// [`PARCELS_WEIGHT_MAX`] at most.
    #[must_use]
    pub fn weight(&self) -> usize {
        encode(&self.packed.job).len() + PARCEL_WEIGHT + self.packed.sources.len() * SOURCE_WEIGHT
    }

    /// What would be sent, with sizes: every file once, by the name it has there.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let job = &self.packed.job;
        let carried = job.mounts.iter().flat_map(|mount| {
            mount.files.iter().map(move |file| (format!("{}/{}", mount.guest, file.path), file.size))
        });
        let program = match &job.program {
            JobProgram::Wasm { name, size, .. } => Some((name.clone(), *size)),
            _ => None,
        };
        program
            .into_iter()
            .chain(job.files.iter().map(|file| (file.path.to_string(), file.size)))
            .chain(carried)
            .collect()
    }
}

/// What is heard of jobs.
#[derive(Debug)]
pub enum HomeEvent {
    /// How a job stands.
    Job(JobNow),
    /// What follows is what this run said, from its beginning.
    Says(RunSays),
    /// What its machine does before the guest starts.
    Stage(Stage),
    /// The guest has started.
    Started,
    /// When what follows was said, in milliseconds since 1970.
    Time(u64),
    /// The guest said something.
    Output {
        /// Where.
        stream: OutputStream,
        /// What.
        bytes: Bytes,
    },
    /// A file came back and lies under the directory that was named.
    File {
        /// Its place there.
        path: GuestPath,
        /// Its bytes.
        size: u64,
        /// The digest of its content.
        digest: Digest,
    },
    /// The run has ended; the job's end comes with the next [`HomeEvent::Job`].
    RunEnded(Ended),
    /// The run could not be.
    RunFailed(Fault),
}

/// Follows jobs of this home.
pub struct Following {
    /// Its writing end says, by being open, that somebody listens.
    stream: FrameStream,
    /// Where output files go; without it they are passed over.
    outputs: Option<OutputsDir>,
    arriving: Option<ArrivingFile>,
    /// Whether anything was heard; a fault before that is about the request.
    begun: bool,
}

impl Client {
    /// Reads a job that is to be given to the home: under this id, or a new one.
    ///
    /// # Errors
    /// [`SubmitError`] for what is wrong with it.
    pub async fn parcel(
        &self,
        submission: Submission,
        id: Option<JobId>,
        task: Option<u32>,
    ) -> Result<Parcel, SubmitError> {
        let id = id.map_or_else(super::new_job_id, Ok)?;
        let mut packed = super::read(submission, id, MountsBy::Content).await?;
        // Whoever comes back wants what it made.
        packed.job.outputs = true;
        packed.job.stdin = false;
        Ok(Parcel { packed, task })
    }

    /// A job as it was given before, under a new id. Its inputs are those that the daemon still has. Blocks.
    ///
    /// # Errors
    /// [`ClientError::Failed`] when nobody knows what it asked for.
    pub fn parcel_again(&self, records: &JobStore, job: JobId) -> Result<Parcel, ClientError> {
        let unreadable = |source| ClientError::local("cannot read what the job asked for", source);
        let bytes = records.request(job, Role::Sent).map_err(unreadable)?;
        let Some(bytes) = bytes else {
            let why = "what the job asked for is not known; that is kept of jobs that were given with `potluck run -d` or `map`";
            return Err(ClientError::Failed(why.to_owned()));
        };
        let mut submit: SubmitJob = versioned(&bytes).map_err(ClientError::Failed)?;
        submit.job = super::new_job_id().map_err(|error| ClientError::Failed(error.to_string()))?;
        Ok(Parcel { packed: Packed { job: submit, sources: HashMap::new() }, task: None })
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
            on: wish.on.iter().map(|name| find(name)).collect::<Result<_, _>>()?,
            prefer: all(&wish.prefer)?,
            avoid: all(&wish.avoid)?,
        })
    }

    /// Gives jobs to this machine's daemon, all or none; at most [`GIVEN_MAX`](crate::wire::GIVEN_MAX). When this returns
    /// they survive whatever becomes of anybody. The same jobs may be given again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn give(
        &self,
        batch: Option<BatchSpec>,
        parcels: Vec<Parcel>,
        wish: &Wish,
        requirements: &Requirements,
    ) -> Result<(), ClientError> {
        let mut sources = HashMap::new();
        let mut jobs = Vec::new();
        for Parcel { packed, task } in parcels {
            sources.extend(packed.sources);
            jobs.push(GivenJob {
                submit: packed.job,
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
        stream.reader.expect(Tag::DONE).await.map(drop).map_err(|error| match error {
            FrameError::Fault(fault) => ClientError::Refused(fault),
            error => ClientError::DaemonSilent { source: Box::new(error) },
        })
    }

    /// The jobs of this home that have not ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn home_jobs(&self) -> Result<HomeJobs, ClientError> {
        if !self.daemon_runs() {
            return Ok(HomeJobs::default());
        }
        decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_HOME), Tag::HOME_IS).await?)
    }

    /// Follows a job; its files are brought to `outputs`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow(&self, which: FollowJob, outputs: Option<PathBuf>) -> Result<Following, ClientError> {
        self.following(Frame::message(Tag::OWNER_FOLLOW, &which), outputs).await
    }

    /// Follows a map.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow_map(&self, which: FollowMap) -> Result<Following, ClientError> {
        self.following(Frame::message(Tag::OWNER_FOLLOW_MAP, &which), None).await
    }

    async fn following(&self, request: Frame, outputs: Option<PathBuf>) -> Result<Following, ClientError> {
        let stream = open_request(self, request).await?;
        let outputs = outputs.map(outputs_at);
        Ok(Following { stream, outputs, arriving: None, begun: false })
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

/// The home has counted already what a machine may send back.
fn outputs_at(dir: PathBuf) -> OutputsDir {
    OutputsDir::new(dir, u64::MAX)
}

impl Following {
    /// From now on files are brought there.
    pub fn bring_to(&mut self, dir: PathBuf) {
        self.outputs = Some(outputs_at(dir));
    }

    /// From now on files are passed over.
    pub fn bring_nothing(&mut self) {
        self.outputs = None;
    }

    /// What is heard next; nothing when all was said. Safe to cancel.
    ///
    /// # Errors
    /// [`ClientError`] when the daemon goes away, or a file cannot be written.
    pub async fn next(&mut self) -> Result<Option<HomeEvent>, ClientError> {
        loop {
            let frame = match self.stream.reader.next().await {
                Ok(Some(frame)) if frame.tag == Tag::DONE => return Ok(None),
                Ok(Some(frame)) if frame.tag == Tag::FAULT && !self.begun => {
                    return Err(ClientError::Refused(decoded(&frame)?));
                }
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(error) => return Err(ClientError::DaemonSilent { source: Box::new(error) }),
            };
            self.begun = true;
            if let Some(event) = self.take(&frame)? {
                return Ok(Some(event));
            }
        }
    }

    fn take(&mut self, frame: &Frame) -> Result<Option<HomeEvent>, ClientError> {
        let event = match frame.tag {
            Tag::JOB_IS => HomeEvent::Job(decoded(frame)?),
            Tag::RUN_SAYS => {
                self.arriving = None;
                HomeEvent::Says(decoded(frame)?)
            }
            Tag::STAGE => HomeEvent::Stage(decoded(frame)?),
            Tag::STARTED => HomeEvent::Started,
            Tag::TIME => HomeEvent::Time(decoded::<Time>(frame)?.unix_ms),
            Tag::STDOUT => HomeEvent::Output { stream: OutputStream::Stdout, bytes: frame.payload.clone() },
            Tag::STDERR => HomeEvent::Output { stream: OutputStream::Stderr, bytes: frame.payload.clone() },
            Tag::OUTPUT_FILE => return self.begin_file(decoded(frame)?),
            Tag::DATA => return self.file_bytes(&frame.payload),
            Tag::ENDED => HomeEvent::RunEnded(decoded(frame)?),
            // A fault of the run stands between its words; one of the request is the first of all.
            Tag::FAULT => HomeEvent::RunFailed(decoded(frame)?),
            tag => {
                let error = FrameError::Unexpected { got: tag, wanted: Tag::JOB_IS };
                return Err(ClientError::DaemonSilent { source: Box::new(error) });
            }
        };
        Ok(Some(event))
    }

    fn begin_file(&mut self, head: OutputFile) -> Result<Option<HomeEvent>, ClientError> {
        let Some(outputs) = &mut self.outputs else { return Ok(None) };
        self.arriving = Some(outputs.begin(head).map_err(not_written)?);
        self.finish_file_when_whole()
    }

    fn file_bytes(&mut self, bytes: &[u8]) -> Result<Option<HomeEvent>, ClientError> {
        match &mut self.arriving {
            Some(arriving) => {
                arriving.write(bytes).map_err(not_written)?;
                self.finish_file_when_whole()
            }
            None => Ok(None),
        }
    }

    fn finish_file_when_whole(&mut self) -> Result<Option<HomeEvent>, ClientError> {
        match self.arriving.take() {
            Some(arriving) if arriving.left() == 0 => {
                let OutputFile { path, size, digest, .. } = arriving.finish().map_err(not_written)?;
                Ok(Some(HomeEvent::File { path, size, digest }))
            }
            unfinished => {
                self.arriving = unfinished;
                Ok(None)
            }
        }
    }
}

fn not_written(error: SubmitError) -> ClientError {
    ClientError::Failed(error.to_string())
}
