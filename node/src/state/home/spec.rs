//! A job as its home is given it: all that deciding about it needs, and nothing of what it computes.

use crate::state::needs::Requirements;
use crate::state::now::Wall;
use crate::wire::JobId;
use potluck_runtime::Digest;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Runs after the first that a job may have when machines vanish with it, unless it says otherwise.
pub const RETRIES_DEFAULT: u32 = 2;

/// Characters of a submitter's name at most.
const SUBMITTER_LEN_MAX: usize = 64;

/// Who shares this home with others: a user of this machine, a face, a script that says who it is. Only equality counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Submitter(#[serde(with = "super::shared")] Arc<str>);

impl Submitter {
    /// Whoever has this name; of a longer one the beginning.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.chars().take(SUBMITTER_LEN_MAX).collect::<String>().into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Which of one submitter's jobs goes first: the greater number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(pub i8);

/// A map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(pub JobId);

/// What holds for all jobs of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSpec {
    /// Which.
    pub id: BatchId,
    /// How many of its jobs may be with machines at once.
    pub jobs_max: Option<u32>,
    /// What becomes of the others when one fails.
    pub on_failure: OnFailure,
}

/// What becomes of a map when one of its jobs fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The others go on.
    KeepGoing,
    /// Those that wait are cancelled; those that run go on.
    StopTheRest,
}

/// Bytes a job needs where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Their name.
    pub digest: Digest,
    /// How many.
    pub size: u64,
}

/// What else than its requirements decides whether a machine ever takes a job: its environment, the features it names and the
/// memory it asks for. Jobs of one kind are refused by the same machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kind(Option<Digest>);

impl Kind {
    /// The kind of what asks for this.
    #[must_use]
    pub fn of(environment: Option<&str>, features: &[String], memory_bytes: u64) -> Self {
        let mut features: Vec<&str> = features.iter().map(String::as_str).collect();
        features.sort_unstable();
        Self(Some(Digest::of(format!("{environment:?} {features:?} {memory_bytes}").as_bytes())))
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its id, chosen by its submitter.
    pub id: JobId,
    /// Whose it is.
    pub submitter: Submitter,
    /// The map it is of.
    pub batch: Option<BatchId>,
    /// Its place among its submitter's jobs.
    pub priority: Priority,
    /// What the machine must have and should have.
    #[serde(with = "super::shared")]
    pub requirements: Arc<Requirements>,
    /// What else decides whether a machine takes it.
    #[serde(default)]
    pub kind: Kind,
    /// What it reads, program included.
    #[serde(with = "super::shared")]
    pub inputs: Arc<[Input]>,
    /// How many more runs it may have when machines vanish with it.
    pub retries: u32,
    /// How long it may wait for a machine that fits, each time it waits.
    pub queue_timeout_ms: Option<u64>,
    /// How long a run of it may take by its limits, in milliseconds; nothing where that was not yet written down.
    #[serde(default)]
    pub wall_ms: Option<u64>,
    /// When it was accepted.
    pub submitted: Wall,
}
