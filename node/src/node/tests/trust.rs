//! Trust as it is lived, between real nodes on loopback: first contact, revocation, copied identities, clocks that differ.

use super::*;
use crate::config::Vouched;
use crate::net::quic::Joining;
use crate::wire::{JoinHello, JoinProof, WhichKey};

const SOON: Duration = Duration::from_secs(10);
const HOURS: Duration = Duration::from_secs(7 * 3600);

async fn node(name: &str) -> TestNode {
    TestNode::start(name, Discover::Off).await
}

async fn node_with(name: &str, clock: Clock, set: impl FnOnce(&mut Config)) -> TestNode {
    let mut test = node(name).await;
    test.leave().await;
    test.restart_with(name, Discover::Off, clock, set).await;
    test
}

async fn decide(node: &TestNode, tag: Tag, key: NodeId) -> Result<(), Fault> {
    node.tell(Frame::message(tag, &WhichKey { key })).await
}

async fn pending(node: &TestNode) -> Vec<NodeId> {
    node.peers().await.pending.iter().map(|peer| peer.id).collect()
}

async fn trusted(node: &TestNode) -> Vec<NodeId> {
    node.peers().await.peers.iter().map(|peer| peer.id).collect()
}

async fn remarks_about(node: &TestNode, peer: NodeId) -> Vec<String> {
    let list = node.peers().await.peers;
    list.iter().filter(|state| state.id == peer).flat_map(|state| &state.remarks).map(|r| r.kind.clone()).collect()
}

async fn own_remarks(node: &TestNode) -> Vec<String> {
    node.peers().await.remarks.iter().map(|remark| remark.kind.clone()).collect()
}

