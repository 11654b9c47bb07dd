//! A run as its home sees it: which attempt, where, how far it is, and how those ended that decided nothing.

use crate::state::now::Mono;
use crate::state::placement::Place;
use crate::wire::JobId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One attempt at a job. Its number is written down before it is used, so that no two runs ever have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId {
    /// Of which job.
    pub job: JobId,
    /// The first is 1.
    pub attempt: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.attempt)
    }
}

/// How a run was over that did not end its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// The machine was gone, or knew nothing of it: counts against the job's retries.
    Vanished,
    /// Its worker or its node went down with it: counts against them, and may be the job's own doing.
    Down,
    /// The machine did not take it, or gave it back before it started, or its owner took the machine back. Counts nothing.
    GivenBack,
    /// The machine never takes this job. Counts nothing, and it is not asked again.
    NotHere,
    /// The machine had taken it, and would not go on with it, without its owner having wanted that. Counts by itself
    /// ([`BROKEN_OFF_MAX`](super::BROKEN_OFF_MAX)).
    BrokenOff,
}

/// How far a live run is, as far as its home has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// The machine has been asked.
    Offered,
    /// It has it, and has not started it.
    Accepted,
    /// Its guest runs.
    Running,
}

/// A run that may still end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) attempt: u32,
    pub(super) place: Place,
    pub(super) progress: Progress,
    /// When it came to this progress.
    pub(super) since: Mono,
    /// How long it took the machine to accept it, once it has.
    pub(super) accepted_in_ms: u64,
    /// The machine is not heard from, and the job goes on as if it were not.
    pub(super) suspect: bool,
    /// It is beside a first that is slow.
    pub(super) race: bool,
    /// It has been asked back.
    pub(super) withdrawing: bool,
}

impl Run {
    /// It has come further.
    pub(super) fn comes_to(&mut self, progress: Progress, now: Mono) {
        // Of one that is heard of only when it runs, nobody knows how long it waited there.
        if (self.progress, progress) == (Progress::Offered, Progress::Accepted) {
            self.accepted_in_ms = now.since(self.since);
        }
        (self.progress, self.since) = (progress, now);
    }

    /// What it cost beside its time in the machine and its wait there, once its end has been heard: being written down at both
    /// ends, and the ways between.
    pub(super) fn turnaround_ms(&self, wall_ms: u64, now: Mono) -> Option<u64> {
        let end_ms = now.since(self.since).saturating_sub(wall_ms);
        (self.progress == Progress::Running).then(|| self.accepted_in_ms.saturating_add(end_ms))
    }
}
