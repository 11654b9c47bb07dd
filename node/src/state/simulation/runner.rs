//! The runner of a simulated node: the real keeper of runs, and a plain model of what performs what it decides: places, workers
//! and a book of records that outlives a crash.

use super::network::{Answer, Ask};
use super::plan::{Does, node_id, node_index};
use super::sabotage::Sabotage;
use super::world::{Step, World};
use crate::state::home::run::RunId;
use crate::state::home::words::{Kept, Refusal};
use crate::state::placement::Place;
use crate::state::runs::{Effect, Event, Key, Record, Runs};
use potluck_runtime::Outcome;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long a paused machine asks to be left alone.
const PAUSED_RETRY_MS: u64 = 3_000;

/// No guest takes longer on any machine, so that there is a bound by which all must have ended.
const LONGEST_MS: u64 = 300_000;
/// How long a guest takes to end that is asked to and does.
const ENDS_ASKED_MS: u64 = 50;

/// The runner of one node.
#[derive(Debug, Default)]
pub(super) struct Runner {
    pub(super) runs: Runs,
    /// What outlives a crash.
    pub(super) records: BTreeMap<Key, Record>,
    pub(super) queue: VecDeque<Key>,
    pub(super) running: BTreeSet<Key>,
    pub(super) places: usize,
    pub(super) paused: bool,
    /// What some home was told is accepted, and has not released.
    pub(super) promised: BTreeSet<Key>,
}

impl World {
    /// How a runner calls the home of node `home`.
    pub(super) fn home_place(runner: usize, home: usize) -> Place {
        if runner == home { Place::Here } else { Place::Peer(node_id(home)) }
    }

    pub(super) fn place_index(here: usize, place: Place) -> usize {
        match place {
            Place::Here => here,
            Place::Peer(id) => node_index(&id),
        }
    }

    pub(super) fn runner_hears(&mut self, at: usize, from: usize, ask: Ask) {
        let home = Self::home_place(at, from);
        let key = |run: RunId| Key { home, run };
        match ask {
            Ask::Start(run) => {
                let runner = &self.nodes[at].runner;
                let known = runner.runs.state(&key(run));
                if runner.paused && known.is_none() && self.plan.sabotage != Some(Sabotage::PauseIgnored) {
                    let why = Refusal::NotNow { why: "paused".to_owned(), retry_after_ms: PAUSED_RETRY_MS };
                    return self.send_answer(at, from, Answer::Refused(run, why));
                }
                if known == Some(Kept::Running) && self.plan.sabotage == Some(Sabotage::RunnerForgetsRequests) {
                    self.begins(at, key(run));
                }
                self.runner_event(at, Event::Asked(key(run)));
            }
            Ask::Attach(ask) => self.runner_event(at, Event::AskedForAll { home, ask }),
            Ask::Collect(run) => {
                if self.nodes[at].runner.runs.state(&key(run)) == Some(Kept::Ended) {
                    let job = self.job(run.job);
                    let Does::Exits(code) = job.does else {
                        return self.broken(format!("{run} ended, and its program never ends"));
                    };
                    let answer = Answer::Collected(run, Outcome::Exited(code), job.takes_ms, job.takes_ms * 1000);
                    self.send_answer(at, from, answer);
                }
            }
            Ask::Withdraw(run) => self.runner_event(at, Event::Withdrawn(key(run))),
            Ask::End(run) => self.runner_event(at, Event::AskedToEnd(key(run))),
            Ask::Release(run) => self.runner_event(at, Event::Released(key(run))),
        }
        self.fill_places(at);
    }

    pub(super) fn runner_event(&mut self, at: usize, event: Event) {
        if !self.nodes[at].up {
            return;
        }
        let now = self.now_of(at);
        let effects = self.nodes[at].runner.runs.handle(now, event);
        self.perform_runner(at, effects);
    }

    pub(super) fn perform_runner(&mut self, at: usize, effects: Vec<Effect>) {
        let effects = match self.plan.sabotage {
            Some(sabotage) => sabotage.of_runner(effects),
            None => effects,
        };
        for effect in effects {
            self.perform_at_runner(at, effect);
            if self.is_over(at) {
                return;
            }
        }
    }

