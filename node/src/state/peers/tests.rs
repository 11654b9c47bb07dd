use super::*;

const SMALL: NodeId = NodeId::from_bytes([1; 32]);
const GREAT: NodeId = NodeId::from_bytes([2; 32]);

fn at(ms: u64) -> Time {
    Duration::from_millis(ms)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 7420))
}

/// A node that has pinned one peer, with one address, and has just dialled it.
fn dialling(me: NodeId, peer: NodeId) -> Peers {
    let mut peers = Peers::new(me);
    peers.handle(Event::Pinned { peer, name: "p".into(), addresses: vec![address(1)] }, at(0));
    let dial = Effect::Dial { peer, addresses: vec![address(1)] };
    assert_eq!(peers.handle(Event::Tick, at(0)), [dial]);
    peers
}

fn link_up(peer: NodeId, link: u64, direction: Direction) -> Event {
    Event::LinkUp { peer, link: LinkId(link), direction, address: address(1) }
}

fn online(peers: &Peers) -> bool {
    peers.list(at(0))[0].online
}

fn closes(effects: &[Effect]) -> Vec<u64> {
    let close = |effect: &Effect| match effect {
        Effect::Close { link, .. } => Some(link.0),
        _ => None,
    };
    effects.iter().filter_map(close).collect()
}

#[test]
fn a_pinned_peer_is_dialled_once_until_the_dial_has_ended() {
    let mut peers = dialling(SMALL, GREAT);
    assert_eq!(peers.handle(Event::Tick, at(60_000)), []);
    let effects = peers.handle(link_up(GREAT, 1, Direction::Dialled), at(60_000));
    assert_eq!(effects, [Effect::Introduce { link: LinkId(1) }]);
    assert!(online(&peers));
    assert_eq!(peers.handle(Event::Tick, at(60_000)), [Effect::AskInfo { link: LinkId(1) }]);
    assert_eq!(peers.handle(Event::Tick, at(60_100)), []);
}

#[test]
fn an_address_told_by_a_beacon_does_not_wait_for_a_dial_to_an_old_one() {
    let mut peers = dialling(SMALL, GREAT);
    let beacon = |sequence| Event::Beacon { peer: GREAT, boot: 1, sequence, says: Sighting::At(address(2)) };
    peers.handle(beacon(1), at(100));
    assert_eq!(peers.handle(Event::Tick, at(100)), [Effect::Dial { peer: GREAT, addresses: vec![address(2)] }]);
    peers.handle(beacon(2), at(200));
    assert_eq!(peers.handle(Event::Tick, at(10_000)), [], "two dials of one peer are enough");
    peers.handle(link_up(GREAT, 1, Direction::Dialled), at(10_000));
    peers.handle(Event::DialFailed { peer: GREAT }, at(10_000));
    assert!(online(&peers));
}

#[test]
fn failed_dials_are_repeated_at_growing_bounded_intervals() {
    let mut peers = dialling(SMALL, GREAT);
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        peers.handle(Event::DialFailed { peer: GREAT }, now);
        let failed = now;
        while peers.handle(Event::Tick, now).is_empty() {
            now += at(100);
        }
        pauses.push((now - failed).as_millis());
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000]);
}

#[test]
fn of_two_links_dialled_at_once_both_sides_keep_the_same_one() {
    // Link 1 was dialled by SMALL, link 2 by GREAT.
    let mut small = dialling(SMALL, GREAT);
    let mut great = dialling(GREAT, SMALL);
    let mut closed = Vec::new();
    closed.extend(closes(&small.handle(link_up(GREAT, 1, Direction::Dialled), at(1))));
    closed.extend(closes(&great.handle(link_up(SMALL, 2, Direction::Dialled), at(1))));
    for (peers, peer, link) in [(&mut small, GREAT, 2), (&mut great, SMALL, 1)] {
        closed.extend(closes(&peers.handle(link_up(peer, link, Direction::Accepted), at(2))));
        closed.extend(closes(&peers.handle(Event::Introduced { link: LinkId(link) }, at(3))));
    }
    assert_eq!(closed, [2], "only GREAT closes, and only its own");
    for peers in [&mut small, &mut great] {
        peers.handle(Event::LinkDown { link: LinkId(2), leaving: false }, at(4));
        assert!(online(peers));
        let effects = peers.handle(Event::Tick, at(10_000));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })), "{effects:?}");
    }
}

