use super::*;
use crate::identity::NodeId;
use crate::state::placement::Engine;
use crate::state::placement::machine::Lends;

fn machine(place: Place) -> MachineFacts {
    MachineFacts {
        place,
        name: String::new(),
        os: None,
        arch: None,
        cores: 4,
        memory_bytes: 0,
        memory_free_bytes: 0,
        load_milli: 0,
        gpus: Vec::new(),
        docker: None,
        tags: [].into(),
        engine: Engine::Fit,
        lends: Lends::Now,
        places: 4,
        round_trip_ms: 1,
    }
}

fn bid(machine: &MachineFacts) -> Bid<'_> {
    Bid { machine, bound: 0, speed: Some(1_000), missing_bytes: 0, preferred: false }
}

/// Which of the two is chosen.
fn first(one: &Bid<'_>, other: &Bid<'_>) -> bool {
    let work = Work { task_ms: 1_000, speed: Some(1_000) };
    rank(one, work) < rank(other, work)
}

#[test]
fn the_machine_where_it_ends_first_is_chosen() {
    let (one, two) =
        (machine(Place::Peer(NodeId::from_bytes([1; 32]))), machine(Place::Peer(NodeId::from_bytes([2; 32]))));
    assert!(first(&bid(&one), &bid(&two)), "equal ones by id");
    assert!(first(&Bid { speed: Some(2_000), ..bid(&two) }, &bid(&one)), "the faster");
    assert!(first(&bid(&two), &Bid { missing_bytes: 1 << 30, ..bid(&one) }), "the one that has the bytes");
    assert!(
        first(&bid(&one), &Bid { speed: Some(1_100), missing_bytes: 1 << 30, ..bid(&two) }),
        "ten per cent save no gigabyte"
    );
    let loaded = MachineFacts { load_milli: 8_000, ..one.clone() };
    assert!(first(&bid(&two), &bid(&loaded)), "the one that is not at work");
    assert!(first(&bid(&two), &Bid { bound: 1, ..bid(&one) }), "the emptier");
    let far = MachineFacts { round_trip_ms: 300, ..one.clone() };
    assert!(first(&bid(&two), &bid(&far)), "the nearer");
    assert!(first(&Bid { preferred: true, speed: Some(1), ..bid(&two) }, &bid(&one)), "the preferred");
    assert!(first(&bid(&one), &Bid { preferred: true, bound: 4, ..bid(&two) }), "but not to wait there");
}

#[test]
fn this_machine_goes_first_but_for_its_last_place() {
    let (here, peer) = (machine(Place::Here), machine(Place::Peer(NodeId::from_bytes([1; 32]))));
    assert!(first(&Bid { bound: 2, ..bid(&here) }, &Bid { speed: Some(9_000), ..bid(&peer) }));
    assert!(first(&Bid { bound: 3, ..bid(&peer) }, &Bid { bound: 3, ..bid(&here) }));
    assert!(first(&Bid { bound: 3, ..bid(&here) }, &Bid { bound: 4, ..bid(&peer) }));
}

#[test]
fn no_number_is_too_large() {
    let all = MachineFacts { cores: u32::MAX, load_milli: u32::MAX, ..machine(Place::Here) };
    let bid = Bid { speed: Some(1), missing_bytes: u64::MAX, bound: u32::MAX - 1, ..bid(&all) };
    let work = Work { task_ms: u64::MAX, speed: Some(u64::MAX) };
    assert_eq!(rank(&bid, work), rank(&bid, work));
}