    fn perform_at_runner(&mut self, at: usize, effect: Effect) {
        let home = |key: &Key| Self::place_index(at, key.home);
        let runner = &mut self.nodes[at].runner;
        match effect {
            Effect::Persist(Record::Gone(key)) => {
                runner.records.remove(&key);
                runner.promised.remove(&key);
            }
            Effect::Persist(record @ Record::Is { key, .. }) => {
                runner.records.insert(key, record);
            }
            Effect::Accept(key) => {
                runner.promised.insert(key);
                self.send_answer(at, home(&key), Answer::Accepted(key.run));
            }
            Effect::Refuse(key, why) => self.send_answer(at, home(&key), Answer::Refused(key.run, why)),
            Effect::Queue(key) => runner.queue.push_back(key),
            Effect::Unqueue(key) => runner.queue.retain(|other| *other != key),
            Effect::Start(key) => {
                runner.running.insert(key);
                self.begins(at, key);
            }
            Effect::AskToEnd(key) => {
                self.met.met("guest asked to end");
                // Half of them do.
                if key.run.job.0[0].is_multiple_of(2) {
                    let boot = self.nodes[at].boot;
                    self.later(ENDS_ASKED_MS, Step::Finish { at, boot, key });
                }
            }
            Effect::Stop(key) => {
                runner.running.remove(&key);
            }
            Effect::Discard(_) => {}
            Effect::Tell(key, kept) => self.send_answer(at, home(&key), Answer::Told(key.run, kept)),
            Effect::Inventory { home, ask, runs } => {
                self.send_answer(at, Self::place_index(at, home), Answer::Inventory(ask, runs));
            }
        }
    }

    /// A guest starts.
    fn begins(&mut self, at: usize, key: Key) {
        if !self.begun.insert((at, key)) {
            self.broken(format!("{} was begun twice", key.run));
        }
        // A machine may be slow, or slow now.
        let slow = if self.chance.permille(30) { self.chance.between(2, 20) } else { 1 };
        let takes_ms = (self.job(key.run.job).takes_ms * slow).min(LONGEST_MS);
        let boot = self.nodes[at].boot;
        self.later(takes_ms, Step::Finish { at, boot, key });
    }

    /// A guest is through, or takes down what it runs in.
    pub(super) fn finishes(&mut self, at: usize, boot: u64, key: Key) {
        let node = &mut self.nodes[at];
        if !node.up || node.boot != boot || !node.runner.running.remove(&key) {
            return;
        }
        match self.job(key.run.job).does {
            Does::Exits(_) => {
                self.ended.insert(key.run);
                self.runner_event(at, Event::Ended(key));
            }
            Does::KillsItsWorker => self.runner_event(at, Event::Lost(key)),
            Does::KillsItsNode => {
                self.nodes[at].runner.running.insert(key);
                self.crash(at, None);
            }
        }
        self.fill_places(at);
    }

    /// Starts whoever waits, as far as there are places.
    pub(super) fn fill_places(&mut self, at: usize) {
        loop {
            let node = &mut self.nodes[at];
            let may = node.up && node.runner.running.len() < node.runner.places;
            let may = may && (!node.runner.paused || self.plan.sabotage == Some(Sabotage::PauseIgnored));
            let Some(key) = may.then(|| node.runner.queue.pop_front()).flatten() else { break };
            self.runner_event(at, Event::Starting(key));
        }
        self.check_owner(at);
    }

    /// The owner takes the machine back, or lends it again.
    pub(super) fn pause_runner(&mut self, at: usize, paused: bool) {
        self.nodes[at].runner.paused = paused;
        if !self.nodes[at].up {
            return;
        }
        if paused && self.plan.sabotage != Some(Sabotage::PauseIgnored) {
            let all: Vec<Key> = self.nodes[at].runner.records.keys().copied().collect();
            for key in all {
                self.runner_event(at, Event::Evicted(key));
            }
        }
        self.home_event(at, crate::state::home::words::Event::Paused { paused });
        self.fill_places(at);
    }
}
