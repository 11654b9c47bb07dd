//! How many jobs run at once. Peers' jobs wait for a place, within what each peer may have; the owner's never wait, and all
//! are counted. Who is next is decided by [`crate::state::queue`].

use crate::defaults::QUEUE_MAX;
use crate::identity::NodeId;
use crate::state::queue::{Entry, Queue, Turn};
use crate::state::quotas::{Allowance, QuotaHit};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// Counts jobs and makes peers' jobs wait.
pub(super) struct Gate {
    state: Mutex<State>,
    present: watch::Sender<u32>,
}

struct State {
    queue: Queue,
    /// What each peer with a job here may run at once, as it was when somebody last looked.
    jobs: HashMap<NodeId, u32>,
    /// Who is to be told that its turn has come.
    called: HashMap<Turn, oneshot::Sender<()>>,
}

/// A job that is here; while this lives it counts as running.
pub(super) struct Place<'a> {
    gate: &'a Gate,
    /// Whose it is if it is a peer's, and the memory it may ask for.
    peer: Option<(NodeId, u64)>,
}

/// A job that waits.
pub(super) struct Waiting<'a> {
    gate: &'a Gate,
    peer: NodeId,
    memory_bytes: u64,
    turn: Option<Turn>,
    call: oneshot::Receiver<()>,
    /// How many wait already.
    pub(super) ahead: u32,
}

impl Gate {
    /// A gate with `places` for jobs of peers.
    pub(super) fn new(places: u32) -> Self {
        let state = State { queue: Queue::new(places, QUEUE_MAX), jobs: HashMap::new(), called: HashMap::new() };
        Self { state: Mutex::new(state), present: watch::Sender::new(0) }
    }

    /// A place without waiting, whatever else runs.
    pub(super) fn enter(&self) -> Place<'_> {
        self.place(None)
    }

    /// A place for a peer that may ask for so much memory, or the right to wait for one.
    pub(super) fn try_enter(
        &self,
        peer: NodeId,
        allowance: &Allowance,
        memory_bytes: u64,
    ) -> Result<Place<'_>, Result<Waiting<'_>, QuotaHit>> {
        let mut state = self.state();
        state.jobs.insert(peer, allowance.jobs);
        match state.queue.enter(peer, allowance, memory_bytes) {
            Entry::Runs => {
                drop(state);
                Ok(self.place(Some((peer, memory_bytes))))
            }
            Entry::Waits(turn, ahead) => {
                let (caller, call) = oneshot::channel();
                state.called.insert(turn, caller);
                // Those before it may wait for what it does not need.
                state.call();
                Err(Ok(Waiting { gate: self, peer, memory_bytes, turn: Some(turn), call, ahead }))
            }
            Entry::Refused(hit) => Err(Err(hit)),
        }
    }

    /// Jobs that are here now.
    pub(super) fn running(&self) -> u32 {
        *self.present.borrow()
    }

    /// A peer's jobs that run and that wait.
    pub(super) fn of(&self, peer: &NodeId) -> (u32, u32) {
        let state = self.state();
        (state.queue.running_of(peer), state.queue.waiting_of(peer))
    }

    /// Every peer with a job here, some more than once.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.state().queue.peers().collect()
    }

    /// There are so many places from now on, and so much memory for all.
    pub(super) fn resize(&self, places: u32, memory_bytes: Option<u64>) {
        let mut state = self.state();
        state.queue.resize(places, memory_bytes);
        state.call();
    }

    /// Lets in whoever may now that peers may run other numbers of jobs.
    pub(super) fn allow(&self, jobs_of: impl Fn(&NodeId) -> u32) {
        let mut state = self.state();
        state.jobs.iter_mut().for_each(|(peer, jobs)| *jobs = jobs_of(peer));
        state.call();
    }

    /// Waits until no job is here.
    pub(super) async fn empty(&self) {
        // The sender lives in `self`, so this cannot fail while we borrow it.
        let _ = self.present.subscribe().wait_for(|present| *present == 0).await;
    }

    fn place(&self, peer: Option<(NodeId, u64)>) -> Place<'_> {
        self.present.send_modify(|present| *present += 1);
        Place { gate: self, peer }
    }

    fn leave(&self, peer: &NodeId, memory_bytes: u64) {
        let mut state = self.state();
        state.queue.leave(peer, memory_bytes);
        state.call();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives every place that is free to whoever is next.
    fn call(&mut self) {
        loop {
            let Self { queue, jobs, .. } = &mut *self;
            let Some(turn) = queue.next(|peer| jobs.get(peer).copied().unwrap_or(0)) else { break };
            if let Some(caller) = self.called.remove(&turn) {
                // Whoever does not listen any more gives the place back when it is dropped.
                let _ = caller.send(());
            }
        }
        let here: Vec<NodeId> = self.queue.peers().collect();
        self.jobs.retain(|peer, _| here.contains(peer));
    }
}

