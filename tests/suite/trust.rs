//! Trust as people live it: who is let in, who is put out, whose key is whose.

use potluck_tests::{Home, Node, guest, in_lab, join, online_peers, pair, until, until_within};
use serde_json::Value;
use std::fs;
use std::time::Duration;

/// "Revoke acts at once": a job that would run for ever ends before a link that says nothing would be given up (7 s).
const AT_ONCE: Duration = Duration::from_secs(5);

fn listing(home: &Home) -> Value {
    home.potluck(["peers", "--json"]).finish().expect(0).json()
}

fn pending(home: &Home) -> Vec<Value> {
    home.potluck(["peers", "pending", "--json"]).finish().expect(0).json()["pending"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn id_of(home: &Home) -> String {
    let whoami = home.potluck(["whoami", "--json"]).finish().expect(0).json();
    whoami["id"].as_str().expect("whoami has an id").to_owned()
}

/// Whether what is said of this machine, or of any of its peers, is of this kind.
fn is_told(home: &Home, kind: &str) -> bool {
    let listing = listing(home);
    let peers = listing["peers"].as_array().cloned().unwrap_or_default();
    let all = peers.iter().flat_map(|peer| peer["remarks"].as_array().cloned().unwrap_or_default());
    all.chain(listing["remarks"].as_array().cloned().unwrap_or_default()).any(|remark| remark["kind"] == kind)
}

#[track_caller]
fn runs_at(home: &Home, peer: &str) {
    assert_eq!(home.run(["--on", peer]).arg(guest("weave")).arg("1").finish().expect(0).out(), "0\n");
}

#[test]
fn a_newcomer_waits_for_the_owners_yes_and_then_everything_follows_by_itself() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (inviter, newcomer) = (Node::start(&ann), Node::start(&bob));
    let ticket = inviter.invite_asking();
    bob.potluck(["join", &ticket]).finish().expect(0).says(&["waiting for the owner of ann", "peers approve"]);
    let waiting = pending(&ann);
    let (id, entry) = (id_of(&bob), &waiting[0]);
    assert_eq!((waiting.len(), entry["name"].as_str(), entry["id"].as_str()), (1, Some("bob"), Some(id.as_str())));
    assert_eq!(entry["fingerprint"].as_str().expect("it has a fingerprint").replace('-', ""), id);
    let table = ann.potluck(["peers", "pending"]).finish().expect(0).out();
    assert!(table.contains("bob") && table.contains(&id[..8]), "{table}");
    // It can do nothing meanwhile, and is told why.
    bob.run(["--on", "ann"])
        .arg(guest("weave"))
        .arg("1")
        .finish()
        .expect(125)
        .says(&["ann", "has not let this machine in"]);
    until("bob knows what it waits for", || is_told(&bob, "not_approved").then_some(()));
    assert!(online_peers(&ann).is_empty());
    ann.potluck(["peers", "approve", "bob"]).finish().expect(0).says(&["bob", "trusted"]);
    for home in [&ann, &bob] {
        until("they see each other", || (online_peers(home).len() == 1).then_some(()));
    }
    assert!(pending(&ann).is_empty());
    runs_at(&bob, "ann");
    drop(newcomer);
}

#[test]
fn at_a_terminal_whoever_made_the_ticket_is_asked_about_whoever_used_it() {
    let (ann, bob, eve) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("eve"));
    let _inviter = Node::start(&ann);
    for (newcomer, name, answer) in [(&bob, "bob", "y\n"), (&eve, "eve", "n\n")] {
        let mut screen = ann.potluck(["invite"]).start_in_terminal();
        screen.shows("waiting until the ticket is used");
        let shown = screen.process().stdout.text();
        let ticket = shown.split_whitespace().find(|word| word.starts_with("potluck1")).expect("there is a ticket");
        newcomer.potluck(["join", ticket]).finish().expect(0);
        screen.shows(&format!("{name} ({})", &id_of(newcomer)[..8]));
        screen.shows("Let it in?");
        screen.types(answer);
        screen.finish().expect(0);
    }
    assert!(pending(&ann).is_empty());
    runs_at(&bob, "ann");
    eve.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish().expect(125);
}

