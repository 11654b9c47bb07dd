//! The words between a home's scheduler and whoever performs what it decides: what happened, what is to be done, and what
//! is to be written down before that.

use super::end::End;
pub use super::refusal::Refusal;
use super::run::{Over, RunId};
use super::spec::{BatchId, BatchSpec, Input, JobSpec};
use crate::state::now::{Mono, Wall};
use crate::state::placement::Place;
use crate::state::placement::machine::MachineFacts;
use crate::wire::JobId;
use potluck_runtime::Outcome;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What happened. This machine is one of the runners: it is `Seen` and `Reached` when the node starts, as peers are when they
/// come.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody gives jobs to this home: one, or many of one map. All of them are accepted or none; a map may come in
    /// several parts. Whoever performs has looked whether a job of this id has ended already, and has answered then.
    Submitted {
        /// The map they belong to.
        batch: Option<BatchSpec>,
        /// The jobs.
        jobs: Vec<JobSpec>,
    },
    /// Whoever submitted it wants no more of it.
    Cancelled {
        /// Which.
        job: JobId,
        /// How.
        how: Cancel,
    },
    /// Nobody wants any more of a whole map.
    BatchCancelled {
        /// Which.
        batch: BatchId,
        /// How.
        how: Cancel,
    },
    /// A machine is known, or says something new of itself. It was heard from.
    Seen {
        /// What is known of it.
        facts: MachineFacts,
    },
    /// A machine can be reached, or can be again: whatever it was doing for us is asked for.
    Reached {
        /// Which.
        place: Place,
    },
    /// A machine cannot be reached. Its runs are given time to be heard of again.
    Gone {
        /// Which.
        place: Place,
    },
    /// A machine is no peer any more: nothing of it is waited for.
    Removed {
        /// Which.
        place: Place,
    },
    /// Something of a machine was heard that says it lives: output, progress, an answer.
    Heard {
        /// Which.
        place: Place,
    },
    /// It has the run, and keeps it whatever becomes of the connection.
    RunAccepted {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
    },
    /// It has started its guest.
    RunStarted {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
    },
    /// It does not take the run, or not now, or has given it back before it started.
    RunRefused {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
        /// Why.
        why: Refusal,
    },
    /// A run has ended, and its output and files are here and synced.
    RunEnded {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
        /// How.
        outcome: Outcome,
        /// How long its guest ran, in milliseconds.
        wall_ms: u64,
        /// Fuel it used.
        fuel: u64,
    },
    /// The runner cannot say how it ended: its node, or its worker, went down with it.
    RunLost {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
        /// What is known of why.
        why: String,
    },
    /// The owner of the runner took the machine back.
    RunEvicted {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
        /// When to ask again, in milliseconds.
        retry_after_ms: u64,
    },
    /// A run has given a checkpoint, whose bytes are here and synced; or forgets those it gave.
    Checkpointed {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
        /// Its bytes.
        checkpoint: Option<Input>,
    },
    /// All that a machine keeps for this home, as it answers to [`Effect::Attach`].
    Inventory {
        /// Where.
        place: Place,
        /// The question it answers.
        ask: u64,
        /// Every run of this home there.
        runs: Vec<(RunId, Kept)>,
    },
    /// The owner of this machine wants it to themself (`true`), or lends it again to the jobs of this home.
    Paused {
        /// Whether.
        paused: bool,
    },
    /// The time has come that [`Effect::WakeAt`] asked for, or any other.
    Tick,
}

/// How jobs are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// A guest that runs is asked to end, and ended when it does not, or when this is said a second time.
    Ask,
    /// At once.
    Now,
}

/// What a runner says of a run it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kept {
    /// It waits for a place there.
    Waiting,
    /// Its guest runs.
    Running,
    /// It has ended; its outcome and output lie there until they are released.
    Ended,
    /// Its owner took the machine back while it ran.
    Evicted,
    /// It was running when its node went down.
    Lost,
}

/// What is to be done, in this order. Records may be written together and earlier than they stand, never later: whatever
/// follows one promises what it says.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write this down, and sync, before what follows.
    Persist(Record),
    /// Tell the submitter that these are accepted.
    Accepted {
        /// Which.
        jobs: Vec<JobId>,
    },
    /// Tell the submitter that none of these is, and why.
    NotAccepted {
        /// Which.
        jobs: Vec<JobId>,
        /// A sentence with the cure.
        why: String,
    },
    /// Give a run to a machine. May be said again: the runner takes it once.
    Start {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
        /// The checkpoint it goes on from.
        restore: Option<Input>,
    },
    /// Ask a machine for all it keeps for this home ([`Event::Inventory`]).
    Attach {
        /// Which.
        place: Place,
        /// Which question this is; an answer to an earlier one says nothing of what was asked of it since.
        ask: u64,
    },
    /// Fetch output, files and outcome of an ended run ([`Event::RunEnded`] once they are here). May be said while it is
    /// under way.
    Collect {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
    },
    /// Ask a run back, if it has not started.
    Withdraw {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
    },
    /// Ask a run's guest to end by itself.
    AskToEnd {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
    },
    /// Nothing more is wanted of a run: what it does stops, what is kept of it goes. May be said again.
    Release {
        /// Where.
        place: Place,
        /// Which.
        run: RunId,
    },
    /// Tell whoever follows a job.
    Tell {
        /// Which.
        job: JobId,
        /// What.
        news: News,
    },
    /// Send [`Event::Tick`] then, at the latest. Only the last of these counts.
    WakeAt(Mono),
}

impl Effect {
    /// The job it is about, if it is one.
    #[must_use]
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Start { run, .. }
            | Self::Collect { run, .. }
            | Self::Withdraw { run, .. }
            | Self::AskToEnd { run, .. }
            | Self::Release { run, .. } => Some(run.job),
            Self::Tell { job, .. } => Some(*job),
            Self::Persist(_)
            | Self::Accepted { .. }
            | Self::NotAccepted { .. }
            | Self::Attach { .. }
            | Self::WakeAt(_) => None,
        }
    }
}

/// What those who follow a job are told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A machine has it.
    Sent {
        /// Which.
        place: Place,
        /// As which run; a second is not the first.
        run: RunId,
    },
    /// Its guest runs.
    Started {
        /// Where.
        place: Place,
        /// As which run.
        run: RunId,
    },
    /// It waits again, because of this.
    WaitsAgain(String),
    /// It has ended.
    Ended(End),
}

/// What is written down. Folded in their order, they are all that a home knows after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A map.
    Batch(BatchSpec),
    /// A job is accepted.
    Job(#[serde(with = "super::shared")] Arc<JobSpec>),
    /// A run is about to be given to a machine.
    Run {
        /// Which.
        run: RunId,
        /// Where.
        place: Place,
        /// Whether it is a second one beside a first that is slow.
        race: bool,
    },
    /// A job goes on from there when it is run again; from its beginning where there is nothing.
    Checkpointed {
        /// The run that gave it.
        run: RunId,
        /// Its bytes.
        checkpoint: Option<Input>,
    },
    /// A run is over without the job being so.
    RunOver {
        /// Which.
        run: RunId,
        /// How.
        over: Over,
    },
    /// Nobody wants a job any more, and its guest is asked to end.
    Ending {
        /// Which.
        job: JobId,
    },
    /// A job has ended.
    End {
        /// Which.
        job: JobId,
        /// How.
        end: End,
        /// The run whose output counts, and where it was.
        winner: Option<(RunId, Place)>,
        /// When.
        at: Wall,
    },
}