#[test]
fn a_link_of_a_single_command_does_not_make_its_peer_online_and_disturbs_no_standing_link() {
    let mut peers = dialling(GREAT, SMALL);
    assert_eq!(peers.handle(link_up(SMALL, 7, Direction::Accepted), at(1)), []);
    assert!(!online(&peers));
    peers.handle(link_up(SMALL, 8, Direction::Dialled), at(2));
    assert!(online(&peers));
    assert_eq!(peers.handle(link_up(SMALL, 9, Direction::Accepted), at(3)), []);
    peers.handle(Event::LinkDown { link: LinkId(9), leaving: false }, at(4));
    assert!(online(&peers));
}

#[test]
fn a_peer_that_restarted_replaces_its_dead_link() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(link_up(GREAT, 1, Direction::Accepted), at(1));
    peers.handle(Event::Introduced { link: LinkId(1) }, at(1));
    peers.handle(link_up(GREAT, 2, Direction::Accepted), at(5));
    assert_eq!(closes(&peers.handle(Event::Introduced { link: LinkId(2) }, at(5))), [1]);
    peers.handle(Event::LinkDown { link: LinkId(1), leaving: false }, at(6));
    assert!(online(&peers));
}

#[test]
fn a_goodbye_by_link_or_beacon_is_believed_at_once_and_not_followed_by_a_dial() {
    let goodbyes = [
        Event::Goodbye { link: LinkId(1) },
        Event::Beacon { peer: GREAT, boot: 1, sequence: 9, says: Sighting::Leaving },
        Event::LinkDown { link: LinkId(1), leaving: true },
    ];
    for goodbye in goodbyes {
        let mut peers = dialling(SMALL, GREAT);
        peers.handle(link_up(GREAT, 1, Direction::Dialled), at(1));
        peers.handle(goodbye.clone(), at(2));
        assert!(!online(&peers), "{goodbye:?}");
        assert_eq!(peers.handle(Event::Tick, at(10_000)), [], "{goodbye:?}");
        let back = Sighting::At(address(1));
        peers.handle(Event::Beacon { peer: GREAT, boot: 2, sequence: 1, says: back }, at(10_000));
        assert_eq!(peers.handle(Event::Tick, at(10_000)).len(), 1, "it is dialled when it is heard again: {goodbye:?}");
    }
}

#[test]
fn a_replayed_beacon_is_ignored() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(link_up(GREAT, 1, Direction::Dialled), at(1));
    let beacon = |boot, sequence, says| Event::Beacon { peer: GREAT, boot, sequence, says };
    peers.handle(beacon(5, 5, Sighting::At(address(1))), at(1));
    for (boot, sequence) in [(5, 5), (5, 4), (4, 900)] {
        peers.handle(beacon(boot, sequence, Sighting::Leaving), at(2));
        assert!(online(&peers), "{boot} {sequence}");
    }
}

#[test]
fn a_beacon_shortens_the_wait_and_the_greater_id_lets_the_other_dial_first() {
    for (me, peer, first_dial_ms) in [(SMALL, GREAT, 100), (GREAT, SMALL, 350)] {
        let mut peers = dialling(me, peer);
        for _ in 0..9 {
            peers.handle(Event::DialFailed { peer }, at(0));
        }
        let says = Sighting::At(address(2));
        peers.handle(Event::Beacon { peer, boot: 1, sequence: 1, says }, at(100));
        let mut now = at(100);
        let effects = loop {
            let effects = peers.handle(Event::Tick, now);
            if !effects.is_empty() {
                break effects;
            }
            now += at(10);
        };
        assert_eq!(now, at(first_dial_ms));
        assert_eq!(effects, [Effect::Dial { peer, addresses: vec![address(2), address(1)] }]);
    }
}

#[test]
fn a_removed_peer_loses_its_links_and_a_late_handshake_with_it_is_closed() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(link_up(GREAT, 1, Direction::Dialled), at(1));
    assert_eq!(closes(&peers.handle(Event::Unpinned { peer: GREAT }, at(2))), [1]);
    assert_eq!(closes(&peers.handle(link_up(GREAT, 2, Direction::Accepted), at(3))), [2]);
    assert_eq!(peers.list(at(4)), []);
}

#[test]
fn a_lost_peer_is_dialled_again_soon() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(link_up(GREAT, 1, Direction::Dialled), at(1));
    peers.handle(Event::LinkDown { link: LinkId(1), leaving: false }, at(1000));
    assert!(!online(&peers));
    assert_eq!(peers.handle(Event::Tick, at(1400)), []);
    assert_eq!(peers.handle(Event::Tick, at(1500)).len(), 1);
}