#[test]
fn tickets_that_were_given_out_before_a_revocation_are_withdrawn() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let node = Node::start(&ann);
    join(&node, &bob);
    let spare = node.invite();
    ann.potluck(["peers", "revoke", "bob", "--yes"]).finish().expect(0);
    bob.potluck(["join", &spare]).finish().expect(125).says(&["withdrawn", "potluck invite"]);
    bob.potluck(["join", &node.invite()]).finish().expect(0);
    runs_at(&bob, "ann");
}

#[test]
fn joining_waits_where_it_is_told_to_and_ends_with_the_yes() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let inviter = Node::start(&ann);
    let join = bob.potluck(["join", "--wait", "60s", &inviter.invite_asking()]).start();
    until("bob waits", || (pending(&ann).len() == 1).then_some(()));
    ann.potluck(["peers", "approve", &id_of(&bob)[..8]]).finish().expect(0);
    join.finish().expect(0).says(&["joined the group of ann"]);
    runs_at(&bob, "ann");
}

#[test]
fn a_no_is_a_no_and_its_ticket_is_spent() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let inviter = Node::start(&ann);
    let ticket = inviter.invite_asking();
    bob.potluck(["join", &ticket]).finish().expect(0);
    ann.potluck(["peers", "deny", "bob"]).finish().expect(0).says(&["bob", "not let in"]);
    bob.potluck(["join", &ticket]).finish().expect(125).says(&["did not let this machine in", "new ticket"]);
    assert!(pending(&ann).is_empty() && online_peers(&ann).is_empty());
    ann.potluck(["peers", "approve", "bob"]).finish().expect(125).says(&["nobody waits"]);
}

#[test]
fn who_waits_is_kept_over_a_restart_and_decided_about_without_a_daemon() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let inviter = Node::start(&ann);
    bob.potluck(["join", &inviter.invite_asking()]).finish().expect(0);
    inviter.down();
    assert_eq!(pending(&ann).len(), 1);
    ann.potluck(["peers", "approve", "bob"]).finish().expect(0);
    let again = Node::start(&ann);
    let address = format!("127.0.0.1:{}", again.port());
    bob.potluck(["peers", "add", &address]).finish().expect(0);
    runs_at(&bob, "ann");
}

#[test]
fn a_removed_machine_does_not_come_back_by_the_ticket_it_used() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let node = Node::start(&ann);
    let ticket = node.invite();
    bob.potluck(["join", &ticket]).finish().expect(0);
    ann.potluck(["peers", "rm", "bob"]).finish().expect(0);
    bob.potluck(["join", &ticket]).finish().expect(125).says(&["new ticket"]);
    assert_eq!(listing(&ann)["peers"].as_array().map(Vec::len), Some(0));
}

#[test]
fn revoking_ends_running_jobs_within_a_second_and_reaches_the_group() {
    let (ann, bob, eve) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("eve"));
    let (first, second, third) = (Node::start(&ann), Node::start(&bob), Node::start(&eve));
    pair(&first, &second);
    join(&first, &eve);
    until("bob knows eve", || (online_peers(&bob).len() == 2).then_some(()));
    eve.write("forever.wasm", wat::parse_str(FOREVER).expect("the test's own module is well-formed"));
    let job = eve.run(["--on", "ann", "--fuel", "1900T", "--timeout", "10m", "forever.wasm"]).start();
    job.wait_for_stdout("going");
    ann.potluck(["peers", "revoke", "eve", "--yes"]).finish().expect(0).says(&["eve", "revoked"]);
    until_within(AT_ONCE, "nothing of eve runs at ann", || ann.scratch_entries().is_empty().then_some(()));
    job.finish().expect(125).says(&["ann"]);
    until("bob does not trust eve either", || (online_peers(&bob).len() == 1).then_some(()));
    let table = bob.potluck(["peers"]).finish().expect(0).out();
    assert!(table.contains("eve") && table.contains("revoked by ann"), "{table}");
    for peer in ["ann", "bob"] {
        eve.run(["--on", peer]).arg(guest("weave")).arg("1").finish().expect(125).says(&[peer]);
    }
    // Bob's owner may see that otherwise, for bob.
    bob.potluck(["peers", "approve", "eve"]).finish().expect(0);
    until("eve and bob meet again", || online_peers(&bob).iter().any(|peer| peer["name"] == "eve").then_some(()));
    drop(third);
}

