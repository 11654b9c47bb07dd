//! What goes wrong: crashes, machines that never come back, partitions, owners, clocks, cancellations, peers that are put out.

use super::chance::Chance;
use super::network::Link;
use super::world::{Step, World};
use crate::state::home::Home;
use crate::state::home::words::{Cancel, Event};
use crate::state::runs::Runs;
use std::collections::BTreeSet;

/// Nodes that hold every kind of machine that some job needs: they always come back.
const KEPT: usize = 2;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Crash(usize),
    Restart(usize),
    Die(usize),
    Cut(BTreeSet<usize>, u64),
    Pause(usize, bool),
    Clock(usize, i64),
    Cancel(usize),
    Remove { home: usize, peer: usize, ms: u64 },
}

impl World {
    /// When what goes wrong.
    pub(super) fn plan_faults(&mut self, mut chance: Chance) {
        let nodes = self.nodes.len();
        for _ in 0..self.plan.faults {
            let at = chance.below(self.plan.storm_ms);
            let ms = chance.spread(50, 90_000);
            let node = chance.index(nodes);
            let home = chance.index(self.plan.homes());
            let fault = match chance.below(16) {
                0..=3 => Fault::Crash(node),
                4 => Fault::Crash(home),
                5 if node >= KEPT.max(self.plan.homes()) => Fault::Die(node),
                5 | 6 => Fault::Cut((0..nodes).filter(|_| chance.permille(400)).collect(), ms),
                7 => Fault::Cut([node].into(), ms),
                8 => Fault::Cut([home].into(), ms),
                9..=11 => {
                    self.later(at + ms, Step::Fault(Fault::Pause(node, false)));
                    Fault::Pause(node, true)
                }
                12 => Fault::Clock(node, i64::try_from(chance.below(7_200_000)).expect("it is small") - 3_600_000),
                13 | 14 => Fault::Cancel(chance.index(self.plan.jobs)),
                _ => Fault::Remove { home, peer: node, ms },
            };
            self.later(at, Step::Fault(fault));
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        if !self.stormy && !matches!(fault, Fault::Restart(_) | Fault::Pause(_, false)) {
            return;
        }
        self.met.met(match &fault {
            Fault::Crash(_) | Fault::Die(_) => "crash",
            Fault::Restart(_) => "restart",
            Fault::Cut(..) => "cut",
            Fault::Pause(..) => "paused",
            Fault::Clock(..) => "clock",
            Fault::Cancel(_) => "asked to cancel",
            Fault::Remove { .. } => "peer removed",
        });
        match fault {
            Fault::Crash(at) => self.crash(at, None),
            Fault::Restart(at) => self.restart(at),
            Fault::Die(at) => {
                self.nodes[at].dead = true;
                self.crash(at, None);
            }
            Fault::Cut(group, ms) => self.cuts.push((group, self.now + ms)),
            Fault::Pause(at, paused) => self.pause_runner(at, paused),
            Fault::Clock(at, ms) => self.nodes[at].clock_ms += ms,
            Fault::Cancel(job) => {
                let (id, home) = (self.jobs[job].spec.id, self.home_of(job));
                self.jobs[job].may_be_cancelled = true;
                self.home_event(home, Event::Cancelled { job: id, how: Cancel::Ask });
            }
            Fault::Remove { home, peer, ms } if home != peer => {
                self.nodes[home].links[peer] = Link { removed_until: self.now + ms, ..Link::default() };
                let place = Self::home_place(home, peer);
                self.home_event(home, Event::Removed { place });
            }
            Fault::Remove { .. } => {}
        }
    }

    pub(super) fn home_of(&self, job: usize) -> usize {
        let id = self.jobs[job].spec.id;
        self.submissions.iter().find(|submission| submission.jobs.contains(&id)).map_or(0, |given| given.home)
    }

    /// A node is gone from one moment to the next, with all that it had not written down.
    pub(super) fn crash(&mut self, at: usize, back_after_ms: Option<u64>) {
        let node = &mut self.nodes[at];
        if !node.up {
            return;
        }
        node.up = false;
        node.home = None;
        node.runner.runs = Runs::default();
        node.runner.queue.clear();
        node.runner.running.clear();
        let ms = back_after_ms.unwrap_or_else(|| self.chance.spread(100, 60_000));
        if !self.nodes[at].dead {
            self.later(ms, Step::Fault(Fault::Restart(at)));
        }
    }

    /// It comes back with what it had written down.
    fn restart(&mut self, at: usize) {
        if self.nodes[at].up || self.nodes[at].dead {
            return;
        }
        let node = &mut self.nodes[at];
        node.up = true;
        node.boot += 1;
        node.booted_at = self.now;
        let kept = node.links.iter().map(|link| Link { removed_until: link.removed_until, ..Link::default() });
        node.links = kept.collect();
        let boot = node.boot;
        let now = self.now_of(at);
        let node = &mut self.nodes[at];
        let (runs, effects) = Runs::restored(node.runner.records.values().copied(), now);
        node.runner.runs = runs;
        let is_home = at < self.plan.homes();
        self.check_promises(at);
        self.perform_runner(at, effects);
        if self.nodes[at].up && self.nodes[at].runner.paused {
            self.pause_runner(at, true);
        }
        self.fill_places(at);
        if is_home && self.nodes[at].up {
            let (home, effects) = Home::restored(&self.nodes[at].saved, now);
            self.nodes[at].home = Some(home);
            self.later(1, Step::Links { at, boot });
            self.perform_home(at, effects);
            self.check_home(at);
        }
        if is_home && self.nodes[at].up && self.nodes[at].runner.paused {
            self.home_event(at, Event::Paused { paused: true });
        }
    }

    /// The last of what goes wrong is over.
    pub(super) fn calm_down(&mut self) {
        self.now = self.plan.storm_ms;
        self.cuts.clear();
        for at in 0..self.nodes.len() {
            self.nodes[at].links.iter_mut().for_each(|link| link.removed_until = 0);
        }
        for at in 0..self.nodes.len() {
            if self.nodes[at].runner.paused {
                self.pause_runner(at, false);
            }
            self.restart(at);
        }
    }
}
