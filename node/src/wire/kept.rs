//! Runs that are kept: asked for by a home, done by a runner whatever becomes of the connection, and kept there until the
//! home has what they left. Every request may be said again, and is answered the same.

use super::message::{JobId, SubmitJob};
use crate::state::home::run::RunId;
use crate::state::home::spec::Input;
use crate::state::home::words::Kept;
use crate::state::runs::RUNS_PER_HOME_MAX;
use potluck_runtime::at_most;
use serde::{Deserialize, Serialize};

/// `RUN_KEEP`: run this, and keep what it leaves until it is released. Answered by `NEED`; once what is needed has come by
/// `RUN_KEPT`, which is a promise; and then as `RUN_COLLECT` from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRun {
    /// Which attempt at the job; the first is 1.
    pub attempt: u32,
    /// The job, without stdin.
    pub submit: SubmitJob,
    /// The checkpoint it goes on from: one more blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Input>,
}

/// `RUN_RELEASE`: nothing more is wanted of this run; what it does stops, what is kept of it goes.
/// `RUN_WITHDRAW`: give it back, if it has not started.
/// `RUN_END`: ask its guest to end, and end it when it does not; what has not started is given back. Answered by `RUN_IS` or
/// `RUN_REFUSED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhichRun {
    /// Of which job.
    pub job: JobId,
    /// Which attempt.
    pub attempt: u32,
}

/// `CHECKPOINT_IS`: the last checkpoint that the run has given, if it has and has not forgotten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointIs {
    /// Its bytes, which follow.
    pub checkpoint: Option<Input>,
}

/// `RUN_COLLECT`: what the run says, from this byte of its recording on, until it is over. The answer is the recording:
/// `STAGE`, `STARTED`, `TIME`, `STDOUT`, `STDERR`, `GUEST_SAYS` and `OUTPUT_FILE` frames, and at last `ENDED` or `FAULT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectRun {
    /// Which run.
    pub run: WhichRun,
    /// Bytes that the asker has already: a number of whole frames.
    pub from: u64,
}

/// `RUNS_ARE`: every run that is kept for the asker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunList {
    /// The runs.
    #[serde(deserialize_with = "at_most::<RUNS_PER_HOME_MAX, _, _>")]
    pub runs: Vec<RunState>,
}

/// `RUN_IS`: how far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Which.
    pub run: WhichRun,
    /// How far; none of one that is not kept here.
    pub kept: Option<Kept>,
}

/// `TIME`: when the frames that follow were said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Milliseconds since 1970, by the runner's clock.
    pub unix_ms: u64,
}

/// `RUN_REFUSED`: the run is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRefused {
    /// What of it.
    pub how: RefusedHow,
    /// A sentence: which rule, and what would change it.
    pub why: String,
}

/// What a refusal means for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedHow {
    /// Ask again after so long.
    NotNow {
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// Never here.
    NotHere,
    /// Nowhere: the job is none.
    Nowhere,
    /// It was asked back, or released, before.
    Withdrawn,
}

impl From<RunId> for WhichRun {
    fn from(run: RunId) -> Self {
        Self { job: run.job, attempt: run.attempt }
    }
}

impl From<WhichRun> for RunId {
    fn from(run: WhichRun) -> Self {
        Self { job: run.job, attempt: run.attempt }
    }
}