#[test]
fn a_machine_that_is_put_out_has_no_job_of_ours_any_more() {
    for (verb, with_node) in [(&["rm"][..], false), (&["revoke", "--yes"], false), (&["revoke", "--yes"], true)] {
        let (ann, eve) = (Home::new().named("ann"), Home::new().named("eve"));
        let there = Node::start(&eve);
        join(&there, &ann);
        let here = with_node.then(|| Node::start(&ann));
        ann.write("forever.wasm", wat::parse_str(FOREVER).expect("the test's own module is well-formed"));
        let job = ann.run(["--on", "eve", "--fuel", "1900T", "--timeout", "10m", "forever.wasm"]).start();
        job.wait_for_stdout("going");
        ann.potluck(["peers"]).args([&verb[..1], &["eve"], &verb[1..]].concat()).finish().expect(0);
        job.finish().expect(125).says(&["eve is not trusted by this machine any more", "run it again elsewhere"]);
        until("nothing of the job is left at eve's", || eve.scratch_entries().is_empty().then_some(()));
        drop(here);
    }
}

#[test]
fn a_machine_that_is_put_out_has_no_turn_of_ours_any_more() {
    let (ann, eve) = (Home::with_python().named("ann"), Home::with_python().named("eve"));
    let there = Node::start(&eve);
    join(&there, &ann);
    crate::sessions::open(&ann, &["--on", "eve", "--name", "work"]);
    let turn = ["session", "run", "work", "print('on', flush=True)\nwhile True: pass", "--on", "eve"];
    let turn = ann.potluck(turn).start();
    turn.wait_for_stdout("on\n");
    ann.potluck(["peers", "revoke", "eve", "--yes"]).finish().expect(0);
    turn.finish_with_stdin_open().expect(125).says(&["eve is not trusted by this machine any more"]);
}

/// Says that it has begun, then goes on for ever.
const FOREVER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "going\n")
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 16))
        (i32.store (i32.const 4) (i32.const 6))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (loop $again (br $again))))"#;

#[test]
fn a_member_that_revokes_those_it_did_not_let_in_is_shown_and_not_followed() {
    let (ann, bob, eve) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("eve"));
    let (first, second, third) = (Node::start(&ann), Node::start(&bob), Node::start(&eve));
    pair(&first, &second);
    join(&first, &eve);
    until("bob knows eve", || (online_peers(&bob).len() == 2).then_some(()));
    eve.potluck(["peers", "revoke", "ann", "--yes"]).finish().expect(0);
    until("bob is told what eve says", || is_told(&bob, "revoked_elsewhere").then_some(()));
    runs_at(&bob, "ann");
    drop(third);
}

#[test]
fn a_copied_identity_is_told_at_both_machines_and_their_peer_and_cured_by_a_new_one() {
    let (ann, bob, copy) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("bob"));
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    copy_identity(&bob, &copy);
    let twin = Node::start(&copy);
    for home in [&ann, &bob, &copy] {
        until("each of the three is told", || is_told(home, "copied_identity").then_some(()));
    }
    let status = copy.potluck(["status"]).finish().expect(0).out();
    assert!(status.contains("potluck identity new"), "{status}");
    copy.potluck(["identity", "new", "--yes"]).finish().expect(125).says(&["potluck down"]);
    twin.down();
    copy.potluck(["identity", "new"]).finish().expect(125).says(&["--yes"]);
    let (before, renewed) =
        (id_of(&copy), copy.potluck(["identity", "new", "--yes", "--json"]).finish().expect(0).json());
    assert_eq!(renewed["old_id"].as_str(), Some(before.as_str()));
    assert_ne!(id_of(&copy), id_of(&bob));
    assert_eq!(listing(&copy)["peers"].as_array().map(Vec::len), Some(0));
    let _twin = Node::start(&copy);
    join(&first, &copy);
    until("three machines", || (online_peers(&ann).len() == 2).then_some(()));
}

