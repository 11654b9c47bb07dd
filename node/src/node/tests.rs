//! Real nodes on loopback: real sockets, real handshakes, the data directory of each in a temporary place.

use super::*;
use crate::config::{PortChoice, Settings};
use crate::dispatch::{Caller, Role};
use crate::joining::join_alone;
use crate::net::link::RequestError;
use crate::net::link::{Closed, Link};
use crate::net::quic::{DialError, DialFailure};
use crate::net::tls::Expected;
use crate::net::{dial, discover};
use crate::trust::invitations::Grant;
use crate::trust::ticket::Ticket;
use crate::wire::{
    AddPeer, Fault, FaultCode, Frame, FrameError, FrameStream, Invitation, Invite, Join, PeerList, RemovePeer, Tag,
};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

mod trust;

/// How long a port may stay taken after its node has left, and how often it is tried.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(10);
const PORT_PAUSE: Duration = Duration::from_millis(5);
/// Well before a peer that says nothing is held to be lost.
const GOODBYE_MAX: Duration = Duration::from_secs(5);

/// Answers a submission with its caller, and nothing else.
struct EchoService;

#[async_trait::async_trait]
impl JobService for EchoService {
    async fn serve(&self, caller: Caller, first: Frame, mut stream: FrameStream) {
        let text = format!("{:?} {} {}", caller.role, caller.name, first.tag);
        let _ = stream.writer.send_fault(&Fault::new(FaultCode::BUSY, text)).await;
    }

    fn jobs_running(&self) -> u32 {
        3
    }

    fn environments_ready(&self) -> Vec<String> {
        vec!["python".into()]
    }

    fn engine_version(&self) -> String {
        "wasmtime 48.0.8".into()
    }

    async fn forget(&self, _peer: NodeId) {}

    async fn shutdown(&self) {}
}

/// A node in a directory of its own.
struct TestNode {
    node: Option<Node>,
    paths: Paths,
    identity: Identity,
    dir: tempfile::TempDir,
}

#[derive(Clone, Copy)]
enum Discover {
    Off,
    On(u16),
}

