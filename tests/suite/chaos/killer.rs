//! Whoever kills: two nodes, and whatever runs below them.

use crate::random::Random;
use potluck_tests::{Home, Node, Process, children_of, holds_within, processes_of, until};
use std::fmt;
use std::time::Duration;

/// The longest pause between two kills.
const PAUSE_MAX: Duration = Duration::from_millis(400);
/// The longest time a machine is without its node.
const AWAY_MAX: Duration = Duration::from_millis(1500);
/// Of so many kills one is a node's.
const NODE_OF: u64 = 8;

/// The nodes, and how often what was killed.
pub(super) struct Killer<'home> {
    nodes: Vec<Node<'home>>,
    random: Random,
    workers: u64,
    sweepers: u64,
    killed_nodes: u64,
}

impl<'home> Killer<'home> {
    pub(super) fn new(homes: &'home [Home], random: Random) -> Self {
        let nodes = homes.iter().map(Node::start).collect();
        Self { nodes, random, workers: 0, sweepers: 0, killed_nodes: 0 }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node<'home>> {
        self.nodes.iter()
    }

    /// How many processes were killed.
    pub(super) fn kills(&self) -> u64 {
        self.workers + self.sweepers + self.killed_nodes
    }

    /// Waits a moment, and kills somebody.
    #[track_caller]
    pub(super) fn strike(&mut self) {
        let pause = self.random.pause(PAUSE_MAX);
        let _elapsed = holds_within(pause, || false);
        if self.random.below(NODE_OF) == 0 {
            self.kill_node();
        } else {
            self.kill_child();
        }
    }

    fn kill_child(&mut self) {
        let children: Vec<Process> = self.nodes.iter_mut().flat_map(|node| children_of(node.process().id())).collect();
        if children.is_empty() {
            return;
        }
        let child = self.random.of_these(&children);
        child.kill();
        let count = if child.command.contains(" --sweeper ") { &mut self.sweepers } else { &mut self.workers };
        *count += 1;
    }

    /// Kills a node, sees its workers gone, and starts it again: at once, or a while later.
    #[track_caller]
    fn kill_node(&mut self) {
        let count = u64::try_from(self.nodes.len()).expect("two nodes");
        let mut node = self.nodes.swap_remove(usize::try_from(self.random.below(count)).expect("one of two"));
        let (home, id) = (node.home(), node.process().id());
        assert_calm(&mut node);
        node.die();
        self.killed_nodes += 1;
        let away = self.random.pause(AWAY_MAX);
        if self.random.below(2) == 0 {
            let _elapsed = holds_within(away, || false);
        }
        self.nodes.push(Node::start(home));
        let is_orphan = |process: &Process| process.command.contains(&format!(" --worker {id} "));
        until("the workers of a killed node are gone", || {
            (!processes_of(home.root()).iter().any(is_orphan)).then_some(())
        });
    }

    /// Lets the nodes leave politely.
    pub(super) fn stop(self) {
        for mut node in self.nodes {
            assert_calm(&mut node);
            node.down();
        }
    }
}

/// Whoever was killed, the node has not lost its head, nor thrown away what others need.
#[track_caller]
fn assert_calm(node: &mut Node<'_>) {
    let log = node.process().stderr.text();
    assert!(!log.contains("panicked") && !log.contains("made again"), "{log}");
}

impl fmt::Display for Killer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed {} workers, {} sweepers, {} nodes", self.workers, self.sweepers, self.killed_nodes)
    }
}
