//! The state of a session taken elsewhere: to a twin, a file, another machine, the disk of its own.

use crate::sessions::{listed, open, said, turn};
use potluck_tests::{Home, Node, pair, until};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

#[test]
fn a_twin_and_a_saved_state_go_their_own_way() {
    let home = Home::with_python();
    let node = Node::start(&home);
    open(&home, &["--name", "work"]);
    said(&home, "work", "x = [1]; open('note.txt', 'w').write('hello')");
    let twin = home.potluck(["session", "fork", "work", "--name", "twin"]).finish().expect(0).out();
    home.potluck(["session", "save", "work", "work.session"]).finish().expect(0).says(&["saved work"]);
    said(&home, "work", "x.append(2)");
    said(&home, "twin", "x.append(3)");
    home.potluck(["session", "stop", "work"]).finish().expect(0);
    let restored = home.potluck(["session", "restore", "work.session", "--name", "back"]).finish().expect(0).out();
    assert_ne!(twin, restored);
    assert_eq!(said(&home, twin.trim(), "x"), "[1, 3]\n");
    assert_eq!(said(&home, "back", "x, open('note.txt').read()"), "([1], 'hello')\n");
    let shell = home.potluck(["shell", "--from", "work.session"]).input("x").finish();
    assert_eq!(shell.expect(0).out(), "[1]\n");
    assert_eq!(listed(&home).len(), 2);
    drop(node);
}

#[test]
fn a_saved_state_that_is_damaged_or_of_another_version_is_refused() {
    let home = Home::with_python();
    let node = Node::start(&home);
    open(&home, &["--name", "work"]);
    home.potluck(["session", "save", "work", "work.session"]).finish().expect(0);
    let whole = fs::read(home.work().join("work.session")).expect("it was saved");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    home.write("flipped.session", flipped);
    home.write("cut.session", &whole[..whole.len() / 2]);
    home.write("other.session", "hello");
    change_version(&home.work().join("work.session"), &home.work().join("new.session"));
    for (name, says) in
        [("flipped", "flipped.session"), ("cut", "no saved session"), ("other", "no saved session"), ("new", "version")]
    {
        let refused = home.potluck(["session", "restore", &format!("{name}.session")]).finish();
        assert_eq!(refused.expect(125).says(&[says]).out(), "", "{name}");
    }
    home.potluck(["session", "restore", "missing.session"]).finish().expect(125).says(&["missing.session"]);
    assert_eq!(listed(&home).len(), 1);
    drop(node);
}

/// The same saved session, as if a later version of Potluck had written it.
fn change_version(from: &Path, to: &Path) {
    let mut archive = zip::ZipArchive::new(File::open(from).expect("it was saved")).expect("it is an archive");
    let mut changed = zip::ZipWriter::new(File::create(to).expect("a file can be made"));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).expect("an archive has what it lists");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("an entry can be read");
        let name = entry.name().expect("an entry has a name").into_owned();
        if name == "session.toml" {
            let text = String::from_utf8(bytes).expect("it is text");
            bytes = text.replace("format = 1", "format = 2").into_bytes();
        }
        changed.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry can be made");
        changed.write_all(&bytes).expect("an entry can be written");
    }
    changed.finish().expect("an archive can be written");
}

#[test]
fn a_session_moves_to_a_peer_and_back_with_all_it_has() {
    let (here, there) = (Home::with_python().named("desk"), Home::with_python().named("attic"));
    let (desk, attic) = (Node::start(&here), Node::start(&there));
    pair(&desk, &attic);
    let id = open(&here, &["--name", "work"]);
    said(&here, "work", "x = 7; open('note.txt', 'w').write('hello')");
    here.potluck(["session", "move", "work", "attic"]).finish().expect(0).says(&["work is now on attic"]);
    let sessions = listed(&here);
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!((&sessions[0]["node"], &sessions[0]["id"]), (&"attic".into(), &id.into()));
    assert_eq!(said(&here, "work", "x, open('note.txt').read()"), "(7, 'hello')\n");
    here.potluck(["session", "run", "work", "x", "--on", "local"]).finish().expect(125).says(&["work"]);
    here.potluck(["session", "move", "work", "local"]).finish().expect(0).says(&["this machine"]);
    assert_eq!(said(&here, "work", "x, open('note.txt').read()"), "(7, 'hello')\n");
    here.potluck(["session", "move", "work", "cellar"]).finish().expect(125).says(&["cellar"]);
    assert_eq!(said(&here, "work", "x"), "7\n");
}

#[test]
fn an_idle_session_is_put_to_disk_and_outlives_its_node() {
    let home = Home::with_python();
    home.potluck(["config", "set", "session_idle", "1"]).finish().expect(0);
    let node = Node::start(&home);
    let id = open(&home, &["--name", "work"]);
    said(&home, "work", "x = 9");
    let parked = || (listed(&home)[0]["state"] == "parked").then_some(());
    until("the session is parked", parked);
    assert_eq!(said(&home, "work", "x"), "9\n");
    said(&home, "work", "x = 10");
    node.down();
    turn(&home, "work", "x").expect(125);
    let node = Node::start(&home);
    assert_eq!(listed(&home)[0]["id"], id.as_str());
    assert_eq!(said(&home, "work", "x"), "10\n");
    until("the session is parked", parked);
    node.die();
    let node = Node::start(&home);
    assert_eq!(said(&home, "work", "x"), "10\n");
    home.potluck(["session", "stop", "work"]).finish().expect(0);
    drop(node);
}

#[test]
fn a_session_that_cannot_be_put_to_disk_stays_where_it_is() {
    let home = Home::with_python();
    home.potluck(["config", "set", "session_idle", "1"]).finish().expect(0);
    let node = Node::start(&home);
    let id = open(&home, &["--name", "work"]);
    said(&home, "work", "x = 9");
    // In the way of what is to be put there, at the very last step.
    let kept = home.scratch().with_file_name("sessions");
    let obstacle = kept.join(format!("{id}.old"));
    std::fs::write(&obstacle, b"").unwrap();
    until("it was tried", || kept.join(format!("{id}.part")).exists().then_some(()));
    until("it was given up", || (!kept.join(format!("{id}.part")).exists()).then_some(()));
    assert_eq!(said(&home, "work", "x"), "9\n");
    std::fs::remove_file(&obstacle).unwrap();
    until("the session is parked", || (listed(&home)[0]["state"] == "parked").then_some(()));
    assert_eq!(said(&home, "work", "x"), "9\n");
    drop(node);
}

#[test]
fn what_a_turn_has_written_stays_when_its_asker_is_gone_and_the_node_is_restarted() {
    let home = Home::with_python();
    home.potluck(["config", "set", "session_idle", "1"]).finish().expect(0);
    let node = Node::start(&home);
    open(&home, &["--name", "work"]);
    said(&home, "work", "x = 9");
    until("the session is parked", || (listed(&home)[0]["state"] == "parked").then_some(()));
    let source =
        "x = 10\nwith open('note.txt', 'w') as f: f.write('hello')\nprint('written', flush=True)\nwhile True: pass";
    let mut asker = home.potluck(["session", "run", "work", source]).start();
    asker.wait_for_stdout("written");
    asker.kill();
    until("the turn is undone", || (listed(&home)[0]["state"] != "busy").then_some(()));
    node.down();
    let node = Node::start(&home);
    assert_eq!(said(&home, "work", "x, open('note.txt').read()"), "(9, 'hello')\n");
    drop(node);
}
