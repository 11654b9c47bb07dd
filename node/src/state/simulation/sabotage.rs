//! What can be broken on purpose, at the seams where a real driver could break it, to see that it is found out.

use crate::state::home::words::{Effect, Record};
use crate::state::runs;

/// One way of breaking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// A run is given to a machine before it is written down.
    StartBeforePersist,
    /// A run is never written down.
    RunsNotPersisted,
    /// "Accepted" is said before the jobs are written down.
    AcceptBeforePersist,
    /// An end is told and never written down.
    EndNotPersisted,
    /// What lost a race, or is not wanted for another reason, is never released.
    NoRelease,
    /// A machine that says nothing is taken to be alive for ever.
    NoLease,
    /// Machines are never asked for what they keep.
    NoAttach,
    /// A runner says that it has a run before it writes that down.
    RunnerAcceptsBeforePersist,
    /// A runner begins the same run again when the request comes twice.
    RunnerForgetsRequests,
    /// A runner's owner is not heeded.
    PauseIgnored,
}

impl Sabotage {
    pub(super) const ALL: [Self; 10] = [
        Self::StartBeforePersist,
        Self::RunsNotPersisted,
        Self::AcceptBeforePersist,
        Self::EndNotPersisted,
        Self::NoRelease,
        Self::NoLease,
        Self::NoAttach,
        Self::RunnerAcceptsBeforePersist,
        Self::RunnerForgetsRequests,
        Self::PauseIgnored,
    ];

    /// What a home's driver makes of its effects.
    pub(super) fn of_home(self, effects: Vec<Effect>) -> Vec<Effect> {
        let is_run = |effect: &Effect| matches!(effect, Effect::Persist(Record::Run { .. }));
        let is_job = |effect: &Effect| matches!(effect, Effect::Persist(Record::Job(_)));
        match self {
            Self::StartBeforePersist => later(effects, is_run),
            Self::AcceptBeforePersist => later(effects, is_job),
            Self::RunsNotPersisted => without(effects, is_run),
            Self::EndNotPersisted => without(effects, |effect| matches!(effect, Effect::Persist(Record::End { .. }))),
            Self::NoRelease => without(effects, |effect| matches!(effect, Effect::Release { .. })),
            Self::NoAttach => without(effects, |effect| matches!(effect, Effect::Attach { .. })),
            Self::NoLease | Self::RunnerAcceptsBeforePersist | Self::RunnerForgetsRequests | Self::PauseIgnored => {
                effects
            }
        }
    }

    /// What a runner's driver makes of its effects.
    pub(super) fn of_runner(self, effects: Vec<runs::Effect>) -> Vec<runs::Effect> {
        match self {
            Self::RunnerAcceptsBeforePersist => {
                later(effects, |effect| matches!(effect, runs::Effect::Persist(runs::Record::Is { .. })))
            }
            _ => effects,
        }
    }
}

fn without<T>(effects: Vec<T>, out: impl Fn(&T) -> bool) -> Vec<T> {
    effects.into_iter().filter(|effect| !out(effect)).collect()
}

fn later<T>(effects: Vec<T>, last: impl Fn(&T) -> bool) -> Vec<T> {
    let (late, mut early): (Vec<T>, Vec<T>) = effects.into_iter().partition(last);
    early.extend(late);
    early
}
