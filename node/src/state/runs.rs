//! The runs that a runner keeps for the homes that sent them, whatever becomes of connections: from the moment it says
//! "accepted" until their home releases them, or nobody has asked for what they left in all the time it is kept.
//!
//! Invariants:
//! 1. What is said of a run is written down before it is said, so that a runner that crashed says the same again, and "lost" of
//!    what was running.
//! 2. The same request twice gives one run. What was released or given back does not begin again by a request that came late.
//! 3. At most so many runs are kept, of one home and in all.

use super::home::run::RunId;
use super::home::words::{Kept, Refusal};
use super::now::{Now, Wall};
use super::placement::Place;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// What a run left is kept for so long after its end: a submitter may be gone for a long weekend.
pub const KEEP_MS: u64 = 4 * 24 * 3600 * 1000;

/// Runs kept for one home at once: the places of a large machine and what waits for them, many times over.
pub const RUNS_PER_HOME_MAX: usize = 1024;

/// Runs kept for all homes at once, at two hundred bytes each, without what they left.
pub const RUNS_MAX: usize = 16 * RUNS_PER_HOME_MAX;

/// Runs that are remembered to be over, so that a late request does not begin them again.
const OVER_MAX: usize = 16 * 1024;

/// When to ask again where too many are kept.
const FULL_RETRY_MS: u64 = 1_000;

/// A run, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The home that sent it; this machine's own, for its owner's jobs.
    pub home: Place,
    /// Which.
    pub run: RunId,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A home asks for it, and the owner's rules allow it.
    Asked(Key),
    /// Its turn has come: it is about to be given to a worker.
    Starting(Key),
    /// It has ended by itself, and what it left is here and synced.
    Ended(Key),
    /// Its worker vanished.
    Lost(Key),
    /// This machine's owner took it back while it waited or ran.
    Evicted(Key),
    /// Its home asks for it back.
    Withdrawn(Key),
    /// Its home wants its guest to end by itself.
    AskedToEnd(Key),
    /// Its home wants nothing more of it.
    Released(Key),
    /// A home asks for all that is kept for it.
    AskedForAll {
        /// Which home.
        home: Place,
        /// Which question it is.
        ask: u64,
    },
    /// Some time has passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this down, and sync, before what follows.
    Persist(Record),
    /// Tell its home that it is accepted, or is so still.
    Accept(Key),
    /// Tell its home that it is not, and why.
    Refuse(Key, Refusal),
    /// It waits for its turn from now on.
    Queue(Key),
    /// It waits no more.
    Unqueue(Key),
    /// It may start now.
    Start(Key),
    /// Its guest is to be asked to end, and to be ended when it does not.
    AskToEnd(Key),
    /// Its worker is to be ended.
    Stop(Key),
    /// What it left may go.
    Discard(Key),
    /// Tell its home how far it is.
    Tell(Key, Kept),
    /// The answer to a home.
    Inventory {
        /// Which home.
        home: Place,
        /// Which question it answers.
        ask: u64,
        /// All that is kept for it.
        runs: Vec<(RunId, Kept)>,
    },
}

/// What is written down: the last of one key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// It is kept, and this far.
    Is {
        /// Which.
        key: Key,
        /// How far.
        kept: Kept,
        /// When it came to that.
        at: Wall,
    },
    /// It is kept no more.
    Gone(Key),
}

/// The runs of one runner.
#[derive(Debug, Default)]
pub struct Runs {
    runs: BTreeMap<Key, (Kept, Wall)>,
    of_home: HashMap<Place, usize>,
    /// Those that have ended, the first to go first.
    ended: BTreeSet<(Wall, Key)>,
    over: HashSet<Key>,
    over_order: VecDeque<Key>,
}

impl Runs {
    /// The runs of a runner that was stopped, from the last record of each. Those that waited wait again; those that ran are
    /// lost, because nobody knows how far they came.
    #[must_use]
    pub fn restored(records: impl IntoIterator<Item = Record>, now: Now) -> (Self, Vec<Effect>) {
        let mut runs = Self::default();
        let mut effects = Vec::new();
        for record in records {
            let Record::Is { key, kept, at } = record else { continue };
            match kept {
                Kept::Waiting => {
                    runs.insert(key, kept, at);
                    effects.push(Effect::Queue(key));
                }
                Kept::Running => runs.becomes(key, Kept::Lost, now, &mut effects),
                Kept::Ended | Kept::Evicted | Kept::Lost => runs.insert(key, kept, at),
            }
        }
        (runs, effects)
    }

