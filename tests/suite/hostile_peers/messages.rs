//! Messages that decode to nothing good.

use super::scene::{attacked, attacked_in, job};
use potluck_node::identity::Identity;
use potluck_node::trust::vouch;
use potluck_node::wire::{FaultCode, Members, Tag, decode, encode};
use potluck_tests::frame;
use serde_json::Value;
use tokio::runtime::Runtime;

/// A map with one field, whose value this is.
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    [&[0x81, 0xa0 | u8::try_from(name.len()).unwrap()], name.as_bytes(), value].concat()
}

#[test]
fn lists_within_lists_are_followed_only_so_far() {
    attacked(async |eve| {
        let line = eve.line().await;
        let deep = vec![0x91; 1 << 20];
        let maps = [0x81, 0xa1, b'x'].repeat(1 << 18);
        // As the message itself, as what it is about, and where nobody asks for it.
        for nested in [&deep, &maps] {
            for payload in [nested.clone(), field("vouches", nested), field("unknown", nested)] {
                assert_eq!(line.refused(Tag::MEMBERS, &payload).await.code, FaultCode::BAD_MESSAGE);
                assert_eq!(line.refused(Tag::SUBMIT, &payload).await.code, FaultCode::BAD_MESSAGE);
            }
        }
    });
}

#[test]
fn maps_and_lists_that_promise_billions_cost_nothing() {
    attacked(async |eve| {
        let line = eve.line().await;
        let lies: [&[u8]; 5] = [
            b"\xdf\xff\xff\xff\xff",
            b"\xdd\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            &field("args", b"\xdd\xff\xff\xff\xff\xa0\xa0"),
            &field("job", b"\xc6\xff\xff\xff\xff"),
        ];
        for lie in lies {
            assert_eq!(line.refused(Tag::SUBMIT, lie).await.code, FaultCode::BAD_MESSAGE);
            assert_eq!(line.refused(Tag::CANCEL, lie).await.code, FaultCode::BAD_MESSAGE);
        }
    });
}

#[test]
fn short_words_by_the_million_are_counted_while_they_are_read() {
    attacked(async |eve| {
        let line = eve.line().await;
        // A byte each on the way, twenty-four here: sixteen megabytes would be four hundred.
        let mut words = b"\xdd\x00\xf0\x00\x00".to_vec();
        words.resize(0x00f0_0000, 0xa0);
        for name in ["args", "requires", "directories", "env"] {
            let fault = line.refused(Tag::SUBMIT, &field(name, &words)).await;
            assert_eq!(fault.code, FaultCode::BAD_MESSAGE, "{name}");
        }
        let mut crowded = job(1, b"soup");
        crowded.args = vec![String::new(); 8193];
        assert!(line.refused(Tag::SUBMIT, &encode(&crowded)).await.text.contains("8192"));
    });
}

#[test]
fn a_list_of_members_as_long_as_a_town_is_not_read() {
    attacked(async |eve| {
        let line = eve.line().await;
        let (voucher, subject) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let one = vouch::sign(&voucher, subject.id(), "x", &[], 1);
        let fault =
            line.refused(Tag::MEMBERS, &encode(&Members { vouches: vec![one; 15_000], ..Members::default() })).await;
        assert!(fault.code == FaultCode::BAD_MESSAGE && fault.text.contains("4096"), "{fault}");
    });
}

#[test]
fn vouches_that_are_forged_bring_nobody_in() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let bob = Identity::load_or_create(&scene.bob.config().join("data")).unwrap().id();
            let friend = Identity::from_seed(&[2; 32]).id();
            let stranger = Identity::from_seed(&[1; 32]);
            // By somebody nobody knows, and in Bob's name without his key.
            let unknown = vouch::sign(&stranger, friend, "friend", &[], 1);
            let forged = potluck_node::wire::Vouch { voucher: bob, ..unknown.clone() };
            let sent = encode(&Members { vouches: vec![unknown, forged], ..Members::default() });
            let (tag, answer) = line.ask(Tag::MEMBERS, &sent).await;
            assert_eq!(tag, Tag::MEMBERS_ARE);
            let told: Members = decode(&answer).unwrap();
            assert!(told.vouches.iter().all(|vouch| vouch.subject != friend));
        });
        let listed = scene.ann.potluck(["peers", "--json"]).finish().expect(0).json();
        assert_eq!(listed["peers"].as_array().map(Vec::len), Some(2));
    });
}

#[test]
fn a_peer_that_vouches_for_thousands_fills_a_bounded_book() {
    attacked_in(|scene| {
        let eve = Identity::load_or_create(&scene.eve.config().join("data")).unwrap();
        let friends = (0..1500u32).map(|number| {
            let mut seed = [9; 32];
            seed[..4].copy_from_slice(&number.to_le_bytes());
            vouch::sign(&eve, Identity::from_seed(&seed).id(), "friend", &[], 1)
        });
        let sent = encode(&Members { vouches: friends.collect(), ..Members::default() });
        Runtime::new().unwrap().block_on(async {
            let (tag, _) = scene.rogue().line().await.ask(Tag::MEMBERS, &sent).await;
            assert_eq!(tag, Tag::MEMBERS_ARE);
        });
        let listed = scene.ann.potluck(["peers", "--json"]).finish().expect(0).json();
        let peers = listed["peers"].as_array().unwrap();
        assert!(peers.len() <= 1024 && peers.iter().any(|peer| peer["name"] == "bob"), "{}", peers.len());
    });
}

#[test]
fn a_peer_that_answers_with_nonsense_is_only_badly_known() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let connection = line.connection.clone();
            // It introduces itself, so that the node asks how it is, and again.
            line.ask(Tag::MEMBERS, &encode(&Members::default())).await;
            let lies = [
                frame(Tag::INFO_IS, u32::MAX as usize, b""),
                frame(Tag::INFO_IS, 4, b"\x91\x91\x91\x91"),
                frame(Tag::SUBMIT, 16 << 20, &[0; 1000]),
                frame(Tag::FAULT, 12, b"\x1b[2Jand more"),
            ];
            for lie in lies {
                let asked = tokio::time::timeout(std::time::Duration::from_secs(30), connection.accept_bi()).await;
                let (mut send, _receive) = asked.expect("the node asks how it is").unwrap();
                send.write_all(&lie).await.unwrap();
                let _ = send.finish();
            }
        });
        let listed = scene.ann.potluck(["peers", "--json"]).finish().expect(0).json();
        let eve = listed["peers"].as_array().unwrap().iter().find(|peer| peer["name"] == "eve");
        assert_eq!(eve.map(|eve| &eve["info"]), Some(&Value::Null));
    });
}
