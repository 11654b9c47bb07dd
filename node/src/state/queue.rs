//! Who runs next. Jobs of peers wait for one of so many places; a free place goes to the peer that has the fewest, and
//! among those to who has waited longest, so that however many jobs one peer brings, another's is never behind more of
//! them than run. Whoever is next and asks for more memory than is left is waited for: nobody goes ahead, or large jobs would
//! wait for ever.

use crate::identity::NodeId;
use crate::state::quotas::{Allowance, QuotaHit};
use std::collections::{HashMap, VecDeque};

/// One that waits, or has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turn(u64);

/// What came of asking for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It runs.
    Runs,
    /// It waits behind so many.
    Waits(Turn, u32),
    /// It may not even wait.
    Refused(QuotaHit),
}

/// The places of a node, and who waits for them.
#[derive(Debug, Default)]
pub struct Queue {
    places: u32,
    /// Bytes that all who run may ask for together; nothing said is no bound.
    memory_bytes: Option<u64>,
    memory_taken: u64,
    running: HashMap<NodeId, u32>,
    waiting: VecDeque<(Turn, NodeId, u64)>,
    turns_given: u64,
    waiting_max: u32,
}

impl Queue {
    /// So many places, for which so many of all peers together may wait.
    #[must_use]
    pub fn new(places: u32, waiting_max: u32) -> Self {
        Self { places, waiting_max, ..Self::default() }
    }

    /// There are so many places from now on, and so much memory for all. What runs already is left to whoever ends it.
    pub fn resize(&mut self, places: u32, memory_bytes: Option<u64>) {
        (self.places, self.memory_bytes) = (places, memory_bytes);
    }

    /// A peer asks for a place, and for so much memory.
    pub fn enter(&mut self, peer: NodeId, allowance: &Allowance, memory_bytes: u64) -> Entry {
        let (used, all) = (self.waiting_of(&peer), count(self.waiting.len()));
        // Whoever waits already may have a place in a moment, but then this one's turn is not now either.
        // Where memory is short nobody goes ahead of whoever waits for it.
        let is_in_order = self.memory_bytes.is_none() || self.waiting.is_empty();
        let is_free = self.taken() < self.places && self.has_memory(memory_bytes) && is_in_order;
        if is_free && self.running_of(&peer) < allowance.jobs && used == 0 {
            self.run(peer, memory_bytes);
            return Entry::Runs;
        }
        let allowed = allowance.queue.min(self.waiting_max.saturating_sub(all).saturating_add(used));
        if used >= allowed {
            return Entry::Refused(QuotaHit::Queue { used, allowed });
        }
        self.turns_given += 1;
        let turn = Turn(self.turns_given);
        self.waiting.push_back((turn, peer, memory_bytes));
        Entry::Waits(turn, all)
    }

    /// Gives a free place to whoever is next, if anybody may have it now. `jobs_of` says how many a peer may run.
    pub fn next(&mut self, jobs_of: impl Fn(&NodeId) -> u32) -> Option<Turn> {
        if self.taken() >= self.places {
            return None;
        }
        let may = |peer: &NodeId| self.running_of(peer) < jobs_of(peer);
        let who = self.waiting.iter().enumerate().filter(|(_, (_, peer, _))| may(peer));
        let (index, next) = who.min_by_key(|(index, (_, peer, _))| (self.running_of(peer), *index))?;
        if !self.has_memory(next.2) {
            return None;
        }
        let (turn, peer, memory_bytes) = self.waiting.remove(index)?;
        self.run(peer, memory_bytes);
        Some(turn)
    }

    /// Somebody waits no more. False when the turn has come already, and a place is held.
    pub fn give_up(&mut self, turn: Turn) -> bool {
        let index = self.waiting.iter().position(|(other, ..)| *other == turn);
        index.and_then(|index| self.waiting.remove(index)).is_some()
    }

