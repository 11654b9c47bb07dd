//! The storm: whatever befalls three hosts and whoever works on them.

use super::load::Load;
use crate::random::Random;
use potluck_tests::{Home, Lab, Node, holds_within, join, online_peers, until};
use std::fmt;
use std::time::{Duration, Instant};

/// The longest pause between two strikes.
const PAUSE_MAX: Duration = Duration::from_millis(2500);
/// The longest time a machine is without its node.
const NODE_AWAY_MAX: Duration = Duration::from_secs(5);
/// The longest time a cable is out: mostly shorter than a home waits before it begins again elsewhere, now and then longer.
const CABLE_OUT_MAX: [Duration; 2] = [Duration::from_secs(6), Duration::from_secs(25)];

/// Hosts on one network, each with a home, that are one group. No node runs.
pub(crate) fn hosts_of_a_group(lab: &mut Lab, count: usize) -> Vec<Home> {
    lab.switch("lan");
    let home = |number: usize| {
        let name = name_of(number);
        let host = lab.host(&name);
        plug(lab, number);
        Home::with_python().on_host(&host).named(&name)
    };
    let homes: Vec<Home> = (0..count).map(home).collect();
    let nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
    homes[1..].iter().for_each(|newcomer| join(&nodes[0], newcomer));
    until_all_see_all(&homes);
    nodes.into_iter().for_each(Node::down);
    homes
}

/// Lays the cable of a host.
pub(crate) fn plug(lab: &mut Lab, number: usize) {
    lab.plug(&name_of(number), "lan", "eth0", &[&format!("10.78.0.{}/24", number + 1)]);
}

/// Pulls the cable of a host.
pub(crate) fn unplug(lab: &mut Lab, number: usize) {
    lab.unplug(&name_of(number), "eth0");
}

fn name_of(number: usize) -> String {
    format!("host{number}")
}

/// Waits until each is linked with all others, and has heard what they have to lend.
#[track_caller]
pub(crate) fn until_all_see_all(homes: &[Home]) {
    for home in homes {
        until("all see all", || {
            let peers = online_peers(home);
            let heard = peers.iter().filter(|peer| peer["info"]["cores"].is_u64()).count();
            (heard == homes.len() - 1).then_some(())
        });
    }
}

/// The hosts of a storm. The first is home to the load.
pub(super) struct Weather<'a> {
    lab: &'a mut Lab,
    homes: &'a [Home],
    nodes: Vec<Option<Node<'a>>>,
    plugged: Vec<bool>,
    random: Random,
    /// What is mended when.
    repairs: Vec<(Instant, Repair)>,
    killed_homes: u64,
    killed_lenders: u64,
    cuts: u64,
}

#[derive(Clone, Copy)]
enum Repair {
    Node(usize),
    Cable(usize),
}

impl<'a> Weather<'a> {
    /// Still fair: every node runs, and sees the others.
    pub(super) fn over(lab: &'a mut Lab, homes: &'a [Home], random: Random) -> Self {
        let nodes = homes.iter().map(|home| Some(Node::start(home))).collect();
        until_all_see_all(homes);
        let (plugged, repairs) = (vec![true; homes.len()], Vec::new());
        Self { lab, homes, nodes, plugged, random, repairs, killed_homes: 0, killed_lenders: 0, cuts: 0 }
    }

    /// Waits a moment, mends what is due, and strikes somewhere.
    #[track_caller]
    pub(super) fn strike(&mut self, load: &mut Load<'_>) {
        let pause = self.random.pause(PAUSE_MAX);
        let _elapsed = holds_within(pause, || false);
        self.mend(load, Instant::now());
        match self.random.below(8) {
            0 | 1 => self.cut(0),
            2 | 3 => {
                let lender = self.lender();
                self.cut(lender);
            }
            4 | 5 => load.kill(&mut self.random),
            6 => self.kill_home(load),
            _ => self.kill_lender(),
        }
    }

    /// Mends what is due by now, and has commands run where there is a node for them.
    #[track_caller]
    fn mend(&mut self, load: &mut Load<'_>, now: Instant) {
        let (due, later): (Vec<_>, Vec<_>) = self.repairs.drain(..).partition(|(at, _)| *at <= now);
        self.repairs = later;
        due.into_iter().for_each(|(_, repair)| self.repair(repair));
        if self.nodes[0].is_some() {
            load.look();
            load.start();
        }
    }

    #[track_caller]
    fn repair(&mut self, repair: Repair) {
        match repair {
            Repair::Node(number) => self.nodes[number] = Some(Node::start(&self.homes[number])),
            Repair::Cable(number) => {
                plug(self.lab, number);
                self.plugged[number] = true;
            }
        }
    }

    fn lender(&mut self) -> usize {
        let lenders = u64::try_from(self.homes.len() - 1).expect("a few hosts");
        1 + usize::try_from(self.random.below(lenders)).expect("one of a few")
    }

    fn cut(&mut self, number: usize) {
        if std::mem::replace(&mut self.plugged[number], false) {
            unplug(self.lab, number);
            self.cuts += 1;
            let longest = CABLE_OUT_MAX[usize::from(self.random.below(4) == 0)];
            self.repairs.push((Instant::now() + self.random.pause(longest), Repair::Cable(number)));
        }
    }

    #[track_caller]
    fn kill_home(&mut self, load: &mut Load<'_>) {
        if let Some(node) = self.nodes[0].take() {
            load.look();
            kill(node);
            self.killed_homes += 1;
            load.node_is_gone();
            self.comes_back(0);
        }
    }

    #[track_caller]
    fn kill_lender(&mut self) {
        let number = self.lender();
        if let Some(node) = self.nodes[number].take() {
            kill(node);
            self.killed_lenders += 1;
            self.comes_back(number);
        }
    }

    /// A node that was killed is started again: at once, or a while later.
    fn comes_back(&mut self, number: usize) {
        let away = self.random.pause(NODE_AWAY_MAX);
        let away = if self.random.below(3) == 0 { Duration::ZERO } else { away };
        self.repairs.push((Instant::now() + away, Repair::Node(number)));
    }

    /// The storm is over: all that is out of order is mended, and all see all.
    #[track_caller]
    pub(super) fn clear_up(&mut self) {
        let repairs = std::mem::take(&mut self.repairs);
        repairs.into_iter().for_each(|(_, repair)| self.repair(repair));
        until_all_see_all(self.homes);
    }

    /// Lets the nodes leave politely.
    #[track_caller]
    pub(super) fn end(self) {
        for mut node in self.nodes.into_iter().flatten() {
            assert_calm(&mut node);
            node.down();
        }
    }
}

#[track_caller]
fn kill(mut node: Node<'_>) {
    assert_calm(&mut node);
    node.die();
}

/// Whatever befell it, the node has not lost its head.
#[track_caller]
fn assert_calm(node: &mut Node<'_>) {
    let log = node.process().stderr.text();
    assert!(!log.contains("panicked") && !log.contains(" ERROR "), "{log}");
}

impl fmt::Display for Weather<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed_homes, killed_lenders, cuts, .. } = self;
        write!(f, "killed the home {killed_homes} times and a lender {killed_lenders} times, cut {cuts} cables")
    }
}
