//! Becoming a group and knowing each other: invitations, vouching, presence.

use potluck_tests::{Home, Node, guest, join, online_peers, pair, until, until_within};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// "A peer that dies is noticed within 10 s."
const DEATH_NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// "A peer that leaves politely disappears at once": well before its silence could have told.
const LEAVE_NOTICED_WITHIN: Duration = Duration::from_secs(3);

fn names(home: &Home) -> BTreeSet<String> {
    online_peers(home).iter().filter_map(|peer| peer["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn two_machines_that_never_met_pair_by_a_ticket() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (inviter, newcomer) = (Node::start(&ann), Node::start(&bob));
    assert!(online_peers(&ann).is_empty() && online_peers(&bob).is_empty(), "strangers are not listed");
    pair(&inviter, &newcomer);
    let peer = until("bob has told of himself", || online_peers(&ann).pop().filter(|peer| peer["info"].is_object()));
    assert_eq!(peer["name"], "bob");
    for field in [
        "id",
        "address",
        "last_seen_ms",
        "os",
        "arch",
        "cores",
        "memory_free_bytes",
        "load",
        "gpus",
        "engine",
        "jobs_running",
    ] {
        let found = peer.get(field).or_else(|| peer.pointer(&format!("/info/{field}")));
        assert!(found.is_some_and(|value| !value.is_null()), "peers --json has no {field}: {peer}");
    }
    let table = ann.potluck(["peers"]).finish().expect(0).out();
    assert!(table.contains("bob") && table.contains(std::env::consts::ARCH), "{table}");
}

#[test]
fn a_newcomer_without_a_daemon_can_join_and_send() {
    let ann = Home::new().named("ann");
    let inviter = Node::start(&ann);
    let bob = Home::new();
    join(&inviter, &bob);
    assert_eq!(bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish().expect(0).out(), "0\n");
}

#[test]
fn a_newcomer_invited_by_one_member_is_known_to_all() {
    let (ann, bob, eve) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("eve"));
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    let third = Node::start(&eve);
    // Bob, not Ann, invites Eve.
    join(&second, &eve);
    for (home, others) in [(&ann, ["bob", "eve"]), (&bob, ["ann", "eve"]), (&eve, ["ann", "bob"])] {
        until("everyone sees everyone", || (names(home) == others.map(str::to_owned).into()).then_some(()));
    }
    assert_eq!(eve.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish().expect(0).out(), "0\n");
    drop(third);
}

#[test]
fn a_peer_that_leaves_politely_disappears_at_once() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    second.down();
    until_within(LEAVE_NOTICED_WITHIN, "bob is no longer online", || online_peers(&ann).is_empty().then_some(()));
}

#[test]
fn a_peer_that_dies_is_noticed_within_ten_seconds() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    second.die();
    until_within(DEATH_NOTICED_WITHIN, "bob is no longer online", || online_peers(&ann).is_empty().then_some(()));
    // And comes back by itself.
    let _again = Node::start(&bob);
    until("bob is online again", || (names(&ann).contains("bob")).then_some(()));
}

#[test]
fn ten_nodes_on_one_host_are_one_group() {
    let homes: Vec<Home> = (0..10).map(|n| Home::new().named(&format!("node{n}"))).collect();
    let nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
    for newcomer in &homes[1..] {
        join(&nodes[0], newcomer);
    }
    for home in &homes {
        until("all nine others are online", || (online_peers(home).len() == 9).then_some(()));
    }
    for (from, to) in [(1, 9), (9, 4), (5, 0)] {
        let on = format!("node{to}");
        let finished = homes[from].run(["--json", "--on", &on]).arg(guest("weave")).arg("1").finish();
        assert!(finished.expect(0).json()["peer"].to_string().contains(&on), "{finished}");
    }
}

