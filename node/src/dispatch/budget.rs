//! How many bytes of requests each peer may have here at once, over all its links: a request is taken in whole before it is
//! understood, so that many long ones at once would fill the memory of a node that refuses each of them.

use crate::defaults::{REQUEST_BYTES_PER_PEER_MAX, REQUEST_TIMEOUT};
use crate::identity::NodeId;
use crate::wire::{Fault, FaultCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests up to this length are not counted: their streams are.
const FREE_LEN: usize = 4 << 10;

/// The budgets of all peers that have something here.
#[derive(Default)]
pub(crate) struct Budgets {
    peers: Mutex<HashMap<NodeId, Weak<Semaphore>>>,
}

/// What one request takes of its peer's budget, while this lives.
pub(crate) struct Taken {
    _budget: Option<(Arc<Semaphore>, OwnedSemaphorePermit)>,
}

impl Budgets {
    /// Room for a request of so many bytes, for which others of the same peer may have to be answered first.
    ///
    /// # Errors
    /// A refusal when that takes too long.
    pub(crate) async fn take(&self, peer: NodeId, len: usize) -> Result<Taken, Fault> {
        self.take_within(REQUEST_TIMEOUT, peer, len).await
    }

    async fn take_within(&self, patience: Duration, peer: NodeId, len: usize) -> Result<Taken, Fault> {
        if len <= FREE_LEN {
            return Ok(Taken { _budget: None });
        }
        let budget = self.of(peer);
        let bytes = u32::try_from(len).unwrap_or(u32::MAX).min(REQUEST_BYTES_PER_PEER_MAX);
        let waiting = tokio::time::timeout(patience, Arc::clone(&budget).acquire_many_owned(bytes));
        match waiting.await {
            Ok(Ok(permit)) => Ok(Taken { _budget: Some((budget, permit)) }),
            Ok(Err(_)) | Err(_) => Err(Fault::new(
                FaultCode::OVER_QUOTA,
                format!(
                    "quota of requests: one peer may have requests of {} MiB here at once, and yours take more; wait until \
                     some are answered",
                    REQUEST_BYTES_PER_PEER_MAX >> 20
                ),
            )),
        }
    }

    fn of(&self, peer: NodeId) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = peers.get(&peer).and_then(Weak::upgrade) {
            return budget;
        }
        peers.retain(|_, budget| budget.strong_count() > 0);
        let budget = Arc::new(Semaphore::new(REQUEST_BYTES_PER_PEER_MAX as usize));
        peers.insert(peer, Arc::downgrade(&budget));
        budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_waits_for_itself_and_for_no_other() {
        let (ann, bob) = (NodeId::from_bytes([1; 32]), NodeId::from_bytes([2; 32]));
        let budgets = Budgets::default();
        let whole = REQUEST_BYTES_PER_PEER_MAX as usize;
        let first = budgets.take(ann, whole).await.unwrap();
        assert_eq!(
            budgets.take_within(Duration::ZERO, ann, FREE_LEN + 1).await.err().unwrap().code,
            FaultCode::OVER_QUOTA
        );
        assert!(budgets.take(ann, FREE_LEN).await.is_ok());
        assert!(budgets.take(bob, whole).await.is_ok());
        drop(first);
        assert!(budgets.take(ann, whole).await.is_ok());
    }
}
