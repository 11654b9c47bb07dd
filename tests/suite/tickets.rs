//! A ticket is good once, for a while, and only as it was written.

use potluck_tests::{Home, Node, TicketPart, forge, join, online_peers, until};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

/// Tries a ticket that must not be good and checks that nobody knows anybody afterwards.
#[track_caller]
fn refused(inviter: &Home, ticket: &str, says: &[&str]) {
    let home = Home::new();
    let finished = home.potluck(["join", ticket]).finish();
    finished.expect(125).says(says);
    assert!(!finished.err().contains("panicked"), "{finished}");
    assert!(listed(&home).is_empty(), "the newcomer trusts somebody");
    assert!(online_peers(inviter).is_empty(), "the inviter trusts somebody");
}

fn listed(home: &Home) -> Vec<serde_json::Value> {
    let json = home.potluck(["peers", "--json"]).finish().expect(0).json();
    json.get("peers").unwrap_or(&json).as_array().cloned().expect("a list of peers")
}

#[test]
fn an_expired_ticket() {
    let ann = Home::new().named("ann");
    let _node = Node::start(&ann);
    let ticket = ann.potluck(["invite", "--approved", "--expires", "1s"]).finish().expect(0).out().trim().to_owned();
    let expired = SystemTime::now() + Duration::from_secs(2);
    until("the clock is past the expiry", || (SystemTime::now() > expired).then_some(()));
    refused(&ann, &ticket, &["expired"]);
    // The inviter goes by its own book, not by what the ticket says.
    refused(&ann, &forge(&ticket, TicketPart::Expiry), &["ticket"]);
}

#[test]
fn a_ticket_that_was_used() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let ticket = node.invite();
    let bob = Home::new().named("bob");
    bob.potluck(["join", &ticket]).finish().expect(0);
    refused(&ann, &ticket, &["used"]);
}

#[test]
fn one_ticket_raced_by_two_lets_one_in() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let ticket = node.invite();
    let homes = [Home::new(), Home::new(), Home::new()];
    let races: Vec<_> = homes.iter().map(|home| home.potluck(["join", &ticket]).start()).collect();
    let codes: Vec<i32> = races.into_iter().map(|race| race.finish().code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
}

#[test]
fn a_ticket_that_was_cut_off() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let ticket = node.invite();
    for length in [0, 1, 8, ticket.len() / 2, ticket.len() - 1] {
        refused(&ann, &ticket[..length], &["ticket"]);
    }
    // It was never used, so it is still good.
    let bob = Home::new();
    bob.potluck(["join", &ticket]).finish().expect(0);
}

#[test]
fn a_ticket_that_was_changed() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let ticket = node.invite();
    let place = |n: usize| ticket.len() - 1 - n * (ticket.len() - 12) / 6;
    for position in (0..6).map(place) {
        let mut forged = ticket.clone().into_bytes();
        forged[position] = if forged[position] == b'a' { b'b' } else { b'a' };
        let forged = String::from_utf8(forged).expect("a ticket is plain text");
        refused(&ann, &forged, &["ticket"]);
    }
    let bob = Home::new();
    bob.potluck(["join", &ticket]).finish().expect(0);
}

#[test]
fn a_ticket_that_is_whole_but_forged() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let ticket = node.invite();
    for part in [TicketPart::Id, TicketPart::Secret, TicketPart::Inviter] {
        refused(&ann, &forge(&ticket, part), &[]);
    }
    let bob = Home::new();
    bob.potluck(["join", &ticket]).finish().expect(0);
}

#[test]
fn a_ticket_of_a_node_that_is_gone() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let ticket = node.invite();
    node.down();
    let bob = Home::new();
    bob.potluck(["join", &ticket]).finish().expect(125).says(&["potluck up"]);
}

#[test]
fn a_ticket_that_is_something_else_altogether() {
    let ann = Home::new().named("ann");
    let _node = Node::start(&ann);
    for ticket in ["hello", "potluck", "../../etc/passwd", "☃", &"a".repeat(100_000)] {
        refused(&ann, ticket, &["ticket"]);
    }
}

#[test]
fn an_own_ticket() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let finished = ann.potluck(["join", &node.invite()]).finish();
    assert_ne!(finished.code(), 0, "{finished}");
    assert!(online_peers(&ann).is_empty());
}

#[test]
fn an_invitation_outlives_the_daemon_that_made_it() {
    let ann = Home::new().named("ann");
    let port =
        std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr()).expect("a port is free").port();
    ann.potluck(["config", "set", "port", &port.to_string()]).finish().expect(0);
    let node = Node::start(&ann);
    let ticket = node.invite();
    node.down();
    let _again = Node::start(&ann);
    let bob = Home::new();
    bob.potluck(["join", &ticket]).finish().expect(0);
}

#[test]
fn a_terminal_is_shown_a_qr_code_and_a_pipe_is_not() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let piped = ann.potluck(["invite"]).finish().expect(0).out();
    assert_eq!(piped.trim().lines().count(), 1, "a script gets the ticket alone: {piped}");
    let binary = potluck_tests::binary();
    let shell = format!("{} invite --no-wait", binary.display());
    let mut command = ann.command("script".as_ref());
    let shown =
        command.args(["-qec", &shell, "/dev/null"]).stdin(Stdio::null()).output().expect("script(1) can be run");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let blocks = shown.chars().filter(|c| matches!(c, '█' | '▀' | '▄')).count();
    assert!(blocks > 200, "no QR code: {shown}");
    drop(node);
}

#[test]
fn inviting_needs_a_daemon_and_says_so() {
    let ann = Home::new();
    let finished = ann.potluck(["invite"]).finish();
    assert_ne!(finished.code(), 0, "{finished}");
    finished.says(&["potluck up"]);
}

#[test]
fn several_newcomers_join_one_after_the_other() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let homes = [Home::new().named("bob"), Home::new().named("eve")];
    homes.iter().for_each(|home| join(&node, home));
    assert_eq!(listed(&ann).len(), 2);
}
