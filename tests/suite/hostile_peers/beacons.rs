//! Datagrams on the discovery port.

use super::scene::{Scene, attacked_in};
use potluck_node::identity::Identity;
use potluck_node::net::beacon::{BEACON_LEN, Beacon, BeaconKind};
use potluck_tests::online_peers;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

struct Voice {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Voice {
    fn on(scene: &Scene<'_>) -> Self {
        let port = scene.ann.potluck(["config", "get", "discovery_port"]).finish().expect(0).out();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port.trim().parse().expect("a test has a port of its own")));
        Self { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), to }
    }

    fn say(&self, datagram: &[u8]) {
        // The system may have no room for one more at the moment; the next will do.
        let _ = self.socket.send_to(datagram, self.to);
    }
}

fn identity(home: &potluck_tests::Home) -> Identity {
    Identity::load_or_create(&home.config().join("data")).unwrap()
}

fn beacon(kind: BeaconKind, id: &Identity, boot: u64, sequence: u64, port: u16) -> [u8; BEACON_LEN] {
    Beacon { kind, id: id.id(), boot, sequence, port }.sign(id)
}

#[test]
fn datagrams_that_are_no_beacons_are_not_even_looked_at() {
    attacked_in(|scene| {
        let voice = Voice::on(scene);
        for round in 0..20_000usize {
            voice.say(&vec![0x50; round % 1400]);
        }
    });
}

#[test]
fn forged_beacons_are_worth_a_look_and_nothing_more() {
    attacked_in(|scene| {
        let voice = Voice::on(scene);
        let (bob, eve) = (identity(scene.bob), identity(scene.eve));
        for sequence in 0..5_000 {
            // In Bob's name, signed by Eve; and in the name of somebody nobody knows.
            let mut forged = beacon(BeaconKind::Greeting, &eve, u64::MAX, sequence, 9);
            forged[5..37].copy_from_slice(bob.id().as_bytes());
            voice.say(&forged);
            voice.say(&beacon(BeaconKind::Goodbye, &Identity::from_seed(&[9; 32]), 1, sequence, 9));
        }
    });
}

#[test]
fn a_goodbye_that_is_said_again_sends_nobody_away() {
    attacked_in(|scene| {
        let _bob = potluck_tests::Node::start(scene.bob);
        let is_there = || online_peers(scene.ann).iter().any(|peer| peer["name"] == "bob");
        potluck_tests::until("Bob's node is seen", || is_there().then_some(()));
        let (voice, bob) = (Voice::on(scene), identity(scene.bob));
        // What Bob's node said in a boot long ago is his own word, and old.
        for sequence in 0..2_000 {
            voice.say(&beacon(BeaconKind::Goodbye, &bob, 1, sequence, 9));
        }
        scene.serves_bob();
        assert!(is_there());
    });
}

#[test]
fn a_member_that_is_everywhere_at_once_is_dialled_now_and_then() {
    attacked_in(|scene| {
        let (voice, eve) = (Voice::on(scene), identity(scene.eve));
        for sequence in 0..20_000u64 {
            let port = u16::try_from(1 + sequence % 60_000).unwrap();
            voice.say(&beacon(BeaconKind::Hello, &eve, 1, sequence, port));
        }
    });
}

#[test]
fn queries_by_the_thousand_are_answered_at_a_measured_pace() {
    attacked_in(|scene| {
        let (voice, eve) = (Voice::on(scene), identity(scene.eve));
        let waits = |seconds| voice.socket.set_read_timeout(Some(std::time::Duration::from_secs(seconds))).unwrap();
        // The first answer of a busy machine takes its time.
        waits(20);
        let start = std::time::Instant::now();
        for sequence in 0..10_000 {
            voice.say(&beacon(BeaconKind::Query, &eve, 1, sequence, 0));
        }
        let mut answers = 0u128;
        let mut datagram = [0; 200];
        while voice.socket.recv(&mut datagram).is_ok() {
            answers += 1;
            waits(2);
        }
        // One in fifty milliseconds, for as long as this went on.
        let most = start.elapsed().as_millis() / 50 + 2;
        assert!((1..=most).contains(&answers), "{answers} answers, at most {most}");
    });
}
