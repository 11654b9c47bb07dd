//! What one peer may use: shown, changed at once, named in refusals, remembered over a restart; and never the owner's concern
//! for jobs of their own.

use potluck_tests::{Home, Node, guest, join, until};
use serde_json::Value;

/// Ann's node, and Bob who is a member.
fn homes() -> (Home, Home) {
    (Home::new().named("ann"), Home::new().named("bob"))
}

/// What Ann is told of Bob's quota.
#[track_caller]
fn of_bob(ann: &Home) -> Value {
    let json = ann.potluck(["quota", "--json"]).finish().expect(0).json();
    let peers = json["peers"].as_array().cloned().unwrap_or_default();
    peers.into_iter().find(|peer| peer["name"] == "bob").unwrap_or_else(|| panic!("Bob is not listed: {json}"))
}

#[test]
fn what_a_peer_has_used_is_shown_and_the_owner_has_no_quota() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    assert_eq!(of_bob(&ann)["fuel"]["used"], 0);
    bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish().expect(0);
    until("Bob's fuel is charged", || (of_bob(&ann)["fuel"]["used"].as_u64() > Some(0)).then_some(()));
    assert!(of_bob(&ann)["stored_bytes"]["used"].as_u64() > Some(1000), "{}", of_bob(&ann));
    let table = ann.potluck(["quota"]).finish();
    table.expect(0).says(&[]);
    for word in ["bob", "0 of 3", "0 of 64", "of 16 GiB", "of 2000T", "(any other)"] {
        assert!(table.out().contains(word), "{word}: {}", table.out());
    }
    ann.potluck(["quota", "--fuel-per-day", "1", "--stored", "1"]).finish().expect(0);
    ann.run([guest("weave")]).arg("1").finish().expect(0);
}

#[test]
fn fuel_is_refused_by_name_at_once_and_after_a_restart() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    let run = |fuel: &str| bob.run(["--on", "ann", "--fuel", fuel]).arg(guest("weave")).arg("1").finish();
    run("1G").expect(0);
    until("Bob's fuel is charged", || (of_bob(&ann)["fuel"]["used"].as_u64() > Some(0)).then_some(()));
    let used = of_bob(&ann)["fuel"]["used"].as_u64().unwrap();
    ann.potluck(["quota", "bob", "--fuel-per-day", "1G"]).finish().expect(0);
    let left = (1_000_000_000 - used).to_string();
    run("1G").expect(125).says(&[
        "quota of fuel",
        &used.to_string(),
        "1000000000",
        &format!("--fuel {left}"),
        "potluck quota",
    ]);
    run(&left).expect(0);
    node.down();
    let without = of_bob(&ann);
    let node = Node::start(&ann);
    assert_eq!(of_bob(&ann)["fuel"], without["fuel"]);
    assert!(without["fuel"]["used"].as_u64() > Some(used));
    run("1G").expect(125).says(&["quota of fuel"]);
    ann.potluck(["quota", "bob", "--reset"]).finish().expect(0);
    run("1G").expect(0);
    node.down();
}

#[test]
fn stored_bytes_are_refused_by_name_and_what_nobody_needs_goes_first() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    let program = std::fs::metadata(guest("look")).unwrap().len();
    let room = (program + 3_000_000).to_string();
    ann.potluck(["quota", "bob", "--stored", &room]).finish().expect(0);
    let run = |name: &str, len: usize| {
        bob.write(name, vec![u8::try_from(len % 251).unwrap(); len]);
        bob.run(["--on", "ann", "-f", name]).arg(guest("look")).finish()
    };
    run("one", 2_000_000).expect(0);
    // The first file has to go, and does.
    run("two", 2_000_001).expect(0);
    assert!(of_bob(&ann)["stored_bytes"]["used"].as_u64() <= room.parse().ok());
    run("three", 4_000_000).expect(125).says(&["quota of stored bytes", "--stored", "potluck quota"]);
}

#[test]
fn sessions_on_disk_count_and_no_more_are_opened_when_they_fill_the_quota() {
    let (ann, bob) = (Home::with_python().named("ann"), Home::with_python().named("bob"));
    ann.potluck(["config", "set", "session_idle", "1"]).finish().expect(0);
    let node = Node::start(&ann);
    join(&node, &bob);
    let open = |name: &str| bob.potluck(["session", "new", "--on", "ann", "--name", name]).finish();
    open("first").expect(0);
    until("the session is on disk and counts", || {
        (of_bob(&ann)["stored_bytes"]["used"].as_u64() > Some(1 << 20)).then_some(())
    });
    ann.potluck(["quota", "bob", "--stored", "1M"]).finish().expect(0);
    open("second").expect(125).says(&["quota of stored bytes", "potluck session stop"]);
    let turn = bob.potluck(["session", "run", "first", "1"]).finish();
    turn.expect(125).says(&["quota of stored bytes"]);
    bob.potluck(["session", "stop", "first"]).finish().expect(0);
    open("third").expect(0);
    bob.potluck(["session", "stop", "third"]).finish().expect(0);
}

#[test]
fn jobs_that_wait_are_counted_and_one_that_may_not_is_told() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    ann.potluck(["quota", "bob", "--jobs", "1", "--queue", "1"]).finish().expect(0);
    let start = || bob.run(["--on", "ann", "--timeout", "5m"]).arg(guest("hog")).arg("sleep").start();
    let mut first = start();
    first.wait_for_stdout("taking sleep");
    let mut second = start();
    until("one waits", || (of_bob(&ann)["queue"]["used"] == 1).then_some(()));
    let third = bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish();
    third.expect(125).says(&["quota of waiting jobs: 1 of 1", "--queue"]);
    // The second starts as soon as the owner lets two run.
    ann.potluck(["quota", "bob", "--jobs", "2"]).finish().expect(0);
    second.wait_for_stdout("taking sleep");
    assert_eq!((of_bob(&ann)["jobs"]["used"].as_u64(), of_bob(&ann)["queue"]["used"].as_u64()), (Some(2), Some(0)));
    first.kill();
    second.kill();
    until("nothing runs", || (of_bob(&ann)["jobs"]["used"] == 0).then_some(()));
}

#[test]
fn a_quota_that_means_nothing_is_refused() {
    let (ann, _bob) = homes();
    ann.potluck(["quota", "nobody", "--jobs", "1"]).finish().expect(125).says(&["nobody"]);
    ann.potluck(["quota", "--jobs", "0"]).finish().expect(125).says(&["lend false"]);
    ann.potluck(["quota", "--stored", "much"]).finish().expect(2);
}