impl TestNode {
    async fn start(name: &str, discovery: Discover) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(dir.path());
        let mut test = Self { node: None, paths, identity: Identity::generate().unwrap(), dir };
        test.restart(name, discovery).await;
        test.identity = Identity::load_or_create(&test.paths.data_dir).unwrap();
        test
    }

    async fn restart(&mut self, name: &str, discovery: Discover) {
        self.restart_with(name, discovery, Clock::system(), |_| {}).await;
    }

    async fn restart_with(&mut self, name: &str, discovery: Discover, clock: Clock, set: impl FnOnce(&mut Config)) {
        let mut config = Settings::default().resolve().unwrap();
        config.name = name.into();
        config.port = PortChoice::Exactly(0);
        config.discovery = match discovery {
            Discover::Off => None,
            Discover::On(port) => Some(port),
        };
        set(&mut config);
        let deadline = Instant::now() + PORT_FREE_WITHIN;
        self.node = Some(loop {
            match Node::start_with_clock(&self.paths, config.clone(), Arc::new(EchoService), clock).await {
                Ok(node) => break node,
                // The transport of a node that left in this process lets go of its socket a moment later.
                Err(StartError::Bind(_)) if Instant::now() < deadline => tokio::time::sleep(PORT_PAUSE).await,
                Err(error) => panic!("{error}"),
            }
        });
    }

    /// Starts again after [`Self::kill`], whose tasks may take a moment to let go of the directory.
    async fn restart_after_kill(&mut self, name: &str, discovery: Discover) {
        within(Duration::from_secs(5), "the killed node is gone", || async {
            std::fs::exists(self.paths.data_dir.join(LOCK_FILE)).unwrap() && running(&self.paths).is_none()
        })
        .await;
        self.restart(name, discovery).await;
    }

    fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.node().port()))
    }

    fn id(&self) -> NodeId {
        self.identity.id()
    }

    async fn owner(&self) -> (QuicEndpoint, Link) {
        let book = BookStore::in_dir(&self.paths.data_dir).read().unwrap();
        dial(&self.identity, &book, self.id(), &[self.address()]).await.unwrap()
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, request: Frame, answer: Tag) -> Result<T, Fault> {
        let (_endpoint, link) = self.owner().await;
        match link.request(request, answer).await {
            Ok(answer) => Ok(answer),
            Err(RequestError::Frame(FrameError::Fault(fault))) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    }

    async fn tell(&self, request: Frame) -> Result<(), Fault> {
        let (_endpoint, link) = self.owner().await;
        let mut stream = link.open_stream().await.unwrap();
        stream.writer.send(request).await.unwrap();
        match stream.reader.expect(Tag::DONE).await {
            Ok(_) => Ok(()),
            Err(FrameError::Fault(fault)) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    }

    async fn peers(&self) -> PeerList {
        self.ask(Frame::empty(Tag::OWNER_PEERS), Tag::PEERS_ARE).await.unwrap()
    }

    async fn online(&self) -> Vec<NodeId> {
        self.peers().await.peers.into_iter().filter(|peer| peer.online).map(|peer| peer.id).collect()
    }

    async fn invite(&self) -> String {
        self.invite_for(true).await
    }

    /// A ticket whose holder is let in at once, or has to wait for the owner's yes.
    async fn invite_for(&self, approved: bool) -> String {
        let invite = Frame::message(Tag::OWNER_INVITE, &Invite { ttl_s: 600, approved });
        self.ask::<Invitation>(invite, Tag::INVITATION_IS).await.unwrap().ticket
    }

    async fn join(&self, ticket: &str) -> Result<(), Fault> {
        let (_endpoint, link) = self.owner().await;
        let mut stream = link.open_stream().await.unwrap();
        stream.writer.send_message(Tag::OWNER_JOIN, &Join { ticket: ticket.to_owned() }).await.unwrap();
        match stream.reader.expect_any().await {
            Ok(frame) if matches!(frame.tag, Tag::DONE | Tag::JOIN_WAITS) => Ok(()),
            Err(FrameError::Fault(fault)) => Err(fault),
            other => panic!("{other:?}"),
        }
    }

    /// Ends as a killed process does: nothing is said to anyone.
    fn kill(&mut self) {
        let node = self.node.take().unwrap();
        // First of all, before anything that ends could say so: the endpoint lives on, on a socket from which no IPv4
        // address can be reached.
        let void = std::net::UdpSocket::bind((std::net::Ipv6Addr::LOCALHOST, 0)).unwrap();
        node.core.endpoint.silence(void);
        node.core.stop.cancel();
        if let Some(driver) = &node.driver {
            driver.abort();
        }
    }

    async fn leave(&mut self) {
        self.node.take().unwrap().shutdown().await;
    }
}

/// Waits until `condition` holds, at most `limit`; returns how long that took.
async fn within<F: Future<Output = bool>>(limit: Duration, what: &str, mut condition: impl FnMut() -> F) -> Duration {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

async fn pair() -> (TestNode, TestNode) {
    let (ann, bob) = (TestNode::start("ann", Discover::Off).await, TestNode::start("bob", Discover::Off).await);
    bob.join(&ann.invite().await).await.unwrap();
    let both = || async { ann.online().await == [bob.id()] && bob.online().await == [ann.id()] };
    within(Duration::from_secs(5), "both are online", both).await;
    (ann, bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_never_met_pair_by_a_ticket_and_describe_each_other() {
    let (ann, bob) = pair().await;
    let informed = || async { ann.peers().await.peers[0].info.is_some() };
    within(Duration::from_secs(5), "bob has described itself", informed).await;
    let list = ann.peers().await;
    assert_eq!((list.me.name.as_str(), list.me.id), ("ann", ann.id()));
    let peer = &list.peers[0];
    let info = peer.info.as_ref().unwrap();
    assert_eq!((peer.name.as_str(), info.engine.as_str(), info.jobs_running), ("bob", "wasmtime 48.0.8", 3));
    assert!(info.cores > 0 && info.memory_bytes > 0 && !info.addresses.is_empty(), "{info:?}");
    assert_eq!(bob.peers().await.peers[0].name, "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_reaches_the_service_with_its_caller_and_a_peer_may_not_ask_what_the_owner_may() {
    let (ann, bob) = pair().await;
    let book = BookStore::in_dir(&ann.paths.data_dir).read().unwrap();
    let (_endpoint, link) = dial(&ann.identity, &book, bob.id(), &[bob.address()]).await.unwrap();
    for (request, code, text) in [
        (Tag::SUBMIT, FaultCode::BUSY, "Peer ann SUBMIT"),
        (Tag::OWNER_PEERS, FaultCode::NOT_ALLOWED, "owner"),
        (Tag(999), FaultCode::UNSUPPORTED, "unknown(999)"),
    ] {
        let mut stream = link.open_stream().await.unwrap();
        stream.writer.send_empty(request).await.unwrap();
        let answer = stream.reader.expect(Tag::DONE).await;
        assert!(matches!(&answer, Err(FrameError::Fault(f)) if f.code == code && f.text.contains(text)), "{answer:?}");
    }
    drop(link);
    let stays = || async { bob.online().await == [ann.id()] && ann.online().await == [bob.id()] };
    within(Duration::from_secs(10), "the daemons' own link is untouched", stays).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_nodes_invited_by_one_all_know_each_other() {
    let first = TestNode::start("n0", Discover::Off).await;
    let mut nodes = vec![first];
    for number in 1..10 {
        let node = TestNode::start(&format!("n{number}"), Discover::Off).await;
        node.join(&nodes[0].invite().await).await.unwrap();
        nodes.push(node);
    }
    for node in &nodes {
        within(Duration::from_secs(20), "everyone sees nine others", || async { node.online().await.len() == 9 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_invited_by_an_invited_one_knows_the_first() {
    let (ann, bob) = pair().await;
    let cid = TestNode::start("cid", Discover::Off).await;
    cid.join(&bob.invite().await).await.unwrap();
    within(Duration::from_secs(10), "ann and cid meet", || async { ann.online().await.contains(&cid.id()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_that_let_nobody_in_are_each_refused_by_name() {
    let (ann, bob) = pair().await;
    let cid = TestNode::start("cid", Discover::Off).await;
    let check = |result: Result<(), Fault>, code: FaultCode, text: &str| {
        let fault = result.unwrap_err();
        assert!(fault.code == code && fault.text.contains(text), "{code:?} {text:?}: {fault:?}");
    };
    let used = ann.invite().await;
    cid.join(&used).await.unwrap();
    assert!(cid.join(&used).await.is_ok(), "the same machine may ask again: its answer may have been lost");
    check(bob.join(&used).await, FaultCode::TICKET_USED, "already been used");
    let dan = TestNode::start("dan", Discover::Off).await;
    check(dan.join(&used).await, FaultCode::TICKET_USED, "already been used");

    let ticket: Ticket = ann.invite().await.parse().unwrap();
    let mut forged = ticket.clone();
    forged.secret.0[0] ^= 1;
    check(dan.join(&forged.to_string()).await, FaultCode::TICKET_FORGED, "not genuine");
    let mut unknown = ticket.clone();
    unknown.id.0[0] ^= 1;
    check(dan.join(&unknown.to_string()).await, FaultCode::TICKET_REFUSED, "not known here");
    let mut other_key = ticket.clone();
    other_key.inviter = bob.id();
    check(dan.join(&other_key.to_string()).await, FaultCode::NOT_FOUND, "another key");
    let text = ticket.to_string();
    check(dan.join(&text[..text.len() - 3]).await, FaultCode::TICKET_REFUSED, "cut short");
    check(dan.join("hello").await, FaultCode::TICKET_REFUSED, "no Potluck ticket");
    check(ann.join(&text).await, FaultCode::TICKET_REFUSED, "this very machine");
    // What the ticket says of its expiry is not looked at by anyone: the inviter's book decides, and it is still good.
    let mut old = ticket.clone();
    old.expires_unix = 1_000_000;
    dan.join(&old.to_string()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_ticket_is_refused_by_the_inviters_clock() {
    let ann = TestNode::start("ann", Discover::Off).await;
    let dan = TestNode::start("dan", Discover::Off).await;
    let (me, addresses, now) = (ann.id(), vec![ann.address()], Clock::system().unix_now());
    let invitations = Invitations::in_dir(&ann.paths.data_dir);
    let ticket = invitations.make(me, &addresses, now - 60, now - 30, Grant::Enters).unwrap();
    ann.node().core.pins.set_door(true);
    let fault = dan.join(&ticket.to_string()).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::TICKET_EXPIRED, "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_invitation_open_a_stranger_ends_in_the_handshake() {
    let ann = TestNode::start("ann", Discover::Off).await;
    let stranger = Identity::generate().unwrap();
    let endpoint = QuicEndpoint::dial_only(&stranger, Arc::new(Pins::new(stranger.id(), []))).unwrap();
    let link = endpoint.dial(Expected::Exactly(ann.id()), &[ann.address()]).await.unwrap();
    assert_eq!(link.closed().await, Closed::NotAccepted);
    let joining = endpoint.dial_joining(ann.id(), &[ann.address()]).await.unwrap();
    assert_eq!(joining.closed().await, Closed::NotAccepted);
    ann.invite().await;
    let link = endpoint.dial(Expected::Exactly(ann.id()), &[ann.address()]).await.unwrap();
    assert_eq!(link.closed().await, Closed::There(crate::net::link::CloseCode::NOT_A_PEER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_another_key_is_not_taken_for_the_peer() {
    let (ann, bob) = pair().await;
    let book = BookStore::in_dir(&ann.paths.data_dir).read().unwrap();
    let wrong = Identity::generate().unwrap().id();
    let Err(crate::net::discover::ReachError::Dial(error)) = dial(&ann.identity, &book, wrong, &[bob.address()]).await
    else {
        panic!("a wrong key was accepted")
    };
    assert_eq!(error, DialError::Failed(vec![(bob.address(), DialFailure::WrongKey)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_refused_and_garbage_on_the_port_is_harmless() {
    let (ann, bob) = pair().await;
    let endpoint = QuicEndpoint::dial_only(&ann.identity, Arc::new(Pins::new(ann.id(), [bob.id()]))).unwrap();
    let failure = endpoint.dial_protocol(bob.id(), b"http/3", &[bob.address()]).await.unwrap_err();
    assert!(matches!(&failure, DialError::Failed(f) if matches!(f[0].1, DialFailure::Refused(_))), "{failure:?}");

    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut noise = vec![0u8; 1400];
    for round in 0..500 {
        getrandom::fill(&mut noise).unwrap();
        // Every other one begins as a QUIC handshake does.
        noise[0] = if round % 2 == 0 { noise[0] } else { 0xc3 };
        socket.send_to(&noise[..1 + (round * 7) % 1400], bob.address()).unwrap();
    }
    let stays = || async { bob.online().await == [ann.id()] && ann.online().await == [bob.id()] };
    within(Duration::from_secs(5), "the nodes are as they were", stays).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_peer_is_noticed_within_ten_seconds() {
    let (ann, mut bob) = pair().await;
    // Links that both opened at once are sorted out by the time each has told of itself.
    let settled = || async { ann.peers().await.peers[0].info.is_some() && bob.peers().await.peers[0].info.is_some() };
    within(Duration::from_secs(5), "both have described themselves", settled).await;
    bob.kill();
    let gone = || async { ann.online().await.is_empty() };
    let took = within(Duration::from_secs(10), "the killed peer is offline", gone).await;
    assert!(took > Duration::from_secs(1), "it was killed, it did not leave ({took:?})");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_leaves_politely_disappears_at_once_and_comes_back() {
    let (ann, mut bob) = pair().await;
    bob.leave().await;
    within(GOODBYE_MAX, "bob is offline", || async { ann.online().await.is_empty() }).await;
    bob.restart("bob", Discover::Off).await;
    within(Duration::from_secs(5), "bob is back", || async { ann.online().await == [bob.id()] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_peer_is_cut_off_and_stays_away() {
    let (ann, bob) = pair().await;
    ann.tell(Frame::message(Tag::OWNER_REMOVE_PEER, &RemovePeer { peer: bob.id() })).await.unwrap();
    assert_eq!(ann.peers().await.peers, []);
    within(Duration::from_secs(5), "bob notices", || async {
        bob.peers().await.peers.iter().all(|peer| peer.info.is_none())
    })
    .await;
    let again = ann.tell(Frame::message(Tag::OWNER_REMOVE_PEER, &RemovePeer { peer: bob.id() })).await;
    assert_eq!(again.unwrap_err().code, FaultCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_daemon_joins_and_its_daemon_knows_the_group_later() {
    let ann = TestNode::start("ann", Discover::Off).await;
    let mut bob = TestNode::start("bob", Discover::Off).await;
    bob.leave().await;
    let store = BookStore::in_dir(&bob.paths.data_dir);
    let mut config = Settings::default().resolve().unwrap();
    config.name = "bob".into();
    let joined = join_alone(&bob.identity, &store, &config, &ann.invite().await).await.unwrap();
    assert_eq!(joined, ("ann".to_owned(), false));
    assert_eq!(ann.peers().await.peers[0].id, bob.id());
    bob.restart("bob", Discover::Off).await;
    within(Duration::from_secs(5), "they meet", || async { ann.online().await == [bob.id()] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_add_finds_a_peer_that_moved_and_names_what_is_wrong_otherwise() {
    let (ann, mut bob) = pair().await;
    bob.leave().await;
    let old = bob.paths.data_dir.join(crate::trust::book::BOOK_FILE);
    // Bob forgets where ann is, so that only ann can find bob.
    let text = std::fs::read_to_string(&old).unwrap();
    std::fs::write(&old, text.replace(&format!(":{}", ann.node().port()), ":9")).unwrap();
    bob.restart("bob", Discover::Off).await;
    let add = |address: String| Frame::message(Tag::OWNER_ADD_PEER, &AddPeer { address });
    ann.tell(add(bob.address().to_string())).await.unwrap();
    within(Duration::from_secs(5), "they meet", || async { ann.online().await == [bob.id()] }).await;
    let fault = ann.tell(add("127.0.0.1:1".into())).await.unwrap_err();
    assert!(fault.code == FaultCode::NOT_FOUND && fault.text.contains("127.0.0.1:1"), "{fault:?}");
}

/// A discovery port that no other test uses.
fn free_port() -> u16 {
    std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_one_host_find_each_other_by_beacons_alone_in_under_two_seconds() {
    let (mut ann, mut bob) = pair().await;
    ann.leave().await;
    bob.leave().await;
    for node in [&ann, &bob] {
        // They know each other's keys and nothing else.
        let store = BookStore::in_dir(&node.paths.data_dir);
        let path = node.paths.data_dir.join(crate::trust::book::BOOK_FILE);
        let mut table: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        table.remove("vouches");
        for peer in table["peers"].as_array_mut().unwrap() {
            peer.as_table_mut().unwrap().insert("addresses".into(), toml::Value::Array(vec![]));
        }
        std::fs::write(&path, table.to_string()).unwrap();
        assert!(store.read().unwrap().peers().all(|entry| entry.addresses.is_empty()));
    }
    let port = free_port();
    ann.restart("ann", Discover::On(port)).await;
    bob.restart("bob", Discover::On(port)).await;
    let both = || async { ann.online().await == [bob.id()] && bob.online().await == [ann.id()] };
    within(Duration::from_secs(10), "they find each other", both).await;

    let mut book = BookStore::in_dir(&ann.paths.data_dir).read().unwrap();
    let cid = Identity::from_seed(&[9; 32]);
    assert!(discover(&cid, &book, port, Duration::from_millis(700)).await.is_empty(), "a stranger is not answered");
    book.pin(ann.id(), "ann", &[]).unwrap();
    let found = discover(&bob.identity, &book, port, Duration::from_secs(3)).await;
    let at = &found[&ann.id()];
    assert!(at.iter().all(|address| address.port() == ann.node().port()), "{at:?}");
    bob.leave().await;
    within(GOODBYE_MAX, "bob is offline", || async { ann.online().await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_runs_over_one_directory_and_stops_when_its_owner_asks() {
    let ann = TestNode::start("ann", Discover::Off).await;
    let config = Settings::default().resolve().unwrap();
    let second = Node::start(&ann.paths, config, Arc::new(EchoService)).await;
    assert!(matches!(second, Err(StartError::AlreadyRunning { pid }) if pid == std::process::id()));
    assert_eq!(running(&ann.paths).map(|node| node.port), Some(ann.node().port()));
    let stopping = ann.tell(Frame::empty(Tag::OWNER_SHUTDOWN));
    let (told, ()) = tokio::join!(stopping, ann.node().wait());
    told.unwrap();
    let TestNode { node, paths, dir, .. } = ann;
    node.unwrap().shutdown().await;
    assert_eq!(running(&paths), None);
    drop(dir);
}

#[test]
fn a_boot_is_greater_than_the_one_before_even_when_the_clock_was_set_back() {
    let future = u64::MAX - 10;
    assert_eq!(next_boot(future, 5), future + 1);
    assert_eq!(next_boot(5, future), future);
}

#[test]
fn roles_follow_from_keys_alone() {
    let pins = Pins::new(NodeId::from_bytes([1; 32]), [NodeId::from_bytes([2; 32])]);
    assert_eq!(pins.role(&NodeId::from_bytes([1; 32])), Some(Role::Owner));
    assert_eq!(pins.role(&NodeId::from_bytes([2; 32])), Some(Role::Peer));
    assert_eq!(pins.role(&NodeId::from_bytes([3; 32])), None);
}
