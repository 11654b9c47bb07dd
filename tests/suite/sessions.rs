//! Sessions from turn to turn: what lasts, what ends a turn and not the session, and whose it is.

use potluck_tests::{Finished, Home, Node, busy_processes_of, join, pair, until};
use rustix::process::Signal;
use serde_json::Value;

/// Opens a session with these options and returns its id, which is all that is printed.
#[track_caller]
pub(crate) fn open(home: &Home, options: &[&str]) -> String {
    let opened = home.potluck(["session", "new"]).args(options).finish();
    let out = opened.expect(0).out();
    let id = out.strip_suffix('\n').expect("the id is a line");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{opened}");
    id.to_owned()
}

/// Runs a turn.
#[track_caller]
pub(crate) fn turn(home: &Home, session: &str, code: &str) -> Finished {
    home.potluck(["session", "run", session, code]).finish()
}

/// What a turn prints that ends well.
#[track_caller]
pub(crate) fn said(home: &Home, session: &str, code: &str) -> String {
    turn(home, session, code).expect(0).out()
}

/// The sessions that `session ls` lists.
#[track_caller]
pub(crate) fn listed(home: &Home) -> Vec<Value> {
    let listing = home.potluck(["session", "ls", "--json"]).finish().expect(0).json();
    listing["sessions"].as_array().expect("sessions are listed").clone()
}

#[test]
fn a_session_keeps_its_variables_whatever_ends_a_turn() {
    let home = Home::with_python();
    let node = Node::start(&home);
    let id = open(&home, &["--name", "work", "-e", "A=b", "--timeout", "1m"]);
    assert_eq!(said(&home, "work", "import os; x = 40; os.environ['A']"), "'b'\n");
    assert_eq!(said(&home, &id, "x += 2"), "");
    assert_eq!(said(&home, &id[..6], "x"), "42\n");
    turn(&home, "work", "x = 43; 1 / 0").expect(1).says(&["ZeroDivisionError", "1 / 0"]);
    assert_eq!(said(&home, "work", "x"), "43\n");
    for (flags, code, limit, flag) in [
        (["--fuel", "1G"], 137, "fuel limit", "--fuel"),
        (["--timeout", "1s"], 124, "wall time limit", "--timeout"),
        (["--output", "1K"], 137, "output limit", "--output"),
    ] {
        let ended = home.potluck(["session", "run", "work", "x = 0\nwhile True: print('y')"]).args(flags).finish();
        ended.expect(code).says(&[limit, flag, "undone"]);
        assert_eq!(said(&home, "work", "x"), "43\n", "{flags:?}");
    }
    turn(&home, "work", "x = 0; raise SystemExit(7)").expect(7);
    let sessions = listed(&home);
    assert!(sessions.iter().all(|session| session["state"] != "busy" && session["owner"].is_null()), "{sessions:?}");
    drop(node);
}

#[test]
fn a_turn_is_given_as_an_argument_a_file_or_stdin_and_reads_what_it_asks_for() {
    let home = Home::with_python();
    let _node = Node::start(&home);
    open(&home, &["--name", "work"]);
    let run = |args: &[&str], input: &str| home.potluck(["session", "run", "work"]).args(args).input(input).finish();
    home.write("code.py", "y = 5\ny * 2\n");
    assert_eq!(run(&["--file", "code.py"], "").expect(0).out(), "10\n");
    assert_eq!(run(&[], "y\n").expect(0).out(), "5\n");
    assert_eq!(run(&["-"], "y").expect(0).out(), "5\n");
    assert_eq!(run(&["--file", "-"], "y").expect(0).out(), "5\n");
    assert_eq!(run(&["[input('? '), input()]"], "one\ntwo\n").expect(0).out(), "? ['one', 'two']\n");
    run(&["-"], "input()").expect(1).says(&["EOFError"]);
    let object = run(&["--json", "import sys; sys.stderr.write('no'); y"], "").expect(0).json();
    assert_eq!((&object["stdout"], &object["stderr"]), (&"5\n".into(), &"no".into()), "{object}");
    assert_eq!((&object["outcome"]["kind"], &object["undone"]), (&"exited".into(), &false.into()), "{object}");
    run(&["--file", "missing.py"], "").expect(125).says(&["missing.py"]);
    run(&["--timeout", "soon", "1"], "").expect(125).says(&["timeout"]);
}

#[test]
fn ctrl_c_interrupts_a_turn_and_the_session_goes_on() {
    let home = Home::with_python();
    let node = Node::start(&home);
    open(&home, &["--name", "work"]);
    let running = home.potluck(["session", "run", "work", "x = 1; print('on', flush=True)\nwhile True: pass"]).start();
    running.wait_for_stdout("on\n");
    turn(&home, "work", "2").expect(125).says(&["runs already"]);
    running.signal(Signal::INT);
    running.finish_with_stdin_open().expect(130).says(&["KeyboardInterrupt"]);
    assert_eq!(said(&home, "work", "x"), "1\n");
    // A command that is killed takes its turn along, and only that.
    let mut running =
        home.potluck(["session", "run", "work", "x = 2; print('on', flush=True)\nwhile True: pass"]).start();
    running.wait_for_stdout("on\n");
    running.kill();
    until("the turn is over", || (listed(&home)[0]["state"] != "busy").then_some(()));
    assert_eq!(said(&home, "work", "x"), "1\n");
    drop(node);
}