impl<'a> Waiting<'a> {
    /// Waits for a place.
    pub(super) async fn place(mut self) -> Place<'a> {
        // The caller is kept until it has called, so this cannot fail.
        let _ = (&mut self.call).await;
        self.turn = None;
        self.gate.place(Some((self.peer, self.memory_bytes)))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(turn) = self.turn else { return };
        let mut state = self.gate.state();
        state.called.remove(&turn);
        if !state.queue.give_up(turn) {
            // Its turn had come.
            state.queue.leave(&self.peer, self.memory_bytes);
            state.call();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.present.send_modify(|present| *present -= 1);
        if let Some((peer, memory_bytes)) = &self.peer {
            self.gate.leave(peer, *memory_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: NodeId = NodeId::from_bytes([1; 32]);
    const BOB: NodeId = NodeId::from_bytes([2; 32]);
    const ALLOWED: Allowance = Allowance { jobs: 1, queue: 2, stored_bytes: 0, fuel_per_day: 0 };

    #[tokio::test]
    async fn a_bounded_number_waits_and_the_first_to_leave_lets_the_first_in() {
        let gate = Gate::new(1);
        let first = gate.try_enter(ANN, &ALLOWED, 0).ok().unwrap();
        let mut waiting: Vec<_> = (0..2).map(|_| gate.try_enter(ANN, &ALLOWED, 0).err().unwrap().unwrap()).collect();
        assert!(matches!(gate.try_enter(ANN, &ALLOWED, 0), Err(Err(QuotaHit::Queue { used: 2, allowed: 2 }))));
        let owner = gate.enter();
        assert_eq!((gate.running(), gate.of(&ANN)), (2, (1, 2)));
        drop((first, owner));
        let second = waiting.remove(0).place().await;
        assert_eq!(gate.running(), 1);
        drop(waiting);
        drop(second);
        gate.empty().await;
        assert!(gate.try_enter(ANN, &ALLOWED, 0).is_ok());
    }

    #[tokio::test]
    async fn whoever_goes_away_as_its_turn_comes_gives_the_place_on() {
        let gate = Gate::new(1);
        let first = gate.try_enter(ANN, &ALLOWED, 0).ok().unwrap();
        let called = gate.try_enter(ANN, &ALLOWED, 0).err().unwrap().unwrap();
        let next = gate.try_enter(BOB, &ALLOWED, 0).err().unwrap().unwrap();
        drop(first);
        drop(called);
        let place = next.place().await;
        assert_eq!((gate.of(&ANN), gate.of(&BOB)), ((0, 0), (1, 0)));
        drop(place);
        assert!(gate.peers().is_empty());
    }

    #[tokio::test]
    async fn a_quota_that_is_raised_lets_those_in_who_wait() {
        let gate = Gate::new(2);
        let _first = gate.try_enter(ANN, &ALLOWED, 0).ok().unwrap();
        let second = gate.try_enter(ANN, &ALLOWED, 0).err().unwrap().unwrap();
        gate.allow(|_| 2);
        let _second = second.place().await;
        assert_eq!(gate.of(&ANN), (2, 0));
    }
}
