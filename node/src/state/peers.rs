//! Who is online, whom to dial and when, and which of two connections to keep.
//!
//! Invariants:
//! 1. A peer is online if and only if it has a standing link: one that we dialled, or one on which it introduced itself.
//!    Links of single commands serve requests and say nothing about the peer's daemon.
//! 2. At most one dial per peer is under way, and one more when a beacon has told a new address meanwhile, which the
//!    first may never come to for waiting at an old one; at most [`DIALS_MAX`] in all.
//! 3. Of links that two nodes opened to each other at once, the one dialled by the smaller id stays, and only the node
//!    with the greater id closes one: its own.

pub use super::words::{Direction, Effect, Event, LinkId, Sighting, Time};
use crate::defaults::{
    ADDRESSES_MAX, DIAL_BACKOFF_MAX, DIAL_BACKOFF_MIN, DIAL_COURTESY, DIALS_MAX, INFO_INTERVAL, TWIN_MEMORY,
    TWIN_PROBE_PAUSE, TWIN_PROBES_MAX,
};

use crate::identity::NodeId;
use crate::net::link::CloseCode;
use crate::state::remarks;
use crate::wire::{NodeInfo, PeerState, Remark};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Debug)]
struct LinkState {
    direction: Direction,
    address: SocketAddr,
    standing: bool,
}

#[derive(Debug, Default)]
struct Peer {
    name: String,
    addresses: Vec<SocketAddr>,
    links: BTreeMap<LinkId, LinkState>,
    /// Dials under way.
    dials: usize,
    /// The first address was told by a beacon and has not been dialled.
    fresh: bool,
    failures: u32,
    dial_at: Time,
    info_at: Time,
    last_seen: Option<Time>,
    info: Option<NodeInfo>,
    /// Its owner has not said yes to this node yet, as it says itself.
    not_approved: bool,
    /// Where another key answered in its place.
    other_key: Option<SocketAddr>,
    /// When it was last proved that two machines hold its key, and where they are.
    twins: Option<(Time, Vec<SocketAddr>)>,
    /// The newest beacon heard: boot, then sequence. An older one is a replay.
    beacon: (u64, u64),
}

impl Peer {
    /// The newest standing link.
    fn standing(&self) -> Option<(LinkId, &LinkState)> {
        self.links.iter().rev().find(|(_, link)| link.standing).map(|(id, link)| (*id, link))
    }

    /// Whether a dial may start, as far as those under way are concerned.
    fn may_dial(&self) -> bool {
        !self.addresses.is_empty() && (self.dials == 0 || (self.fresh && self.dials == 1))
    }

    /// What people should know of it.
    fn remarks(&self, now: Time) -> Vec<Remark> {
        let twins = self.twins.iter().filter(|(at, _)| *at + TWIN_MEMORY > now);
        let twins = twins.map(|(_, addresses)| remarks::twins(&self.name, addresses));
        let not_approved = self.not_approved.then(|| remarks::not_approved(&self.name));
        let other_key = self.other_key.map(|address| remarks::other_key(&self.name, address));
        twins.chain(not_approved).chain(other_key).collect()
    }

    /// Puts an address in front; whether that changed anything.
    fn learn(&mut self, address: SocketAddr) -> bool {
        if self.addresses.first() == Some(&address) {
            return false;
        }
        self.addresses.retain(|known| *known != address);
        self.addresses.insert(0, address);
        self.addresses.truncate(ADDRESSES_MAX);
        true
    }
}

/// Every pinned peer and what is known of it.
#[derive(Debug)]
pub struct Peers {
    me: NodeId,
    peers: BTreeMap<NodeId, Peer>,
    owners: BTreeMap<LinkId, NodeId>,
    /// When another machine with this node's key was last seen, by whom, and where.
    own_twin: Option<(Time, TwinSeen)>,
    /// Where beacons with the own key came from, and when that was last looked into; at most [`TWIN_PROBES_MAX`].
    probed: BTreeMap<SocketAddr, Time>,
}

