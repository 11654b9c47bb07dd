//! Which jobs can be stopped. A cancellation comes on a stream of its own, so that it never waits behind stdin that the
//! guest does not read; only whoever submitted a job finds it here.

use crate::identity::NodeId;
use crate::wire::JobId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// The jobs that are here, by who submitted them.
#[derive(Default)]
pub(super) struct Cancellations {
    jobs: Mutex<HashMap<(NodeId, JobId), CancellationToken>>,
}

/// A job that can be stopped for as long as this lives.
pub(super) struct Cancellable<'a> {
    all: &'a Cancellations,
    key: (NodeId, JobId),
    token: CancellationToken,
}

impl Cancellations {
    /// Makes a job known; nothing if the caller has one of this id here already.
    pub(super) fn register(&self, caller: NodeId, job: JobId) -> Option<Cancellable<'_>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Vacant(place) = jobs.entry((caller, job)) else { return None };
        let token = place.insert(CancellationToken::new()).clone();
        Some(Cancellable { all: self, key: (caller, job), token })
    }

    /// Cancels a job; false if the caller has none of this id here.
    pub(super) fn cancel(&self, caller: NodeId, job: JobId) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(&(caller, job)).map(CancellationToken::cancel).is_some()
    }
}

impl Cancellable<'_> {
    /// What is cancelled with the job.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for Cancellable<'_> {
    fn drop(&mut self) {
        self.all.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_cancelled_by_its_submitter_alone_and_only_while_it_is_here() {
        let all = Cancellations::default();
        let (ann, ben, job) = (NodeId::from_bytes([1; 32]), NodeId::from_bytes([2; 32]), JobId([3; 16]));
        let here = all.register(ann, job).unwrap();
        assert!(all.register(ann, job).is_none());
        assert!(!all.cancel(ben, job) && !here.token().is_cancelled());
        assert!(all.cancel(ann, job) && here.token().is_cancelled());
        drop(here);
        assert!(!all.cancel(ann, job));
    }
}