    /// A peer's job has ended, and gives its memory back.
    pub fn leave(&mut self, peer: &NodeId, memory_bytes: u64) {
        self.memory_taken = self.memory_taken.saturating_sub(memory_bytes);
        if let Some(running) = self.running.get_mut(peer) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(peer);
            }
        }
    }

    /// A peer's jobs that run.
    #[must_use]
    pub fn running_of(&self, peer: &NodeId) -> u32 {
        self.running.get(peer).copied().unwrap_or(0)
    }

    /// A peer's jobs that wait.
    #[must_use]
    pub fn waiting_of(&self, peer: &NodeId) -> u32 {
        count(self.waiting.iter().filter(|(_, other, _)| other == peer).count())
    }

    /// Every peer with a job here.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.running.keys().copied().chain(self.waiting.iter().map(|(_, peer, _)| *peer))
    }

    fn run(&mut self, peer: NodeId, memory_bytes: u64) {
        *self.running.entry(peer).or_default() += 1;
        self.memory_taken = self.memory_taken.saturating_add(memory_bytes);
    }

    fn has_memory(&self, memory_bytes: u64) -> bool {
        self.memory_bytes.is_none_or(|all| self.memory_taken.saturating_add(memory_bytes) <= all)
    }

    fn taken(&self) -> u32 {
        self.running.values().fold(0, |sum, running| sum.saturating_add(*running))
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: NodeId = NodeId::from_bytes([1; 32]);
    const BOB: NodeId = NodeId::from_bytes([2; 32]);
    const MALLORY: NodeId = NodeId::from_bytes([3; 32]);
    const ALLOWED: Allowance = Allowance { jobs: 2, queue: 3, stored_bytes: 0, fuel_per_day: 0 };

    fn waits(entry: Entry) -> Turn {
        match entry {
            Entry::Waits(turn, _) => turn,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_floods_fills_its_own_queue_and_no_others() {
        let mut queue = Queue::new(3, 100);
        let flood: Vec<_> = (0..1_000).map(|_| queue.enter(MALLORY, &ALLOWED, 0)).collect();
        assert_eq!(flood.iter().filter(|entry| **entry == Entry::Runs).count(), 2);
        assert_eq!(flood.iter().filter(|entry| matches!(entry, Entry::Waits(..))).count(), 3);
        assert_eq!(flood[5], Entry::Refused(QuotaHit::Queue { used: 3, allowed: 3 }));
        // One place is left, and the flood may not have it.
        assert_eq!(queue.next(|_| ALLOWED.jobs), None);
        assert_eq!(queue.enter(ANN, &ALLOWED, 0), Entry::Runs);
    }

    #[test]
    fn a_free_place_goes_to_the_peer_that_has_the_fewest() {
        let mut queue = Queue::new(2, 100);
        assert_eq!((queue.enter(MALLORY, &ALLOWED, 0), queue.enter(MALLORY, &ALLOWED, 0)), (Entry::Runs, Entry::Runs));
        let third = waits(queue.enter(MALLORY, &ALLOWED, 0));
        let ann = waits(queue.enter(ANN, &ALLOWED, 0));
        let bob = waits(queue.enter(BOB, &ALLOWED, 0));
        assert_eq!(queue.next(|_| 2), None);
        queue.leave(&MALLORY, 0);
        assert_eq!(queue.next(|_| 2), Some(ann));
        queue.leave(&MALLORY, 0);
        // Now both have none; the one that has waited longest is next.
        assert_eq!(queue.next(|_| 2), Some(third));
        queue.leave(&ANN, 0);
        assert_eq!(queue.next(|_| 2), Some(bob));
    }

    #[test]
    fn who_gives_up_makes_room_and_who_is_called_holds_a_place() {
        let mut queue = Queue::new(1, 100);
        assert_eq!(queue.enter(ANN, &ALLOWED, 0), Entry::Runs);
        let (first, second) = (waits(queue.enter(BOB, &ALLOWED, 0)), waits(queue.enter(BOB, &ALLOWED, 0)));
        assert!(queue.give_up(first));
        assert_eq!(queue.waiting_of(&BOB), 1);
        queue.leave(&ANN, 0);
        assert_eq!(queue.next(|_| 2), Some(second));
        assert!(!queue.give_up(second));
        assert_eq!((queue.running_of(&BOB), queue.waiting_of(&BOB)), (1, 0));
    }

    #[test]
    fn a_quota_that_was_raised_lets_more_in() {
        let mut queue = Queue::new(4, 100);
        (0..2).for_each(|_| assert_eq!(queue.enter(ANN, &ALLOWED, 0), Entry::Runs));
        let third = waits(queue.enter(ANN, &ALLOWED, 0));
        assert_eq!(queue.next(|_| 2), None);
        assert_eq!(queue.next(|_| 3), Some(third));
    }

    #[test]
    fn all_queues_together_are_bounded() {
        let mut queue = Queue::new(0, 4);
        for _ in 0..3 {
            waits(queue.enter(ANN, &ALLOWED, 0));
        }
        waits(queue.enter(BOB, &ALLOWED, 0));
        assert!(matches!(queue.enter(BOB, &ALLOWED, 0), Entry::Refused(_)));
        assert!(matches!(queue.enter(MALLORY, &ALLOWED, 0), Entry::Refused(_)));
    }

    #[test]
    fn memory_is_shared_by_all_and_whoever_needs_most_is_not_passed_for_ever() {
        let mut queue = Queue::new(4, 100);
        queue.resize(4, Some(100));
        assert_eq!(queue.enter(ANN, &ALLOWED, 60), Entry::Runs);
        let large = waits(queue.enter(BOB, &ALLOWED, 60));
        let small = waits(queue.enter(MALLORY, &ALLOWED, 10));
        assert_eq!(queue.next(|_| 2), None, "the large one is next and does not fit");
        queue.leave(&ANN, 60);
        assert_eq!((queue.next(|_| 2), queue.next(|_| 2)), (Some(large), Some(small)));
        queue.resize(4, Some(50));
        let late = waits(queue.enter(ANN, &ALLOWED, 1));
        assert_eq!(queue.next(|_| 2), None);
        queue.resize(4, None);
        assert_eq!(queue.next(|_| 2), Some(late));
        queue.resize(3, None);
        assert!(matches!(queue.enter(ANN, &ALLOWED, 0), Entry::Waits(..)));
    }
}
