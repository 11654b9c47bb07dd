//! The second wall on a node of an ordinary user: it holds, and what the system lacks of it is told to everybody.

use potluck_tests::{Home, Node, guest, pair, until};
use serde_json::Value;

/// A user who is nobody in particular.
const NOBODY: u32 = 65534;

/// What an owner, or whoever looks at a peer, is told.
fn remarks(list: &Value) -> String {
    list.pointer("/remarks").map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_node_of_an_ordinary_user_confines_guests_and_says_what_its_system_lacks() {
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: only root can be another user");
        return;
    }
    let attic = Home::new().named("attic").of_user(NOBODY);
    let mut node = Node::start(&attic);
    // No machine lets this user make control groups.
    until("the node says at its start what its system lacks", || {
        node.process().stderr.text().contains("guests are confined without cgroup").then_some(())
    });
    let status = attic.potluck(["status"]).finish().expect(0).out();
    assert!(status.contains("confined without cgroup") && status.contains("potluck doctor"), "{status}");
    let json = attic.potluck(["status", "--json"]).finish().expect(0).json();
    assert_eq!(json.pointer("/walls_missing").unwrap().to_string(), r#"["cgroup"]"#, "{json}");
    let doctor = attic.potluck(["doctor"]).finish().out();
    assert!(doctor.contains("systemd-run --user"), "{doctor}");
    attic.potluck(["doctor", "--walls"]).finish().expect(0).says(&["attempts of a confined worker were stopped"]);

    let bob = Home::new().named("bob");
    let other = Node::start(&bob);
    pair(&node, &other);
    let run = bob.run(["--on", "attic"]).arg(guest("weave")).arg("1").finish();
    assert_eq!(run.expect(0).out(), "0\n");
    until("whoever sees it as a peer is told", || {
        let peers = bob.potluck(["peers", "--json"]).finish().expect(0).json();
        let peer = peers.pointer("/peers/0")?;
        remarks(peer).contains("without cgroup").then_some(())
    });
}
