//! A job on another machine: the same as here, and when the network or the machine fails, a sentence and 125.

use crate::sight::{both_forms, command, until_no_run_is_left};
use potluck_tests::{Home, Node, busy_processes_of, guest, join, pair, write_script};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// "Killing the peer mid-job gives exit code 125 within 10 s."
const LOSS_NOTICED_WITHIN: Duration = Duration::from_secs(10);

/// A lender with a daemon, and a borrower without one.
fn with_lender(test: impl FnOnce(&Node<'_>, &Home)) {
    let (lender_home, home) = (Home::new().named("attic"), Home::new());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    test(&lender, &home);
}

#[test]
fn the_first_line_arrives_while_the_job_still_runs_there() {
    with_lender(|_, home| {
        for program in both_forms("converse") {
            let mut job = home.run(["--on", "attic"]).arg(&program).start();
            job.wait_for_stdout("ready\n");
            job.write("over to you\n");
            job.wait_for_stdout("heard over to you\n");
            job.wait_for_stderr("noted over to you\n");
            assert!(job.is_running());
            job.finish().expect(0);
        }
    });
}

#[test]
fn exit_codes_and_traps_come_back() {
    with_lender(|_, home| {
        let exits = command(home, "exit.wasm", "(call $exit (i32.const 42))");
        let traps = command(home, "trap.wasm", "unreachable");
        home.run(["--on", "attic", &exits]).finish().expect(42);
        home.run(["--on", "attic", &traps]).finish().expect(134).says(&["unreachable"]);
    });
}

#[test]
fn inputs_mounts_variables_and_outputs_travel() {
    with_lender(|_, home| {
        for name in ["keep.txt", "change.txt", "drop.txt"] {
            home.write(name, name);
        }
        let inputs = ["--on", "attic", "-f", "keep.txt", "-f", "change.txt", "-f", "drop.txt", "-o", "out"];
        home.run(inputs).arg(guest("edit")).finish().expect(0);
        let read = |name: &str| std::fs::read_to_string(home.work().join("out").join(name)).expect("it came back");
        assert_eq!((read("change.txt"), read("deep/er/made.txt")), ("c".repeat(10), "made deep down".to_owned()));
        assert!(!home.work().join("out/keep.txt").exists());

        home.write("shared/deep/table.txt", "42");
        let finished = home
            .run(["--on", "attic", "-e", "COLOUR=red", "-f", "keep.txt", "--mount", "shared::/data"])
            .arg(guest("look"))
            .args(["two words", "--read", "/data/deep/table.txt", "--write", "/data/x", "--read", "/etc/passwd"])
            .finish();
        let out = finished.expect(0).out();
        for line in ["arg two words", "env COLOUR=red", "file keep.txt 8", "read /data/deep/table.txt: 42"] {
            assert!(out.lines().any(|l| l == line), "no {line:?}: {out}");
        }
        assert!(out.contains("cannot write /data/x") && out.contains("cannot read /etc/passwd"), "{out}");
    });
}

#[test]
fn bad_programs_are_refused_there_as_here() {
    with_lender(|_, home| {
        home.write("text.wasm", "no module at all");
        home.run(["--on", "attic", "text.wasm"]).finish().expect(126).says(&["text.wasm"]);
        let text =
            r#"(module (import "robot" "move_arm" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
        let program = crate::sight::module(home, "robot.wasm", text);
        home.run(["--on", "attic", &program]).finish().expect(126).says(&["move_arm"]);
        home.run(["--on", "attic", "absent.wasm"]).finish().expect(127).says(&["absent.wasm"]);
    });
}

#[test]
fn ctrl_c_cancels_the_remote_run() {
    with_lender(|lender, home| {
        for what in ["fuel", "sleep"] {
            let job = home.run(["--on", "attic"]).arg(guest("hog")).arg(what).start();
            job.wait_for_stdout("taking ");
            job.signal(Signal::INT);
            job.finish_with_stdin_open().expect(130);
            until_no_run_is_left(lender.home(), 1);
        }
    });
}

#[test]
fn a_submitter_that_is_killed_takes_its_remote_run_along() {
    with_lender(|lender, home| {
        let mut job = home.run(["--on", "attic"]).arg(guest("hog")).arg("fuel").start();
        job.wait_for_stdout("taking fuel\n");
        assert!(busy_processes_of(lender.home().root()).len() > 1, "the run is there");
        job.kill();
        until_no_run_is_left(lender.home(), 1);
    });
}

#[test]
fn a_peer_that_is_killed_in_the_middle_is_125_within_ten_seconds() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    lost(lender, &home);
}