/// Ann has let bob and cid in.
async fn group_of_three() -> [TestNode; 3] {
    let (ann, bob, cid) = (node("ann").await, node("bob").await, node("cid").await);
    for newcomer in [&bob, &cid] {
        newcomer.join(&ann.invite().await).await.unwrap();
    }
    for node in [&ann, &bob, &cid] {
        within(SOON, "everyone sees everyone", || async { node.online().await.len() == 2 }).await;
    }
    [ann, bob, cid]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_waits_can_do_nothing_and_is_in_by_itself_once_yes_is_said() {
    let (ann, bob) = (node("ann").await, node("bob").await);
    let ticket = ann.invite_for(false).await;
    bob.join(&ticket).await.unwrap();
    assert_eq!((pending(&ann).await, trusted(&ann).await), (vec![bob.id()], vec![]));
    let told = || async { remarks_about(&bob, ann.id()).await == ["not_approved"] };
    within(SOON, "bob knows what it waits for", told).await;
    let book = BookStore::in_dir(&bob.paths.data_dir).read().unwrap();
    for request in [Tag::SUBMIT, Tag::MEMBERS, Tag::INFO, Tag::FETCH_ARTIFACT, Tag::OWNER_PEERS] {
        let (_endpoint, link) = dial(&bob.identity, &book, ann.id(), &[ann.address()]).await.unwrap();
        let answer = async {
            let mut stream = link.open_stream().await.map_err(|_| ())?;
            stream.writer.send_empty(request).await.map_err(|_| ())?;
            stream.reader.expect_any().await.map_err(|_| ())
        };
        assert!(answer.await.is_err(), "{request} was answered");
        assert_eq!(link.closed().await, Closed::There(crate::net::link::CloseCode::NOT_APPROVED));
    }
    let dan = node("dan").await;
    assert_eq!(dan.join(&ticket).await.unwrap_err().code, FaultCode::TICKET_USED, "the place is bob's");
    decide(&ann, Tag::OWNER_APPROVE, bob.id()).await.unwrap();
    let both = || async { ann.online().await == [bob.id()] && bob.online().await == [ann.id()] };
    within(SOON, "both are online", both).await;
    within(SOON, "nothing is waited for", || async { remarks_about(&bob, ann.id()).await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_denied_or_removed_does_not_come_back_by_the_ticket_it_used() {
    let (ann, bob, cid) = (node("ann").await, node("bob").await, node("cid").await);
    let (asks, enters) = (ann.invite_for(false).await, ann.invite().await);
    bob.join(&asks).await.unwrap();
    decide(&ann, Tag::OWNER_DENY, bob.id()).await.unwrap();
    assert_eq!(bob.join(&asks).await.unwrap_err().code, FaultCode::NOT_ALLOWED);
    cid.join(&enters).await.unwrap();
    ann.tell(Frame::message(Tag::OWNER_REMOVE_PEER, &RemovePeer { peer: cid.id() })).await.unwrap();
    assert_eq!(cid.join(&enters).await.unwrap_err().code, FaultCode::NOT_ALLOWED);
    assert_eq!((pending(&ann).await, trusted(&ann).await), (vec![], vec![]));
    assert_eq!(decide(&ann, Tag::OWNER_APPROVE, bob.id()).await.unwrap_err().code, FaultCode::NOT_FOUND);
    bob.join(&ann.invite().await).await.unwrap();
    assert_eq!(trusted(&ann).await, [bob.id()], "a new ticket is a new yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_owner_is_asked_somebody_vouched_for_waits() {
    let ann = node("ann").await;
    let bob = node_with("bob", Clock::system(), |config| config.vouched = Vouched::Ask).await;
    bob.join(&ann.invite().await).await.unwrap();
    let cid = node("cid").await;
    cid.join(&ann.invite().await).await.unwrap();
    within(SOON, "cid waits at bob", || async { pending(&bob).await == [cid.id()] }).await;
    let entry = bob.peers().await.pending.remove(0);
    assert_eq!((entry.name.as_str(), entry.vouched_by), ("cid", Some(ann.id())));
    assert_eq!(trusted(&bob).await, [ann.id()]);
    decide(&bob, Tag::OWNER_APPROVE, cid.id()).await.unwrap();
    within(SOON, "bob and cid meet", || async { cid.online().await.contains(&bob.id()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_acts_at_once_and_reaches_those_who_trusted_by_the_revokers_word() {
    let [ann, bob, cid] = group_of_three().await;
    let book = BookStore::in_dir(&cid.paths.data_dir).read().unwrap();
    let (_endpoint, link) = dial(&cid.identity, &book, ann.id(), &[ann.address()]).await.unwrap();
    link.info().await.unwrap();
    decide(&ann, Tag::OWNER_REVOKE, cid.id()).await.unwrap();
    let closed =
        tokio::time::timeout(Duration::from_secs(5), link.closed()).await.expect("before its link is given up");
    assert_eq!(closed, Closed::There(crate::net::link::CloseCode::NOT_A_PEER));
    within(SOON, "bob has heard of it", || async { trusted(&bob).await == [ann.id()] }).await;
    let revoked = bob.peers().await.revoked.remove(0);
    assert_eq!((revoked.id, revoked.revoker, revoked.trusted), (cid.id(), ann.id(), false));
    decide(&bob, Tag::OWNER_APPROVE, cid.id()).await.unwrap();
    assert!(trusted(&bob).await.contains(&cid.id()), "bob's owner decides for bob");
    assert_eq!(trusted(&ann).await, [bob.id()], "and for nobody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_revokes_everybody_is_shown_and_puts_out_nobody() {
    let [ann, bob, cid] = group_of_three().await;
    decide(&cid, Tag::OWNER_REVOKE, ann.id()).await.unwrap();
    let shown = || async { remarks_about(&bob, ann.id()).await == ["revoked_elsewhere"] };
    within(SOON, "bob is told what cid says of ann", shown).await;
    assert!(bob.peers().await.revoked.iter().all(|peer| peer.id == ann.id() && peer.trusted));
    decide(&cid, Tag::OWNER_REVOKE, bob.id()).await.unwrap();
    let stays = || async { ann.online().await == [bob.id()] && bob.online().await == [ann.id()] };
    within(SOON, "ann and bob go on", stays).await;
    assert_eq!(trusted(&cid).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_clocks_that_are_hours_apart_is_a_group() {
    let ann = node_with("ann", Clock::system(), |_| {}).await;
    let bob = node_with("bob", Clock::ahead_by(HOURS), |_| {}).await;
    let cid = node_with("cid", Clock::behind_by(HOURS), |_| {}).await;
    // The newcomers' clocks say that these tickets expired long ago, or are from the future.
    bob.join(&ann.invite().await).await.unwrap();
    cid.join(&bob.invite().await).await.unwrap();
    for node in [&ann, &bob, &cid] {
        within(SOON, "everyone sees everyone", || async { node.online().await.len() == 2 }).await;
    }
    // Bob put cid out by a clock that is fourteen hours ahead of cid's; ann trusted cid by bob's word.
    decide(&bob, Tag::OWNER_REVOKE, cid.id()).await.unwrap();
    within(SOON, "ann follows bob", || async { trusted(&ann).await == [bob.id()] }).await;
    // And in again, by a clock that has been set right meanwhile, which is to say back.
    let mut bob = bob;
    bob.leave().await;
    bob.restart("bob", Discover::Off).await;
    cid.join(&bob.invite().await).await.unwrap();
    within(SOON, "ann has cid again", || async { ann.online().await.contains(&cid.id()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_late_by_the_inviters_clock_whatever_the_newcomers_says() {
    for (clock, late) in [(Clock::behind_by(HOURS), true), (Clock::ahead_by(HOURS), false)] {
        let (ann, dan) = (node("ann").await, node_with("dan", clock, |_| {}).await);
        let invitations = Invitations::in_dir(&ann.paths.data_dir);
        let now = Clock::system().unix_now();
        let expires = if late { now - 1 } else { now + 600 };
        let ticket = invitations.make(ann.id(), &[ann.address()], now - 60, expires, Grant::Enters).unwrap();
        ann.node().core.pins.set_door(true);
        let joined = dan.join(&ticket.to_string()).await;
        assert_eq!(joined.map_err(|fault| fault.code), if late { Err(FaultCode::TICKET_EXPIRED) } else { Ok(()) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_in_one_joining_is_worth_nothing_in_another() {
    let ann = node("ann").await;
    let ticket: Ticket = ann.invite().await.parse().unwrap();
    let eve = Identity::generate().unwrap();
    let endpoint = QuicEndpoint::dial_only(&eve, Arc::new(Pins::new(eve.id(), []))).unwrap();
    let joining = || async { endpoint.dial_joining(ann.id(), &[ann.address()]).await.unwrap() };
    // Eve has overheard everything that a newcomer would say on one connection, and says it on another.
    let hello = JoinHello { ticket: ticket.id.0, name: "eve".into(), nonce: [7; 32], addresses: vec![] };
    let first: Joining = joining().await;
    let mut stream = first.open_stream().await.unwrap();
    stream.writer.send_message(Tag::JOIN, &hello).await.unwrap();
    let challenge: crate::wire::JoinChallenge = stream.reader.expect_message(Tag::JOIN_CHALLENGE).await.unwrap();
    let transcript = crate::trust::join::Transcript {
        inviter: ann.id(),
        newcomer: eve.id(),
        newcomer_nonce: hello.nonce,
        inviter_nonce: challenge.nonce,
        exporter: first.exporter,
    };
    // What is reflected proves nothing, and neither does the right proof on the wrong connection.
    let proofs = [challenge.proof, transcript.inviter_proof(&ticket.secret), [0; 32]];
    for proof in proofs {
        let again: Joining = joining().await;
        let mut stream = again.open_stream().await.unwrap();
        stream.writer.send_message(Tag::JOIN, &hello).await.unwrap();
        let _: crate::wire::JoinChallenge = stream.reader.expect_message(Tag::JOIN_CHALLENGE).await.unwrap();
        stream.writer.send_message(Tag::JOIN_PROOF, &JoinProof { proof }).await.unwrap();
        let answer = stream.reader.expect_any().await;
        assert!(
            matches!(&answer, Err(FrameError::Fault(fault)) if fault.code == FaultCode::TICKET_FORGED),
            "{answer:?}"
        );
    }
    assert_eq!((trusted(&ann).await, pending(&ann).await), (vec![], vec![]));
}

/// A second machine with the files of `original`, which does not run.
async fn copy_of(original: &TestNode) -> TestNode {
    let mut copy = node("copy").await;
    copy.leave().await;
    for file in [crate::identity::IDENTITY_FILE, crate::trust::book::BOOK_FILE] {
        let from = original.paths.data_dir.join(file);
        // A node that has no peers has no book.
        if from.exists() {
            std::fs::copy(from, copy.paths.data_dir.join(file)).unwrap();
        }
    }
    copy.identity = original.identity.clone();
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_with_one_identity_are_told_apart_by_a_peer_which_tells_them() {
    let (ann, bob) = pair().await;
    let mut copy = copy_of(&bob).await;
    copy.restart("bob", Discover::Off).await;
    within(SOON, "ann sees two", || async { remarks_about(&ann, bob.id()).await == ["copied_identity"] }).await;
    for twin in [&bob, &copy] {
        within(SOON, "both are told", || async { own_remarks(twin).await == ["copied_identity"] }).await;
    }
    let text = bob.peers().await.remarks.remove(0).text;
    assert!(text.contains("ann says") && text.contains("potluck identity new"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_with_one_identity_that_nobody_else_sees_find_each_other_by_their_beacons() {
    let mut bob = node("bob").await;
    let mut copy = copy_of(&bob).await;
    let port = free_port();
    bob.leave().await;
    bob.restart("bob", Discover::On(port)).await;
    copy.restart("bob", Discover::On(port)).await;
    for twin in [&bob, &copy] {
        within(SOON, "each has seen the other", || async { own_remarks(twin).await == ["copied_identity"] }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_a_new_address_and_commands_beside_the_daemon_make_no_twin() {
    let (mut ann, mut bob) = pair().await;
    let port = free_port();
    for (node, name) in [(&mut ann, "ann"), (&mut bob, "bob")] {
        node.leave().await;
        node.restart(name, Discover::On(port)).await;
    }
    for round in 0..4 {
        // Bob is killed or leaves, and comes back on another port at once, while ann may still hold its dead link.
        if round % 2 == 0 {
            bob.kill()
        } else {
            bob.leave().await
        }
        bob.restart_after_kill("bob", Discover::On(port)).await;
        within(Duration::from_secs(20), "bob is back", || async { ann.online().await == [bob.id()] }).await;
        let book = BookStore::in_dir(&bob.paths.data_dir).read().unwrap();
        let (_endpoint, link) = dial(&bob.identity, &book, ann.id(), &[ann.address()]).await.unwrap();
        link.info().await.unwrap();
        discover(&bob.identity, &book, port, Duration::from_millis(200)).await;
        within(SOON, "bob has told of itself", || async { ann.peers().await.peers[0].info.is_some() }).await;
    }
    assert_eq!(remarks_about(&ann, bob.id()).await, Vec::<String>::new());
    assert_eq!((own_remarks(&ann).await, own_remarks(&bob).await), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_where_a_peer_was_is_told_and_not_believed() {
    // One that the system gives nobody who asks for any, and no other test takes: it is let go of and taken again.
    let port = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let at_port = |config: &mut Config| config.port = PortChoice::Exactly(port);
    let (ann, mut bob) = (node("ann").await, node_with("bob", Clock::system(), at_port).await);
    bob.join(&ann.invite().await).await.unwrap();
    within(SOON, "both are online", || async { ann.online().await == [bob.id()] }).await;
    bob.leave().await;
    let mut other = node("bob").await;
    other.leave().await;
    other.restart_with("bob", Discover::Off, Clock::system(), at_port).await;
    let flagged = || async { remarks_about(&ann, bob.id()).await == ["other_key"] };
    within(Duration::from_secs(40), "ann has tried", flagged).await;
    assert_eq!(trusted(&ann).await, [bob.id()]);
    assert!(ann.online().await.is_empty());
    other.leave().await;
    bob.restart_with("bob", Discover::Off, Clock::system(), at_port).await;
    within(SOON, "it is bob again", || async { remarks_about(&ann, bob.id()).await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_engine_is_on_the_list_lends_nothing_and_says_which_advisory() {
    let bad = |config: &mut Config| config.bad_engines = "48.0.0..48.0.9 GHSA-of-the-day".parse().unwrap();
    let (ann, bob) = (node("ann").await, node_with("bob", Clock::system(), bad).await);
    bob.join(&ann.invite().await).await.unwrap();
    let book = BookStore::in_dir(&ann.paths.data_dir).read().unwrap();
    let (_endpoint, link) = dial(&ann.identity, &book, bob.id(), &[bob.address()]).await.unwrap();
    for request in [Tag::SUBMIT, Tag::SESSION_TURN, Tag::SESSION_FORK] {
        let mut stream = link.open_stream().await.unwrap();
        stream.writer.send_empty(request).await.unwrap();
        let Err(FrameError::Fault(fault)) = stream.reader.expect(Tag::DONE).await else {
            panic!("{request} was let on")
        };
        assert_eq!(fault.code, FaultCode::NOT_ALLOWED);
        assert!(fault.text.contains("GHSA-of-the-day") && fault.text.contains("48.0.9"), "{fault}");
    }
    assert_eq!(own_remarks(&bob).await, ["bad_engine"]);
    let flagged = || async { remarks_about(&bob, ann.id()).await == ["bad_engine"] };
    within(SOON, "bob would not send ann anything either", flagged).await;
}
