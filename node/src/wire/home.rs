//! Jobs that are given to this machine's daemon, their home, by its owner: asked for, followed, cancelled. A job that was
//! given is accepted when the answer comes, and the same job may be given again.

use super::message::{JobId, OwnerSource, SubmitJob};
use crate::state::home::end::End;
use crate::state::home::reasons::Line;
use crate::state::home::rehearsal::Rehearsal;
use crate::state::home::spec::{BatchId, BatchSpec, Input, JobSpec, Kind, Priority, Submitter};
use crate::state::needs::Requirements;
use crate::state::now::Wall;
use potluck_runtime::{GuestProgress, at_most};
use serde::{Deserialize, Serialize};

/// Jobs in one `OWNER_GIVE`, tasks in one answer.
pub const GIVEN_MAX: usize = 1024;
/// Jobs in one `OWNER_CANCEL_JOBS`.
pub const CANCELLED_MAX: usize = 65_536;
/// Jobs in one `HOME_IS`.
pub const HOME_JOBS_MAX: usize = 4096;
/// Lines of `WHY_IS`: machines of a group, and this one.
pub const WHY_LINES_MAX: usize = 4096;

/// `OWNER_GIVE`: take these jobs, all or none. Answered by `DONE` once they survive whatever happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveJobs {
    /// The map they are of.
    pub batch: Option<BatchSpec>,
    /// The jobs.
    #[serde(deserialize_with = "at_most::<GIVEN_MAX, _, _>")]
    pub jobs: Vec<GivenJob>,
    /// Where their blobs lie on this machine; they are copied before the answer.
    #[serde(deserialize_with = "at_most::<{ super::bounds::BLOBS_MAX }, _, _>")]
    pub sources: Vec<OwnerSource>,
}

/// A job and what its home needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenJob {
    /// What is run.
    pub submit: SubmitJob,
    /// Whose it is, among those who share this home.
    pub submitter: String,
    /// Its place among its submitter's jobs.
    pub priority: Priority,
    /// What the machine must have and should have.
    pub requirements: Requirements,
    /// Runs after the first that it may have when machines vanish with it.
    pub retries: u32,
    /// How long it may wait for a machine that fits, in milliseconds.
    pub queue_timeout_ms: Option<u64>,
    /// Its number in its map.
    pub task: Option<u32>,
}

/// `OWNER_FOLLOW`: how a job stands, now and whenever that changes, until it has ended: `JOB_IS`, and where it is wanted
/// what it says: `RUN_SAYS`, and then the frames of that run. After the `JOB_IS` of its end nothing follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowJob {
    /// Which.
    pub job: JobId,
    /// Whether what it says is wanted; without, the answer has no frames of runs.
    pub output: bool,
    /// Whether the answer ends with what there is by now.
    pub now: bool,
}

/// `OWNER_FOLLOW_MAP`: every job of a map that has ended, in the order in which they did, and then those that end:
/// the frames of its run after a `RUN_SAYS` where they are wanted, and then `JOB_IS`. Goes on until the asker leaves, which
/// knows how many jobs it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowMap {
    /// Which.
    pub batch: BatchId,
    /// Whether what they said is wanted.
    pub output: bool,
}

/// `OWNER_CANCEL_JOBS`: nobody wants these any more. Answered by `DONE`, also for what has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelJobs {
    /// Which.
    #[serde(deserialize_with = "at_most::<CANCELLED_MAX, _, _>")]
    pub jobs: Vec<JobId>,
    /// A whole map.
    pub batch: Option<BatchId>,
    /// Whether guests that run are ended at once, and not asked first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

/// `OWNER_WHY`: why a job is not where it could be. Answered by `WHY_IS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskWhy {
    /// Which.
    pub job: JobId,
}

/// `OWNER_REHEARSE`: where a job would go now, were it given. Answered by `REHEARSED_IS`; nothing else comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearseJob {
    /// What the machine must have and should have.
    pub requirements: Requirements,
    /// What else decides whether a machine takes it.
    #[serde(default)]
    pub kind: Kind,
    /// What it reads, program included.
    #[serde(deserialize_with = "at_most::<{ super::bounds::BLOBS_MAX }, _, _>")]
    pub inputs: Vec<Input>,
}

impl RehearseJob {
    /// The job as it would be given; no job has its id.
    #[must_use]
    pub(crate) fn spec(self, now_ms: u64) -> JobSpec {
        JobSpec {
            id: JobId([0; 16]),
            submitter: Submitter::named(""),
            batch: None,
            priority: Priority::default(),
            requirements: self.requirements.into(),
            kind: self.kind,
            inputs: self.inputs.into(),
            retries: 0,
            queue_timeout_ms: None,
            wall_ms: None,
            submitted: Wall(now_ms),
        }
    }
}

/// `OWNER_HOME`: the jobs of this home that have not ended. Answered by one `HOME_IS` or more, and `DONE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskHome {
    /// How many of them are listed at most: those first that machines have.
    pub jobs_max: u64,
}

/// `HOME_IS`: jobs of this home that have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeJobs {
    /// Those that machines have, and then those that wait; the next of them in the next answer.
    #[serde(deserialize_with = "at_most::<HOME_JOBS_MAX, _, _>")]
    pub jobs: Vec<JobNow>,
    /// How many there are in all.
    pub count: u64,
    /// How many of them wait.
    pub waiting: u64,
}

/// `JOB_IS`: how a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNow {
    /// Which.
    pub job: JobId,
    /// The map it is of.
    #[serde(default)]
    pub map: Option<BatchId>,
    /// Its number in its map.
    pub task: Option<u32>,
    /// How far it is.
    pub at: JobAt,
    /// The label of the machine that has it, or ran it last.
    pub place: Option<String>,
    /// Which of its runs that is.
    pub attempt: u32,
    /// What its run has said last of how far it is; only where jobs are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<GuestProgress>,
    /// Bytes of the checkpoint that its next run would go on from; only where jobs are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
}

impl JobAt {
    /// Whether nothing more becomes of it.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobAt {
    /// It waits; again, if there is a reason.
    Waits(Option<String>),
    /// A machine has it.
    Sent,
    /// Its guest runs.
    Runs,
    /// It has ended.
    Ended(End),
}

/// `RUN_SAYS`: the frames that follow are what this run said, from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSays {
    /// Of which job.
    pub job: JobId,
    /// Which of its runs.
    pub attempt: u32,
}

/// `WHY_IS`: one line for each machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyLines {
    /// The lines; none for a job that has ended.
    #[serde(deserialize_with = "at_most::<WHY_LINES_MAX, _, _>")]
    pub lines: Vec<WhyLine>,
}

/// What one machine is to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyLine {
    /// Its label.
    pub name: String,
    /// The one reason that decides.
    pub reason: String,
    /// What would change it.
    pub change: Option<String>,
}

impl From<Line> for WhyLine {
    fn from(line: Line) -> Self {
        Self { reason: line.reason.to_string(), change: line.reason.change(), name: line.name }
    }
}

/// `REHEARSED_IS`: where a job would go now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// The label of the machine; none when no machine would take it now, and it would wait.
    pub place: Option<String>,
    /// The machines that would not take it now.
    #[serde(deserialize_with = "at_most::<WHY_LINES_MAX, _, _>")]
    pub lines: Vec<WhyLine>,
}

impl From<Rehearsal> for Rehearsed {
    fn from(rehearsal: Rehearsal) -> Self {
        Self { place: rehearsal.goes_to, lines: rehearsal.lines.into_iter().map(WhyLine::from).collect() }
    }
}