    /// Takes an event in, and says what is to be done.
    #[must_use]
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Asked(key) => self.asked(key, now, &mut effects),
            Event::Starting(key) => {
                if self.state(&key) == Some(Kept::Waiting) {
                    self.becomes(key, Kept::Running, now, &mut effects);
                    effects.push(Effect::Start(key));
                    effects.push(Effect::Tell(key, Kept::Running));
                }
            }
            Event::Ended(key) => self.ended(key, Kept::Ended, now, &mut effects),
            Event::Lost(key) => self.ended(key, Kept::Lost, now, &mut effects),
            Event::Evicted(key) => self.evicted(key, now, &mut effects),
            Event::Withdrawn(key) => self.withdrawn(key, &mut effects),
            Event::AskedToEnd(key) => self.asked_to_end(key, &mut effects),
            Event::Released(key) => self.released(key, &mut effects),
            Event::AskedForAll { home, ask } => {
                let runs = self.of(home).map(|(key, kept)| (key.run, kept)).collect();
                effects.push(Effect::Inventory { home, ask, runs });
            }
            Event::Tick => self.expire(now, &mut effects),
        }
        effects
    }

    /// How far a run is; none of one that is not kept.
    #[must_use]
    pub fn state(&self, key: &Key) -> Option<Kept> {
        self.runs.get(key).map(|(kept, _)| *kept)
    }

    /// All that is kept for a home.
    pub fn of(&self, home: Place) -> impl Iterator<Item = (Key, Kept)> {
        let first = RunId { job: crate::wire::JobId([0; 16]), attempt: 0 };
        let of_home = self.runs.range(Key { home, run: first }..).take_while(move |(key, _)| key.home == home);
        of_home.map(|(key, (kept, _))| (*key, *kept))
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn asked(&mut self, key: Key, now: Now, effects: &mut Vec<Effect>) {
        if let Some(kept) = self.state(&key) {
            effects.push(if kept == Kept::Waiting { Effect::Accept(key) } else { Effect::Tell(key, kept) });
            return;
        }
        if self.over.contains(&key) {
            effects.push(Effect::Refuse(key, Refusal::Withdrawn));
            return;
        }
        let of_home = self.of_home.get(&key.home).copied().unwrap_or(0);
        if of_home >= RUNS_PER_HOME_MAX || self.runs.len() >= RUNS_MAX {
            let why = format!("it keeps {of_home} runs of this home and {} in all already", self.runs.len());
            effects.push(Effect::Refuse(key, Refusal::NotNow { why, retry_after_ms: FULL_RETRY_MS }));
            return;
        }
        self.becomes(key, Kept::Waiting, now, effects);
        effects.push(Effect::Accept(key));
        effects.push(Effect::Queue(key));
    }

    /// A run is over here, and what is known of it is kept for its home.
    fn ended(&mut self, key: Key, kept: Kept, now: Now, effects: &mut Vec<Effect>) {
        if self.state(&key) == Some(Kept::Running) {
            self.becomes(key, kept, now, effects);
            effects.push(Effect::Tell(key, kept));
        }
    }

    fn evicted(&mut self, key: Key, now: Now, effects: &mut Vec<Effect>) {
        match self.state(&key) {
            Some(Kept::Waiting) => effects.push(Effect::Unqueue(key)),
            Some(Kept::Running) => effects.push(Effect::Stop(key)),
            Some(Kept::Ended | Kept::Evicted | Kept::Lost) | None => return,
        }
        self.becomes(key, Kept::Evicted, now, effects);
        effects.push(Effect::Tell(key, Kept::Evicted));
    }

    fn withdrawn(&mut self, key: Key, effects: &mut Vec<Effect>) {
        match self.state(&key) {
            Some(Kept::Waiting) => {
                effects.push(Effect::Unqueue(key));
                self.forget(key, effects);
                effects.push(Effect::Discard(key));
            }
            None => self.is_over(key),
            // Its home will hear, or has heard, that it has started.
            Some(Kept::Running | Kept::Ended | Kept::Evicted | Kept::Lost) => return,
        }
        effects.push(Effect::Refuse(key, Refusal::Withdrawn));
    }

    fn asked_to_end(&mut self, key: Key, effects: &mut Vec<Effect>) {
        match self.state(&key) {
            Some(Kept::Running) => effects.extend([Effect::AskToEnd(key), Effect::Tell(key, Kept::Running)]),
            Some(kept @ (Kept::Ended | Kept::Evicted | Kept::Lost)) => effects.push(Effect::Tell(key, kept)),
            // What has not begun leaves nothing.
            Some(Kept::Waiting) | None => self.withdrawn(key, effects),
        }
    }

    fn released(&mut self, key: Key, effects: &mut Vec<Effect>) {
        match self.state(&key) {
            Some(Kept::Waiting) => effects.push(Effect::Unqueue(key)),
            Some(Kept::Running) => effects.push(Effect::Stop(key)),
            Some(Kept::Ended | Kept::Evicted | Kept::Lost) => {}
            // Its request may come yet.
            None => return self.is_over(key),
        }
        self.forget(key, effects);
        effects.push(Effect::Discard(key));
    }

    fn expire(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((at, key)) = self.ended.first().copied().filter(|(at, _)| now.wall.since(*at) >= KEEP_MS) {
            self.ended.remove(&(at, key));
            self.forget(key, effects);
            effects.push(Effect::Discard(key));
        }
    }

    fn becomes(&mut self, key: Key, kept: Kept, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::Persist(Record::Is { key, kept, at: now.wall }));
        self.insert(key, kept, now.wall);
    }

    fn insert(&mut self, key: Key, kept: Kept, at: Wall) {
        match self.runs.insert(key, (kept, at)) {
            Some((_, before)) => {
                self.ended.remove(&(before, key));
            }
            None => *self.of_home.entry(key.home).or_default() += 1,
        }
        if matches!(kept, Kept::Ended | Kept::Evicted | Kept::Lost) {
            self.ended.insert((at, key));
        }
    }

    fn forget(&mut self, key: Key, effects: &mut Vec<Effect>) {
        let Some((_, at)) = self.runs.remove(&key) else { return };
        self.ended.remove(&(at, key));
        if let Some(count) = self.of_home.get_mut(&key.home) {
            *count -= 1;
            if *count == 0 {
                self.of_home.remove(&key.home);
            }
        }
        effects.push(Effect::Persist(Record::Gone(key)));
        self.is_over(key);
    }

    fn is_over(&mut self, key: Key) {
        if self.over.insert(key) {
            self.over_order.push_back(key);
        }
        while self.over_order.len() > OVER_MAX {
            if let Some(oldest) = self.over_order.pop_front() {
                self.over.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