/// Gives one home the identity and the peers of another, as a copied disk does.
fn copy_identity(original: &Home, copy: &Home) {
    let (from, to) = (original.config().join("data"), copy.config().join("data"));
    fs::create_dir_all(&to).expect("a directory can be made");
    for file in ["identity.pem", "peers.toml"] {
        fs::copy(from.join(file), to.join(file)).expect("a file can be copied");
    }
}

#[test]
fn twins_on_two_hosts_of_one_lan_see_each_other_without_any_peer() {
    in_lab("trust::twins_on_two_hosts_of_one_lan_see_each_other_without_any_peer", |lab| {
        lab.switch("lan");
        let homes = ["one", "two", "three"].map(|name| {
            let host = lab.host(name);
            let number = name.len();
            lab.plug(name, "lan", "eth0", &[&format!("10.77.{number}.{}/16", if name == "two" { 2 } else { 1 })]);
            Home::new().on_host(&host).named(name)
        });
        let [original, copy, peer] = &homes;
        let nodes = [Node::start(peer), Node::start(original)];
        pair(&nodes[0], &nodes[1]);
        nodes.into_iter().for_each(Node::down);
        copy_identity(original, copy);
        // The peer is away: nobody is there to tell them.
        let _twins = [Node::start(original), Node::start(copy)];
        for home in [original, copy] {
            until("each has found the other out", || is_told(home, "copied_identity").then_some(()));
        }
    });
}

#[test]
fn a_machine_that_was_set_up_anew_is_flagged_and_takes_its_old_place_by_accept_key() {
    let (ann, old, new) = (Home::new().named("ann"), Home::new().named("attic"), Home::new().named("attic"));
    let node = Node::start(&ann);
    join(&node, &old);
    ann.potluck(["peers", "accept-key", "attic"])
        .finish()
        .expect(125)
        .says(&["no other key has shown itself", "invite"]);
    new.potluck(["join", &node.invite_asking()]).finish().expect(0);
    let (old_id, new_id) = (id_of(&old), id_of(&new));
    assert_eq!(pending(&ann)[0]["replaces"].as_str(), Some(old_id.as_str()));
    ann.potluck(["peers", "approve", "attic"]).finish().expect(125).says(&["another key", "accept-key"]);
    runs_at(&old, "ann");
    ann.potluck(["peers", "accept-key", "attic"]).finish().expect(0).says(&[&new_id[..8]]);
    runs_at(&new, "ann");
    old.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish().expect(125);
    let ids: Vec<String> = listing(&ann)["peers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|peer| peer["id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(ids, [new_id]);
}

#[test]
fn names_are_labels_and_two_peers_may_have_one() {
    let (ann, one, two) = (Home::new().named("ann"), Home::new().named("attic"), Home::new().named("attic"));
    let node = Node::start(&ann);
    join(&node, &one);
    join(&node, &two);
    for home in [&one, &two] {
        runs_at(home, "ann");
    }
    ann.run(["--on", "attic"]).arg(guest("weave")).arg("1").finish().expect(125).says(&["could be", &id_of(&two)[..8]]);
}

#[test]
fn an_engine_on_the_list_is_sent_no_work_and_lends_none() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    ann.potluck(["config", "set", "bad_engines", "0.0.1..999.0.0 GHSA-of-the-day"]).finish().expect(0);
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    let advisory = ["GHSA-of-the-day", "wasmtime"];
    // Ann sends nothing to an engine that is on her list, and lends nothing because hers is too.
    ann.run(["--on", "bob"]).arg(guest("weave")).arg("1").finish().expect(125).says(&advisory);
    bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish().expect(125).says(&advisory);
    assert_eq!(ann.run(["--on", "local"]).arg(guest("weave")).arg("1").finish().expect(0).out(), "0\n");
    assert!(is_told(&ann, "bad_engine") && !is_told(&bob, "bad_engine"));
    ann.potluck(["config", "set", "bad_engines", "nonsense"]).finish().expect(125).says(&["FROM..FIXED"]);
    first.down();
    // Without a daemon it is asked over the connection itself.
    ann.run(["--on", "bob"]).arg(guest("weave")).arg("1").finish().expect(125).says(&advisory);
}
