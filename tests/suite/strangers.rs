//! Whoever is no member gets nothing, breaks nothing, and is not in the way of those who are.

use potluck_tests::{Home, Node, Stranger, guest, join, until};

/// The protocols nodes speak: among members, and to let a newcomer prove a ticket.
const MEMBERS: &str = "potluck/1";
const JOINING: &str = "potluck-join/1";

/// The node still serves its peer.
#[track_caller]
fn serves(peer: &Home) {
    let finished = peer.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish();
    assert_eq!(finished.expect(0).out(), "0\n");
}

fn with_a_peer(test: impl FnOnce(&Node<'_>, &Home)) {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let node = Node::start(&ann);
    join(&node, &bob);
    test(&node, &bob);
    serves(&bob);
}

#[test]
fn a_key_that_is_not_pinned_ends_in_the_handshake() {
    with_a_peer(|node, _| {
        let answer = Stranger::new().knock(node.port(), MEMBERS, &[0, 17, 0, 0, 0, 0]);
        let why = answer.expect_err("a stranger was answered");
        assert!(!why.contains("no answer at all"), "the refusal is no silence: {why}");
    });
}

#[test]
fn a_protocol_nobody_speaks_ends_in_the_handshake() {
    with_a_peer(|node, _| {
        for protocol in ["potluck/999", "h3", ""] {
            let why = Stranger::new().knock(node.port(), protocol, b"hello").expect_err("a stranger was answered");
            assert!(why.starts_with("handshake"), "{protocol}: {why}");
        }
    });
}

#[test]
fn garbage_on_the_joining_protocol_is_refused() {
    with_a_peer(|node, _| {
        let huge = [&[0, 21, 0xff, 0xff, 0xff, 0xff][..], &[0u8; 4096]].concat();
        for request in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 70_000], &huge] {
            // The joining protocol takes any key, so the handshake succeeds; the stream must lead nowhere.
            let answer = Stranger::new().knock(node.port(), JOINING, request);
            assert!(answer.as_ref().map_or(true, |bytes| bytes.len() < 1024), "{answer:?}");
        }
    });
}

#[test]
fn garbage_on_the_port_changes_nothing() {
    with_a_peer(|node, peer| {
        Stranger::send_garbage(node.port());
        serves(peer);
    });
}

#[test]
fn many_strangers_at_once_do_not_keep_a_member_out() {
    with_a_peer(|node, peer| {
        let port = node.port();
        let knocking: Vec<_> =
            (0..40).map(|_| std::thread::spawn(move || Stranger::new().knock(port, MEMBERS, b"").is_err())).collect();
        serves(peer);
        assert!(knocking.into_iter().all(|knock| knock.join().expect("a stranger does not panic")));
    });
}

#[test]
fn somebody_else_on_a_peers_address_is_not_taken_for_the_peer() {
    let (ann, bob, eve) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("ann"));
    let node = Node::start(&ann);
    let port = node.port().to_string();
    join(&node, &bob);
    node.down();
    // Eve calls herself ann and sits where Ann was.
    eve.potluck(["config", "set", "port", &port]).finish().expect(0);
    let _impostor = Node::start(&eve);
    let finished = bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish();
    assert_eq!(finished.expect(125).says(&["ann"]).out(), "");
}

#[test]
fn a_member_that_was_removed_is_a_stranger() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let node = Node::start(&ann);
    join(&node, &bob);
    serves(&bob);
    ann.potluck(["peers", "rm", "bob"]).finish().expect(0);
    until("bob is refused", || {
        let finished = bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish();
        (finished.code() == 125).then_some(())
    });
}
