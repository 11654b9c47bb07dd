//! How many jobs run at once. Peers' jobs wait for a place, a bounded number of them; the owner's never wait, and all
//! are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, watch};

/// Jobs of peers that may wait for a place. Each holds one stream and one decoded description (up to 16 MiB).
const WAITING_MAX: u32 = 16;

/// Counts jobs and makes peers' jobs wait.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    waiting: AtomicU32,
    present: watch::Sender<u32>,
}

/// A job that is here; while this lives it counts as running.
pub(super) struct Place<'a> {
    gate: &'a Gate,
    _permit: Option<OwnedSemaphorePermit>,
}

/// A job that waits.
pub(super) struct Waiting<'a> {
    gate: &'a Gate,
    /// How many wait already.
    pub(super) ahead: u32,
}

/// As many jobs wait as may.
#[derive(Debug)]
pub(super) struct Full;

impl Gate {
    /// A gate with `places` for jobs of peers.
    pub(super) fn new(places: u32) -> Self {
        let places = Arc::new(Semaphore::new(places as usize));
        Self { places, waiting: AtomicU32::new(0), present: watch::Sender::new(0) }
    }

    /// A place without waiting, whatever else runs.
    pub(super) fn enter(&self) -> Place<'_> {
        self.place(None)
    }

    /// A place, or the right to wait for one.
    pub(super) fn try_enter(&self) -> Result<Place<'_>, Result<Waiting<'_>, Full>> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => Ok(self.place(Some(permit))),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
                let waiting = Waiting { gate: self, ahead };
                Err(if ahead < WAITING_MAX { Ok(waiting) } else { Err(Full) })
            }
        }
    }

    /// Jobs that are here now.
    pub(super) fn running(&self) -> u32 {
        *self.present.borrow()
    }

    /// Waits until no job is here.
    pub(super) async fn empty(&self) {
        // The sender lives in `self`, so this cannot fail while we borrow it.
        let _ = self.present.subscribe().wait_for(|present| *present == 0).await;
    }

    fn place(&self, permit: Option<OwnedSemaphorePermit>) -> Place<'_> {
        self.present.send_modify(|present| *present += 1);
        Place { gate: self, _permit: permit }
    }
}

impl<'a> Waiting<'a> {
    /// Waits for a place; places are given in the order they were asked for.
    pub(super) async fn place(self) -> Place<'a> {
        let gate = self.gate;
        let permit = Arc::clone(&gate.places).acquire_owned().await.ok();
        gate.place(permit)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.present.send_modify(|present| *present -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bounded_number_waits_and_the_first_to_leave_lets_the_first_in() {
        let gate = Gate::new(1);
        let first = gate.try_enter().ok().unwrap();
        let mut waiting: Vec<Waiting<'_>> =
            (0..WAITING_MAX).map(|_| gate.try_enter().err().unwrap().unwrap()).collect();
        assert!(matches!(gate.try_enter(), Err(Err(Full))));
        let owner = gate.enter();
        assert_eq!(gate.running(), 2);
        drop((first, owner));
        let second = waiting.remove(0).place().await;
        assert_eq!(gate.running(), 1);
        drop(waiting);
        drop(second);
        gate.empty().await;
        assert!(gate.try_enter().is_ok());
    }
}
