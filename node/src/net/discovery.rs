//! The talk of beacons: when to send which, whom to answer. What is heard goes to the driver as events; nothing is
//! decided about peers here.

use crate::defaults::{
    ADDRESSES_MAX, BEACON_ANSWER_PAUSE, BEACON_BURST, BEACON_INTERVAL, INTERFACE_SCAN_INTERVAL, PEERS_MAX,
};
use crate::driver::Core;
use crate::identity::NodeId;
use crate::net::beacon::{BEACON_LEN, Beacon, BeaconKind};
use crate::net::interfaces::{self, Interface};
use crate::net::link::unmapped;
use crate::net::multicast::{Datagram, Listener, Speaker};
use crate::state::peers::{Event, Sighting};
use std::collections::HashMap;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Single addresses greeted in a burst; more are found by dialling.
const GREETED_MAX: usize = 8 * ADDRESSES_MAX;
/// Pause after a socket reported an error, so that a broken network costs no processor.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// One node's part in the talk.
pub(crate) struct Discovery {
    core: Arc<Core>,
    port: u16,
    speaker: Speaker,
    listener: Listener,
    interfaces: Vec<Interface>,
    /// Where peers were, to be greeted directly where multicast does not pass.
    known: watch::Receiver<Vec<IpAddr>>,
    sequence: u64,
    /// When the rest of a burst is due.
    burst: VecDeque<Instant>,
    next_hello: Instant,
    next_scan: Instant,
    answered: HashMap<(NodeId, IpAddr), Instant>,
}

impl Discovery {
    /// Opens the sockets.
    ///
    /// # Errors
    /// What the system says when there is no socket for either family.
    pub(crate) fn open(core: Arc<Core>, port: u16, known: watch::Receiver<Vec<IpAddr>>) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            core,
            port,
            speaker: Speaker::open(port)?,
            listener: Listener::open(port)?,
            interfaces: Vec::new(),
            known,
            sequence: 0,
            burst: VecDeque::new(),
            next_hello: now,
            next_scan: now,
            answered: HashMap::new(),
        })
    }

    /// Talks until the node stops, then says goodbye.
    pub(crate) async fn run(mut self) {
        let stop = self.core.stop.clone();
        loop {
            let due = self.next_hello.min(self.next_scan).min(self.burst.front().copied().unwrap_or(self.next_hello));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(due) => self.on_time(Instant::now()).await,
                heard = self.listener.receive() => self.hear(heard).await,
                heard = self.speaker.receive() => self.hear(heard).await,
                changed = self.known.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.begin_burst(Instant::now());
                }
            }
        }
        self.announce(BeaconKind::Goodbye).await;
    }

    async fn on_time(&mut self, now: Instant) {
        if self.next_scan <= now {
            self.next_scan = now + INTERFACE_SCAN_INTERVAL;
            self.scan(now).await;
        }
        if self.burst.front().is_some_and(|due| *due <= now) {
            self.burst.pop_front();
            self.announce(BeaconKind::Greeting).await;
            self.greet_known().await;
        }
        if self.next_hello <= now {
            self.next_hello = now + BEACON_INTERVAL + jitter();
            self.announce(BeaconKind::Hello).await;
        }
    }

    /// Looks at the interfaces; when they changed, everyone is greeted anew.
    async fn scan(&mut self, now: Instant) {
        let interfaces = interfaces::list();
        if interfaces == self.interfaces {
            return;
        }
        let listening = self.listener.join(&interfaces);
        tracing::debug!(interfaces = interfaces.len(), listening, "network changed");
        self.interfaces.clone_from(&interfaces);
        *self.core.interfaces.write().unwrap_or_else(PoisonError::into_inner) = interfaces;
        self.begin_burst(now);
        self.core.report(Event::NetworkChanged).await;
    }

    fn begin_burst(&mut self, now: Instant) {
        self.burst = BEACON_BURST.iter().map(|pause| now + *pause).collect();
        self.next_hello = now + BEACON_INTERVAL + jitter();
    }

    async fn announce(&mut self, kind: BeaconKind) {
        let datagram = self.sign(kind);
        self.speaker.announce(&self.interfaces, &datagram).await;
    }

    async fn greet_known(&mut self) {
        let known: Vec<IpAddr> = self.known.borrow().iter().copied().take(GREETED_MAX).collect();
        let datagram = self.sign(BeaconKind::Greeting);
        for ip in known {
            self.speaker.tell(SocketAddr::new(ip, self.port), &datagram).await;
        }
    }

    fn sign(&mut self, kind: BeaconKind) -> [u8; BEACON_LEN] {
        self.sequence += 1;
        let (id, boot, port) = (self.core.identity.id(), self.core.boot, self.core.endpoint.port());
        Beacon { kind, id, boot, sequence: self.sequence, port }.sign(&self.core.identity)
    }

    async fn hear(&mut self, heard: io::Result<Datagram>) {
        let (bytes, len, from) = match heard {
            Ok(heard) => heard,
            Err(error) => {
                tracing::debug!(%error, "cannot hear beacons");
                tokio::time::sleep(ERROR_PAUSE).await;
                return;
            }
        };
        let pins = &self.core.pins;
        let wanted = |id: &NodeId| pins.is_pinned(id) || *id == pins.me();
        let Some(beacon) = Beacon::parse(&bytes[..len], wanted) else { return };
        let mut address = unmapped(from);
        address.set_port(beacon.port);
        if beacon.id == pins.me() {
            return self.hear_own_key(&beacon, address).await;
        }
        let says = match beacon.kind {
            BeaconKind::Query => None,
            BeaconKind::Hello | BeaconKind::Greeting => Some(Sighting::At(address)),
            BeaconKind::Goodbye => Some(Sighting::Leaving),
        };
        if matches!(beacon.kind, BeaconKind::Query | BeaconKind::Greeting) {
            self.answer(beacon.id, from).await;
        }
        if let Some(says) = says {
            let (peer, boot, sequence) = (beacon.id, beacon.boot, beacon.sequence);
            self.core.report(Event::Beacon { peer, boot, sequence, says }).await;
        }
    }

    /// Our own beacons come back on some networks, and commands of this machine ask with its key; whatever else has our key
    /// and listens is looked into.
    async fn hear_own_key(&self, beacon: &Beacon, address: SocketAddr) {
        let listens = matches!(beacon.kind, BeaconKind::Hello | BeaconKind::Greeting) && beacon.port != 0;
        let ours = beacon.boot == self.core.boot
            || (beacon.port == self.core.endpoint.port() && self.interfaces.iter().any(|at| at.ip == address.ip()));
        if listens && !ours {
            self.core.report(Event::OwnBeacon { address }).await;
        }
    }

    async fn answer(&mut self, peer: NodeId, to: SocketAddr) {
        let now = Instant::now();
        self.answered.retain(|_, last| now.duration_since(*last) < BEACON_ANSWER_PAUSE);
        let key = (peer, to.ip());
        if self.answered.contains_key(&key) || self.answered.len() >= PEERS_MAX {
            return;
        }
        self.answered.insert(key, now);
        let datagram = self.sign(BeaconKind::Hello);
        self.speaker.tell(to, &datagram).await;
    }
}

/// A part of the beacon interval, by chance.
fn jitter() -> Duration {
    let mut byte = [0u8; 1];
    let chance = if getrandom::fill(&mut byte).is_ok() { byte[0] } else { 0 };
    BEACON_INTERVAL * u32::from(chance) / 256
}