#[test]
fn a_peer_that_is_killed_in_the_middle_is_125_through_a_local_daemon_too() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let lender = Node::start(&lender_home);
    let own = Node::start(&home);
    pair(&lender, &own);
    lost(lender, &home);
    until_no_run_is_left(&home, 1);
}

#[track_caller]
fn lost(lender: Node<'_>, home: &Home) {
    let lender_home = lender.home();
    let job = home.run(["--on", "attic"]).arg(guest("hog")).arg("fuel").start();
    job.wait_for_stdout("taking fuel\n");
    lender.die();
    let killed = Instant::now();
    let finished = job.finish_with_stdin_open();
    assert!(killed.elapsed() < LOSS_NOTICED_WITHIN, "noticed after {:?}", killed.elapsed());
    finished.expect(125).says(&["attic"]);
    assert!(finished.err().contains("lost"), "a sentence says what happened: {finished}");
    lender_home.assert_nothing_left();
}

#[test]
fn a_peer_that_leaves_in_the_middle_says_so() {
    with_lender(|lender, home| {
        let job = home.run(["--on", "attic"]).arg(guest("hog")).arg("sleep").start();
        job.wait_for_stdout("taking sleep\n");
        lender.home().potluck(["down"]).finish().expect(0);
        job.finish_with_stdin_open().expect(125).says(&["attic"]);
    });
}

#[test]
fn a_peer_that_is_not_there_is_125_with_its_name() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    lender.down();
    home.run(["--on", "attic"]).arg(guest("cat")).finish().expect(125).says(&["attic", "potluck"]);
}

#[test]
fn what_a_peer_has_already_need_not_travel_again() {
    with_lender(|lender, home| {
        home.write("big.bin", vec![7u8; 32 << 20]);
        let run =
            || home.run(["--json", "--on", "attic", "-f", "big.bin"]).arg(guest("look")).finish().expect(0).json();
        let first = run();
        let second = run();
        assert_eq!(first["stdout"], second["stdout"]);
        until_no_run_is_left(lender.home(), 1);
    });
}

#[test]
fn python_runs_there_as_here() {
    let (lender_home, home) = (Home::with_python().named("attic"), Home::with_python());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    let lines = ["import sys, numpy", "print(sys.argv, numpy.arange(3).sum())", "print(input())", "sys.exit(3)"];
    let script = write_script(&home, "script.py", &lines);
    let finished = home.run(["--on", "attic", &script, "x"]).input("typed\n").finish();
    assert_eq!(finished.expect(3).out(), "['script.py', 'x'] 3\ntyped\n");
    drop(lender);
}

#[test]
fn a_job_that_finds_a_peer_full_waits_for_its_turn_and_says_so() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new());
    lender_home.potluck(["config", "set", "jobs_max", "1"]).finish().expect(0);
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    let first = home.run(["--on", "attic"]).arg(guest("converse")).start();
    first.wait_for_stdout("ready\n");
    let second = home.run(["--on", "attic"]).arg(guest("weave")).arg("1").start();
    second.wait_for_stderr("wait");
    first.finish().expect(0);
    assert_eq!(second.finish().expect(0).out(), "0\n");
}
