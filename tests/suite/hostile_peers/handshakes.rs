//! Before anything is said: versions, keys, certificates, and handshakes that nobody finishes.

use super::scene::{attacked, attacked_in};
use potluck_node::wire::Tag;
use potluck_tests::Rogue;
use quinn::Endpoint;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Whoever is not let in is told so: by the handshake, or by the first thing said after it.
async fn turned_away(rogue: &Rogue, protocol: &str) -> String {
    match rogue.connect(protocol).await {
        Err(why) => why,
        Ok(line) => line.ended().await,
    }
}

#[test]
fn a_version_to_come_is_refused_by_name() {
    attacked(async |eve| {
        for protocol in ["potluck/2", "potluck/", "potluck/1\0", "h3"] {
            let why = turned_away(&eve, protocol).await;
            assert!(why.contains("120"), "no_application_protocol is what TLS calls it: {why}");
        }
    });
}

#[test]
fn keys_that_nobody_pinned_are_turned_away_whatever_their_kind() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
                let why = turned_away(&Rogue::stranger(algorithm, scene.port), "potluck/1").await;
                assert!(why.contains("closed by peer") || why.contains("aborted by peer"), "{why}");
            }
        });
    });
}

#[test]
fn a_chain_of_certificates_without_end_is_not_read() {
    attacked(async |eve| {
        let why = turned_away(&eve.with_chain(200, 60_000), "potluck/1").await;
        assert!(why.contains("by peer") || why.contains("handshake"), "{why}");
    });
}

#[test]
fn nothing_is_taken_before_the_handshake_is_over() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            let eve = scene.rogue();
            let line = eve.line().await;
            line.ask(Tag::INFO, b"").await;
            // A session of before would let requests come in the first packet, unproved; the node gives none to go on from.
            let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            assert!(eve.connects_early(&endpoint).await.is_none());
        });
    });
}

/// What a client sends first, caught on its way to a place where nobody is.
fn first_datagram(eve: &Rogue) -> Vec<u8> {
    let nowhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = nowhere.local_addr().unwrap().port();
    let lost = eve.at(port);
    let runtime = Runtime::new().unwrap();
    let trying = runtime.spawn(async move { lost.connect("potluck/1").await.map(drop) });
    let mut datagram = [0; 2048];
    let len = nowhere.recv(&mut datagram).unwrap();
    trying.abort();
    runtime.shutdown_background();
    datagram[..len].to_vec()
}

#[test]
fn handshakes_that_nobody_finishes_keep_no_member_out() {
    attacked_in(|scene| {
        let datagram = first_datagram(&scene.rogue());
        let node = SocketAddr::from((Ipv4Addr::LOCALHOST, scene.port));
        let sockets: Vec<_> = (0..1500)
            .map(|_| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                socket.send_to(&datagram, node).unwrap();
                socket
            })
            .collect();
        scene.serves_bob();
        drop(sockets);
    });
}

#[test]
fn a_first_datagram_said_over_and_over_is_one_handshake() {
    attacked_in(|scene| {
        let datagram = first_datagram(&scene.rogue());
        let node = SocketAddr::from((Ipv4Addr::LOCALHOST, scene.port));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..20_000 {
            // The system may have no room for one more at the moment; the next will do.
            let _ = socket.send_to(&datagram, node);
        }
        scene.serves_bob();
    });
}

#[test]
fn a_storm_of_connections_wears_nothing_out() {
    attacked(async |eve| {
        for _ in 0..300 {
            let line = eve.line().await;
            line.connection.close(7u32.into(), b"again");
        }
    });
}

#[test]
fn connections_are_bounded_for_each_peer() {
    attacked(async |eve| {
        let mut lines = Vec::new();
        for _ in 0..160 {
            lines.push(eve.line().await);
        }
        // The node says that it is full; it says so to Eve alone.
        let ended = async |line: &potluck_tests::Line| line.ended().await;
        let why = ended(lines.last().unwrap()).await;
        assert!(why.contains("closed by peer: 4"), "{why}");
        let (tag, _) = lines[0].ask(Tag::INFO, b"").await;
        assert_eq!(tag, Tag::INFO_IS);
    });
}

#[test]
fn connections_that_say_nothing_are_kept_and_cost_little() {
    attacked(async |eve| {
        let mut lines = Vec::new();
        for _ in 0..60 {
            lines.push(eve.line().await);
        }
        tokio::time::timeout(Duration::from_secs(1), lines[0].connection.closed()).await.unwrap_err();
        let (tag, _) = lines[59].ask(Tag::INFO, b"").await;
        assert_eq!(tag, Tag::INFO_IS);
    });
}