#[test]
fn a_peer_is_found_by_its_address_where_multicast_is_blocked() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    for home in [&ann, &bob] {
        home.potluck(["config", "set", "discovery", "false"]).finish().expect(0);
    }
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    // Bob comes back on another port; only somebody who says where can help.
    second.die();
    until("bob is gone", || online_peers(&ann).is_empty().then_some(()));
    let second = Node::start(&bob);
    let address = format!("127.0.0.1:{}", second.port());
    ann.potluck(["peers", "add", &address]).finish().expect(0);
    until("bob is online again", || names(&ann).contains("bob").then_some(()));
}

#[test]
fn an_address_where_nobody_is_or_somebody_else_is_refused_with_a_sentence() {
    let (ann, stranger) = (Home::new().named("ann"), Home::new().named("stranger"));
    let (_node, other) = (Node::start(&ann), Node::start(&stranger));
    let free = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
    for address in [
        free.to_string(),
        format!("127.0.0.1:{}", other.port()),
        "nonsense".to_owned(),
        "no.such.host.invalid:7420".to_owned(),
    ] {
        let finished = ann.potluck(["peers", "add", &address]).finish();
        assert_ne!(finished.code(), 0, "{finished}");
        finished.says(&[&address]);
    }
    assert!(online_peers(&ann).is_empty());
}

#[test]
fn watching_peers_shows_changes_as_they_come() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let first = Node::start(&ann);
    let watch = ann.potluck(["peers", "--watch"]).start();
    let second = Node::start(&bob);
    pair(&first, &second);
    watch.wait_for_stdout("bob");
    watch.signal(rustix::process::Signal::INT);
    assert!(matches!(watch.finish().code(), 0 | 130));
}

#[test]
fn a_job_without_a_place_goes_to_any_machine_of_the_group() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    for on in [&[][..], &["--on", "any"]] {
        let object = ann.run(["--json"]).args(on).arg(guest("weave")).arg("1").finish().expect(0).json();
        let peer = object["peer"].to_string();
        assert!(peer.contains("ann") || peer.contains("bob"), "{object}");
    }
    let object = ann.run(["--json", "--on", "local"]).arg(guest("weave")).arg("1").finish().expect(0).json();
    assert!(!object["peer"].to_string().contains("bob"), "{object}");
}

#[test]
fn a_node_that_does_not_lend_refuses_by_naming_the_rule() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    bob.potluck(["config", "set", "lend", "false"]).finish().expect(0);
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    ann.run(["--on", "bob"]).arg(guest("weave")).arg("1").finish().expect(125).says(&["bob", "lend"]);
    assert_eq!(ann.run([guest("weave")]).arg("1").finish().expect(0).out(), "0\n", "any machine that fits");
    assert_eq!(
        bob.run(["--on", "local"]).arg(guest("weave")).arg("1").finish().expect(0).out(),
        "0\n",
        "its owner may"
    );
}

#[test]
fn a_peer_is_named_by_its_name_its_short_id_or_its_id() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let first = Node::start(&ann);
    join(&first, &bob);
    let id =
        ann.potluck(["whoami", "--json"]).finish().expect(0).json()["id"].as_str().expect("it has an id").to_owned();
    for on in ["ann", &id, &id[..8]] {
        assert_eq!(bob.run(["--on", on]).arg(guest("weave")).arg("1").finish().expect(0).out(), "0\n");
    }
}

#[test]
fn the_book_of_peers_outlives_the_daemon() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    first.down();
    second.down();
    let (_first, _second) = (Node::start(&ann), Node::start(&bob));
    let start = Instant::now();
    until("both find each other again", || {
        (online_peers(&ann).len() == 1 && online_peers(&bob).len() == 1).then_some(())
    });
    eprintln!("found again after {:?}", start.elapsed());
}

#[test]
fn nothing_in_the_home_is_readable_by_others() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    use std::os::unix::fs::PermissionsExt;
    let data = fs::metadata(ann.config().join("data")).expect("there is data");
    assert_eq!(data.permissions().mode() & 0o077, 0);
    let listing = ann.potluck(["peers", "--json"]).finish().expect(0).json();
    assert!(matches!(listing, Value::Array(_) | Value::Object(_)));
}