#[test]
fn a_session_ends_when_it_is_stopped_or_says_so_itself() {
    let home = Home::with_python();
    let node = Node::start(&home);
    for name in ["one", "two", "three", "four"] {
        open(&home, &["--name", name]);
    }
    turn(&home, "one", "exit(3)").expect(3);
    home.potluck(["session", "stop", "two", "nobody"]).finish().expect(125).says(&["two has ended", "nobody"]);
    assert_eq!(listed(&home).len(), 2);
    home.potluck(["session", "stop", "--all"]).finish().expect(0).says(&["three", "four"]);
    assert!(listed(&home).is_empty());
    turn(&home, "one", "1").expect(125).says(&["one", "session"]);
    assert!(busy_processes_of(home.root()).len() <= 1, "only the daemon is left");
    drop(node);
}

#[test]
fn odd_names_are_refused_and_so_is_a_session_that_could_not_stay() {
    let home = Home::new();
    for name in ["two words", "", "a/b", "any"] {
        home.potluck(["session", "new", "--name", name]).finish().expect(2).says(&["--name"]);
        home.potluck(["session", "fork", "x", "--name", name]).finish().expect(2).says(&["--name"]);
    }
    for command in [&["session", "new"][..], &["shell", "--keep"], &["shell", "--name", "work"]] {
        home.potluck(command).finish().expect(125).says(&["no node runs", "potluck up -d"]);
    }
    home.potluck(["session", "run", "work", "1"]).finish().expect(125).says(&["work"]);
    home.potluck(["session", "stop"]).finish().expect(2);
    home.potluck(["session", "stop", "--all", "work"]).finish().expect(2);
    home.potluck(["session", "ls"]).finish().expect(0).says(&["no sessions", "session new"]);
    assert!(listed(&home).is_empty());
}

#[test]
fn a_peers_session_is_its_own_and_the_owner_of_the_machine_sees_it() {
    let (lender, guest, other) =
        (Home::with_python().named("attic"), Home::with_python().named("desk"), Home::with_python().named("barn"));
    let (attic, desk) = (Node::start(&lender), Node::start(&guest));
    pair(&attic, &desk);
    join(&attic, &other);
    let id = open(&guest, &["--on", "attic", "--name", "secret"]);
    assert_eq!(said(&guest, "secret", "x = 5; x"), "5\n");
    let sessions = listed(&lender);
    assert_eq!((&sessions[0]["owner"], &sessions[0]["here"]), (&"desk".into(), &true.into()), "{sessions:?}");
    assert!(listed(&other).is_empty());
    for home in [&lender, &other] {
        for which in ["secret", &id] {
            for on in [&[][..], &["--on", "attic"]] {
                let refused = home.potluck(["session", "run", which, "x"]).args(on).finish();
                assert_eq!(refused.expect(125).out(), "", "{which}");
            }
        }
    }
    other.potluck(["session", "stop", &id, "--on", "attic"]).finish().expect(125);
    lender.potluck(["session", "stop", "--all"]).finish().expect(0);
    assert_eq!(said(&guest, "secret", "x"), "5\n");
    // Whose machine it is may end what is there.
    lender.potluck(["session", "stop", &id]).finish().expect(0);
    assert!(listed(&guest).is_empty());
}

#[test]
fn the_lenders_rules_hold_for_each_turn_and_a_peer_that_is_forgotten_leaves_nothing() {
    let (lender, guest) = (Home::with_python().named("attic"), Home::with_python().named("desk"));
    let (attic, desk) = (Node::start(&lender), Node::start(&guest));
    pair(&attic, &desk);
    open(&guest, &["--on", "attic", "--name", "work"]);
    assert_eq!(said(&guest, "work", "x = 5; x"), "5\n");
    attic.down();
    lender.potluck(["config", "set", "lend", "false"]).finish().expect(0);
    let attic = Node::start(&lender);
    until("the peer is in reach", || (!listed(&guest).is_empty()).then_some(()));
    turn(&guest, "work", "x").expect(125).says(&["attic", "lend"]);
    guest.potluck(["session", "fork", "work"]).finish().expect(125).says(&["lend"]);
    attic.down();
    lender.potluck(["config", "set", "lend", "true"]).finish().expect(0);
    let attic = Node::start(&lender);
    until("the peer is in reach", || (!listed(&guest).is_empty()).then_some(()));
    assert_eq!(said(&guest, "work", "x"), "5\n");
    lender.potluck(["peers", "rm", "desk"]).finish().expect(0);
    assert!(listed(&lender).is_empty());
    drop(attic);
}