/// Another machine with this node's own key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TwinSeen {
    /// The peer that says so; none when it was proved here.
    by: Option<NodeId>,
    addresses: Vec<SocketAddr>,
}

impl Peers {
    /// Nobody yet.
    #[must_use]
    pub const fn new(me: NodeId) -> Self {
        Self { me, peers: BTreeMap::new(), owners: BTreeMap::new(), own_twin: None, probed: BTreeMap::new() }
    }

    /// Takes in what happened at `now` and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Pinned { peer, name, addresses } => self.pinned(peer, name, &addresses, now),
            Event::Unpinned { peer } => self.unpinned(peer, &mut effects),
            Event::Beacon { peer, boot, sequence, says } => {
                self.beacon(peer, (boot, sequence), says, now, &mut effects)
            }
            Event::LinkUp { peer, link, direction, address } => {
                self.link_up(peer, link, direction, address, now, &mut effects);
            }
            Event::Introduced { link } => self.introduced(link, now, &mut effects),
            Event::Goodbye { link } => {
                if let Some(peer) = self.owners.get(&link).copied() {
                    self.left(peer, now, &mut effects);
                }
            }
            Event::LinkDown { link, leaving } => self.link_down(link, leaving, now),
            Event::DialFailed { peer } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.dials = peer.dials.saturating_sub(1);
                    peer.failures = peer.failures.saturating_add(1);
                    peer.dial_at = now + backoff(peer.failures);
                }
            }
            Event::NotApproved { peer } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.not_approved = true;
                }
            }
            Event::OtherKey { peer, address } => {
                if let Some(peer) = self.peers.get_mut(&peer).filter(|peer| peer.standing().is_none()) {
                    peer.other_key = Some(address);
                }
            }
            Event::OwnBeacon { address } => {
                self.probed.retain(|_, at| *at + TWIN_PROBE_PAUSE > now);
                if self.probed.len() < TWIN_PROBES_MAX && !self.probed.contains_key(&address) {
                    self.probed.insert(address, now);
                    effects.push(Effect::ProbeTwin { address });
                }
            }
            Event::Twins { id, addresses } if id == self.me => {
                self.own_twin = Some((now, TwinSeen { by: None, addresses }));
            }
            Event::Twins { id, addresses } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.twins = Some((now, addresses));
                }
            }
            Event::TwinTold { by, addresses } => {
                let proved =
                    self.own_twin.as_ref().is_some_and(|(at, seen)| seen.by.is_none() && *at + TWIN_MEMORY > now);
                if !proved {
                    self.own_twin = Some((now, TwinSeen { by: Some(by), addresses }));
                }
            }
            Event::Info { info } => self.info(*info, now, &mut effects),
            Event::NetworkChanged => {
                for peer in self.peers.values_mut() {
                    peer.failures = 0;
                    peer.dial_at = peer.dial_at.min(now);
                }
            }
            Event::Tick => self.tick(now, &mut effects),
        }
        effects
    }

    /// The newest standing link to each online peer.
    pub fn standing_links(&self) -> impl Iterator<Item = LinkId> {
        self.peers.values().filter_map(|peer| peer.standing().map(|(link, _)| link))
    }

    /// Everyone, as a list for people.
    #[must_use]
    pub fn list(&self, now: Time) -> Vec<PeerState> {
        let line = |(id, peer): (&NodeId, &Peer)| {
            let standing = peer.standing().map(|(_, link)| link.address);
            PeerState {
                id: *id,
                name: peer.name.clone(),
                address: standing.or_else(|| peer.addresses.first().copied()),
                online: standing.is_some(),
                last_seen_ms: peer
                    .last_seen
                    .map(|seen| u64::try_from(now.saturating_sub(seen).as_millis()).unwrap_or(u64::MAX)),
                info: peer.info.clone(),
                remarks: peer.remarks(now),
            }
        };
        self.peers.iter().map(line).collect()
    }

    /// What people should know of this node.
    #[must_use]
    pub fn own_remarks(&self, now: Time) -> Vec<Remark> {
        let fresh = self.own_twin.iter().filter(|(at, _)| *at + TWIN_MEMORY > now);
        let name = |id: &NodeId| self.peers.get(id).map_or_else(|| id.short(), |peer| peer.name.clone());
        fresh.map(|(_, seen)| remarks::own_twin(seen.by.as_ref().map(name).as_deref(), &seen.addresses)).collect()
    }

    fn pinned(&mut self, id: NodeId, name: String, addresses: &[SocketAddr], now: Time) {
        if id == self.me {
            return;
        }
        let peer = self.peers.entry(id).or_insert_with(|| Peer { dial_at: now, ..Peer::default() });
        peer.name = name;
        for address in addresses {
            if !peer.addresses.contains(address) && peer.addresses.len() < ADDRESSES_MAX {
                peer.addresses.push(*address);
                peer.dial_at = peer.dial_at.min(now);
            }
        }
    }

    fn unpinned(&mut self, id: NodeId, effects: &mut Vec<Effect>) {
        let Some(peer) = self.peers.remove(&id) else { return };
        for link in peer.links.into_keys() {
            self.owners.remove(&link);
            effects.push(Effect::Close { link, code: CloseCode::NOT_A_PEER });
        }
    }

    fn beacon(&mut self, id: NodeId, number: (u64, u64), says: Sighting, now: Time, effects: &mut Vec<Effect>) {
        let courtesy = self.courtesy(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if number <= peer.beacon {
            return;
        }
        let new_boot = number.0 > peer.beacon.0;
        peer.beacon = number;
        match says {
            Sighting::Leaving => self.left(id, now, effects),
            Sighting::At(address) => {
                peer.last_seen = Some(now);
                let new_address = !peer.addresses.contains(&address);
                if peer.standing().is_none() {
                    peer.learn(address);
                    peer.fresh |= new_boot || new_address;
                    let soon = if new_boot || new_address { Duration::ZERO } else { DIAL_BACKOFF_MIN };
                    peer.dial_at = peer.dial_at.min(now + courtesy + soon);
                } else if new_address && peer.addresses.len() < ADDRESSES_MAX {
                    peer.addresses.push(address);
                }
            }
        }
    }

    fn link_up(
        &mut self,
        id: NodeId,
        link: LinkId,
        direction: Direction,
        address: SocketAddr,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            // It was removed while the handshake was under way.
            effects.push(Effect::Close { link, code: CloseCode::NOT_A_PEER });
            return;
        };
        peer.last_seen = Some(now);
        let standing = direction == Direction::Dialled;
        peer.links.insert(link, LinkState { direction, address, standing });
        self.owners.insert(link, id);
        if standing {
            peer.dials = peer.dials.saturating_sub(1);
            // Told again when the other side ends this one too.
            peer.not_approved = false;
            effects.push(Effect::Introduce { link });
            self.stands(id, link, now, effects);
        }
    }

    fn introduced(&mut self, link: LinkId, now: Time, effects: &mut Vec<Effect>) {
        let Some(id) = self.owners.get(&link).copied() else { return };
        let Some(state) = self.peers.get_mut(&id).and_then(|peer| peer.links.get_mut(&link)) else { return };
        if !state.standing {
            state.standing = true;
            self.stands(id, link, now, effects);
        }
    }

    /// A link of this peer has come to stand: the peer is online, and links too many are closed.
    fn stands(&mut self, id: NodeId, link: LinkId, now: Time, effects: &mut Vec<Effect>) {
        let greater = self.me > id;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(address) = peer.links.get(&link).map(|state| state.address) else { return };
        peer.other_key = None;
        let stood = peer.links.iter().rev().find(|(other, state)| state.standing && **other != link);
        if let Some((stood, _)) = stood {
            effects.push(Effect::Compare { peer: id, links: [*stood, link] });
        }
        peer.fresh = false;
        peer.info_at = now;
        if peer.learn(address) {
            effects.push(remember(id, peer));
        }
        let newest = |direction| {
            let of = |(_, link): &(&LinkId, &LinkState)| link.standing && link.direction == direction;
            peer.links.iter().rev().find(of).map(|(link, _)| *link)
        };
        let (dialled, accepted) = (newest(Direction::Dialled), newest(Direction::Accepted));
        for (link, state) in peer.links.iter_mut().filter(|(_, state)| state.standing) {
            let keep = match state.direction {
                Direction::Dialled => dialled == Some(*link) && !(greater && accepted.is_some()),
                Direction::Accepted => accepted == Some(*link),
            };
            if !keep {
                state.standing = false;
                effects.push(Effect::Close { link: *link, code: CloseCode::DUPLICATE });
            }
        }
    }

    /// The peer said that it leaves: it is offline now, and dialled again only after a while or when it is heard of.
    fn left(&mut self, id: NodeId, now: Time, effects: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for (link, state) in peer.links.iter_mut().filter(|(_, state)| state.standing) {
            state.standing = false;
            effects.push(Effect::Close { link: *link, code: CloseCode::DONE });
        }
        peer.info = None;
        peer.dial_at = now + DIAL_BACKOFF_MAX;
    }

    fn link_down(&mut self, link: LinkId, leaving: bool, now: Time) {
        let Some(id) = self.owners.remove(&link) else { return };
        let courtesy = self.courtesy(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let stood = peer.links.remove(&link).is_some_and(|state| state.standing);
        if stood && peer.standing().is_none() {
            peer.info = None;
            // A peer that lets us in and never answers, because it no longer trusts us, is dialled less and less.
            peer.failures = peer.failures.saturating_add(1);
            peer.dial_at = now + if leaving { DIAL_BACKOFF_MAX } else { courtesy + backoff(peer.failures) };
        }
    }

    fn info(&mut self, info: NodeInfo, now: Time, effects: &mut Vec<Effect>) {
        let id = info.id;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.last_seen = Some(now);
        peer.failures = 0;
        peer.not_approved = false;
        let mut news = peer.name != info.name;
        peer.name.clone_from(&info.name);
        for address in &info.addresses {
            if !peer.addresses.contains(address) && peer.addresses.len() < ADDRESSES_MAX {
                peer.addresses.push(*address);
                news = true;
            }
        }
        if news {
            effects.push(remember(id, peer));
        }
        if peer.standing().is_some() {
            peer.info = Some(info);
        }
    }

    fn tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let mut dials = self.peers.values().map(|peer| peer.dials).sum::<usize>();
        for (id, peer) in &mut self.peers {
            if let Some((link, _)) = peer.standing() {
                if peer.info_at <= now {
                    peer.info_at = now + INFO_INTERVAL;
                    effects.push(Effect::AskInfo { link });
                }
            } else if peer.may_dial() && peer.dial_at <= now && dials < DIALS_MAX {
                let fresh_only = peer.dials > 0;
                dials += 1;
                peer.dials += 1;
                peer.fresh = false;
                let addresses = peer.addresses.iter().copied().take(if fresh_only { 1 } else { ADDRESSES_MAX });
                effects.push(Effect::Dial { peer: *id, addresses: addresses.collect() });
            }
        }
    }

    /// How long this node lets that one dial first.
    fn courtesy(&self, peer: NodeId) -> Duration {
        if self.me > peer { DIAL_COURTESY } else { Duration::ZERO }
    }
}

fn remember(id: NodeId, peer: &Peer) -> Effect {
    Effect::Remember { peer: id, name: peer.name.clone(), addresses: peer.addresses.clone() }
}

fn backoff(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    DIAL_BACKOFF_MIN.saturating_mul(doubled).min(DIAL_BACKOFF_MAX)
}

#[cfg(test)]
mod tests;
