//! What lies between simulated nodes: messages that are lost, late or doubled, groups that are cut off, and what a node is told
//! of whom it can reach. A message belongs to a connection: it does not arrive at a node that was restarted since.

use super::sabotage::Sabotage;
use super::world::{Step, World};
use crate::state::home::run::RunId;
use crate::state::home::words::{Event, Kept, Refusal};
use potluck_runtime::Outcome;
use std::collections::BTreeSet;

/// After so long a link notices that nobody is at its other end.
const LINK_IDLE_MS: u64 = 7_000;

/// What a home says to a runner.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Start(RunId),
    Attach(u64),
    Collect(RunId),
    Withdraw(RunId),
    End(RunId),
    Release(RunId),
}

/// What a runner says to a home.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Accepted(RunId),
    Refused(RunId, Refusal),
    Told(RunId, Kept),
    Inventory(u64, Vec<(RunId, Kept)>),
    Collected(RunId, Outcome, u64, u64),
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    ToRunner(Ask),
    ToHome(Answer),
}

/// What a home was last told of another node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    pub(super) reachable: bool,
    pub(super) boot: u64,
    pub(super) lends: bool,
    pub(super) broken_at: Option<u64>,
    /// It is no peer until then.
    pub(super) removed_until: u64,
}

impl World {
    pub(super) fn connected(&self, a: usize, b: usize) -> bool {
        let cut =
            |(group, until): &(BTreeSet<usize>, u64)| *until > self.now && group.contains(&a) != group.contains(&b);
        let removed = |a: usize, b: usize| self.nodes[a].links.get(b).is_some_and(|link| link.removed_until > self.now);
        let up = self.nodes[a].up && self.nodes[b].up;
        up && (a == b || (!self.cuts.iter().any(cut) && !removed(a, b) && !removed(b, a)))
    }

    pub(super) fn send(&mut self, from: usize, to: usize, message: Message) {
        if !self.connected(from, to) {
            return;
        }
        let near = from == to;
        let lossy = if self.stormy && !near { self.plan.lossy_permille } else { 0 };
        if self.chance.permille(lossy) {
            return;
        }
        let copies = if self.chance.permille(lossy) { 2 } else { 1 };
        let ends = ((from, self.nodes[from].boot), (to, self.nodes[to].boot));
        for _ in 0..copies {
            let late = self.chance.permille(lossy.min(50));
            let delay = match (near, late) {
                (true, _) => 0,
                (false, false) => self.chance.between(1, 5),
                (false, true) => self.chance.spread(1, 4_000),
            };
            self.later(delay, Step::Deliver { from: ends.0, to: ends.1, message: message.clone() });
        }
    }

    pub(super) fn send_answer(&mut self, from: usize, to: usize, answer: Answer) {
        self.send(from, to, Message::ToHome(answer));
    }

    pub(super) fn deliver(&mut self, from: (usize, u64), to: (usize, u64), message: Message) {
        let stands = self.nodes[from.0].boot == from.1 && self.nodes[to.0].boot == to.1;
        if !stands || !self.connected(from.0, to.0) {
            return;
        }
        match message {
            Message::ToRunner(ask) => self.runner_hears(to.0, from.0, ask),
            Message::ToHome(answer) => self.home_hears(to.0, from.0, answer),
        }
    }

    fn home_hears(&mut self, at: usize, from: usize, answer: Answer) {
        let place = Self::home_place(at, from);
        if matches!(answer, Answer::Refused(..)) {
            self.met.met("refused");
        }
        let event = match answer {
            Answer::Accepted(run) => Event::RunAccepted { place, run },
            Answer::Refused(run, why) => Event::RunRefused { place, run, why },
            Answer::Told(run, Kept::Waiting) => Event::RunAccepted { place, run },
            Answer::Told(run, Kept::Running) => Event::RunStarted { place, run },
            Answer::Told(run, Kept::Ended) => {
                self.home_event(at, Event::Heard { place });
                return self.send(at, from, Message::ToRunner(Ask::Collect(run)));
            }
            Answer::Told(run, Kept::Lost) => Event::RunLost { place, run, why: "its worker vanished".to_owned() },
            Answer::Told(run, Kept::Evicted) => Event::RunEvicted { place, run, retry_after_ms: 3_000 },
            Answer::Inventory(ask, runs) => Event::Inventory { place, ask, runs },
            Answer::Collected(run, outcome, wall_ms, fuel) => Event::RunEnded { place, run, outcome, wall_ms, fuel },
        };
        self.home_event(at, event);
    }

    /// Tells a home which nodes it can reach now.
    pub(super) fn look_at_links(&mut self, at: usize) {
        if self.plan.sabotage == Some(Sabotage::NoLease) {
            for other in 0..self.nodes.len() {
                let place = Self::home_place(at, other);
                self.home_event(at, Event::Heard { place });
            }
        }
        for other in 0..self.nodes.len() {
            if !self.nodes[at].up {
                return;
            }
            let (connected, boot) = (self.connected(at, other), self.nodes[other].boot);
            let (now, lends, place) = (self.now, !self.nodes[other].runner.paused, Self::home_place(at, other));
            let link = &mut self.nodes[at].links[other];
            if connected {
                let news = !link.reachable || link.boot != boot;
                let changed = news || link.lends != lends;
                (link.reachable, link.boot, link.lends, link.broken_at) = (true, boot, lends, None);
                if changed {
                    let facts = self.facts(at, other);
                    self.home_event(at, Event::Seen { facts });
                }
                if news {
                    self.home_event(at, Event::Reached { place });
                }
            } else if link.reachable && now - *link.broken_at.get_or_insert(now) >= LINK_IDLE_MS {
                link.reachable = false;
                self.home_event(at, Event::Gone { place });
            }
        }
    }
}