#[test]
fn no_more_dials_are_under_way_than_their_bound() {
    let mut peers = Peers::new(SMALL);
    for number in 0..200u8 {
        let mut bytes = [9; 32];
        bytes[0] = number;
        let peer = NodeId::from_bytes(bytes);
        peers.handle(Event::Pinned { peer, name: "p".into(), addresses: vec![address(1)] }, at(0));
    }
    assert_eq!(peers.handle(Event::Tick, at(0)).len(), DIALS_MAX);
    assert_eq!(peers.handle(Event::Tick, at(1)).len(), 0);
}

fn kinds(remarks: &[Remark]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.kind.as_str()).collect()
}

#[test]
fn two_standing_links_of_one_peer_are_compared_whoever_opened_them() {
    for direction in [Direction::Dialled, Direction::Accepted] {
        for (me, peer) in [(SMALL, GREAT), (GREAT, SMALL)] {
            let mut peers = dialling(me, peer);
            peers.handle(link_up(peer, 1, direction), at(1));
            peers.handle(Event::Introduced { link: LinkId(1) }, at(1));
            peers.handle(link_up(peer, 2, Direction::Accepted), at(2));
            let compare = Effect::Compare { peer, links: [LinkId(1), LinkId(2)] };
            let effects = peers.handle(Event::Introduced { link: LinkId(2) }, at(2));
            assert!(effects.contains(&compare), "{direction:?} {effects:?}");
        }
    }
}

#[test]
fn links_of_single_commands_are_compared_with_nothing() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(link_up(GREAT, 1, Direction::Dialled), at(1));
    assert_eq!(peers.handle(link_up(GREAT, 2, Direction::Accepted), at(2)), []);
}

#[test]
fn twins_are_told_of_until_they_have_not_been_seen_for_a_while() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(Event::Twins { id: GREAT, addresses: vec![address(1), address(2)] }, at(0));
    peers.handle(Event::TwinTold { by: GREAT, addresses: vec![address(1)] }, at(0));
    assert_eq!(kinds(&peers.list(at(1))[0].remarks), ["copied_identity"]);
    assert_eq!(kinds(&peers.own_remarks(at(1))), ["copied_identity"]);
    let later = TWIN_MEMORY + at(1);
    assert!(peers.list(later)[0].remarks.is_empty() && peers.own_remarks(later).is_empty());
}

#[test]
fn what_was_proved_here_is_not_overwritten_by_what_a_peer_says() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(Event::Twins { id: SMALL, addresses: vec![address(7)] }, at(0));
    peers.handle(Event::TwinTold { by: GREAT, addresses: vec![address(8)] }, at(1));
    let text = &peers.own_remarks(at(2))[0].text;
    assert!(text.contains("192.0.2.7") && !text.contains("says"), "{text}");
}

#[test]
fn beacons_with_the_own_key_are_looked_into_at_bounded_intervals() {
    let mut peers = dialling(SMALL, GREAT);
    let probe = [Effect::ProbeTwin { address: address(7) }];
    let heard = Event::OwnBeacon { address: address(7) };
    assert_eq!(peers.handle(heard.clone(), at(0)), probe);
    assert_eq!(peers.handle(heard.clone(), at(1)), []);
    assert_eq!(peers.handle(heard, TWIN_PROBE_PAUSE), probe);
    let many = (0..200).flat_map(|last| peers.handle(Event::OwnBeacon { address: address(last) }, TWIN_PROBE_PAUSE));
    assert_eq!(many.count(), TWIN_PROBES_MAX - 1);
}

#[test]
fn another_key_at_a_peers_place_is_told_until_the_peer_is_there_again() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(Event::OtherKey { peer: GREAT, address: address(1) }, at(1));
    peers.handle(Event::DialFailed { peer: GREAT }, at(1));
    assert_eq!(kinds(&peers.list(at(2))[0].remarks), ["other_key"]);
    peers.handle(link_up(GREAT, 1, Direction::Accepted), at(3));
    peers.handle(Event::Introduced { link: LinkId(1) }, at(3));
    assert!(peers.list(at(4))[0].remarks.is_empty());
    peers.handle(Event::OtherKey { peer: GREAT, address: address(2) }, at(5));
    assert!(peers.list(at(6))[0].remarks.is_empty(), "an old address that somebody else has now says nothing");
}

#[test]
fn that_a_yes_is_waited_for_is_told_until_the_peer_answers() {
    let mut peers = dialling(SMALL, GREAT);
    peers.handle(link_up(GREAT, 1, Direction::Dialled), at(1));
    peers.handle(Event::NotApproved { peer: GREAT }, at(2));
    peers.handle(Event::LinkDown { link: LinkId(1), leaving: false }, at(2));
    assert_eq!(kinds(&peers.list(at(3))[0].remarks), ["not_approved"]);
}
