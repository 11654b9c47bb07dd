//! The daemon: comes, answers, goes, and leaves nothing.

use crate::sight::until_no_run_is_left;
use potluck_tests::{Home, Node, busy_processes_of, children_of, guest, holds_within, join, until};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn status_tells_whether_a_daemon_runs() {
    let home = Home::new().named("attic");
    let without = home.potluck(["status"]).finish();
    assert_ne!(without.code(), 0);
    without.says(&["potluck up"]);
    let node = Node::start(&home);
    assert!(home.potluck(["status"]).finish().expect(0).out().contains("attic"));
    assert!(home.potluck(["status", "--json"]).finish().expect(0).json().to_string().contains("attic"));
    assert_ne!(node.port(), 0);
    node.down();
    assert_ne!(home.potluck(["status"]).finish().code(), 0);
}

#[test]
fn up_in_the_background_outlives_its_starter_and_goes_down() {
    let home = Home::new();
    home.potluck(["up", "-d"]).finish().expect(0);
    home.potluck(["status"]).finish().expect(0);
    assert_eq!(home.run([guest("weave")]).arg("1").finish().expect(0).out(), "0\n");
    home.potluck(["down"]).finish().expect(0);
    assert_ne!(home.potluck(["status"]).finish().code(), 0);
    home.assert_nothing_left();
}

#[test]
fn down_without_a_daemon_says_so() {
    let home = Home::new();
    home.potluck(["down"]).finish().says(&["no", "runs", "potluck up"]);
}

#[test]
fn a_second_daemon_of_one_home_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let _node = Node::start(&home);
    for args in [&["up"][..], &["up", "-d"]] {
        let second = home.potluck(args).finish();
        assert_ne!(second.code(), 0, "{second}");
        second.says(&["already"]);
    }
    home.potluck(["status"]).finish().expect(0);
}

#[test]
fn ctrl_c_and_termination_are_polite_ways_to_leave() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::new();
        let mut node = Node::start(&home);
        node.process().signal(signal);
        assert!(
            holds_within(Duration::from_secs(10), || !node.process().is_running()),
            "the daemon ignores {signal:?}"
        );
        drop(node);
        home.assert_nothing_left();
    }
}

#[test]
fn a_daemon_that_was_killed_does_not_stand_in_the_way_of_the_next() {
    let home = Home::new();
    Node::start(&home).die();
    let _next = Node::start(&home);
    assert_eq!(home.run([guest("weave")]).arg("1").finish().expect(0).out(), "0\n");
}

#[test]
fn leftovers_of_a_crash_are_swept_at_the_next_start() {
    let home = Home::new();
    let job = home.run([guest("hog")]).arg("sleep").start();
    job.wait_for_stdout("taking sleep\n");
    // Everything dies at once, as by a power cut: all are stopped first, so that nobody is left to clean up.
    let processes = potluck_tests::processes_of(home.root());
    processes.iter().for_each(potluck_tests::Process::pause);
    until("all stand still", || processes.iter().all(potluck_tests::Process::stands_still).then_some(()));
    processes.iter().for_each(potluck_tests::Process::kill);
    drop(job);
    until("all are dead", || potluck_tests::processes_of(home.root()).is_empty().then_some(()));
    assert!(!home.scratch_entries().is_empty(), "a power cut leaves a working directory");
    assert_eq!(home.run([guest("weave")]).arg("1").finish().expect(0).out(), "0\n");
    assert_eq!(home.traces(), Vec::<String>::new());
}

#[test]
fn jobs_of_this_machine_are_given_to_its_daemon_and_end_with_it() {
    let home = Home::new();
    let node = Node::start(&home);
    let running = || home.potluck(["status", "--json"]).finish().expect(0).json()["jobs_running"].as_u64();
    let job = home.run([guest("hog")]).arg("sleep").start();
    job.wait_for_stdout("taking sleep\n");
    assert_eq!(running(), Some(1));
    node.down();
    job.finish_with_stdin_open().expect(125).says(&["is leaving and ended the job"]);
    until_no_run_is_left(&home, 0);
}

#[test]
fn a_job_whose_daemon_is_killed_is_125_within_ten_seconds() {
    let home = Home::new();
    let node = Node::start(&home);
    let job = home.run([guest("hog")]).arg("fuel").start();
    job.wait_for_stdout("taking fuel\n");
    let killed = Instant::now();
    node.die();
    job.finish_with_stdin_open().expect(125).says(&["lost this machine", "its node has ended"]);
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    until_no_run_is_left(&home, 0);
}

#[test]
fn ctrl_c_cancels_a_job_of_the_daemon() {
    let home = Home::new();
    let _node = Node::start(&home);
    for what in ["fuel", "sleep"] {
        let job = home.run([guest("hog")]).arg(what).start();
        job.wait_for_stdout("taking ");
        job.signal(Signal::INT);
        job.finish_with_stdin_open().expect(130).says(&["cancelled"]);
        until_no_run_is_left(&home, 1);
    }
}

#[test]
fn a_command_that_is_killed_takes_its_job_along_although_its_stdin_was_not_read() {
    let home = Home::new();
    let _node = Node::start(&home);
    for input in [0, 8 << 20] {
        let mut job = home.run([guest("hog")]).arg("sleep").input(vec![b'x'; input]).start();
        job.wait_for_stdout("taking sleep\n");
        assert!(busy_processes_of(home.root()).len() >= 3, "command, daemon and worker");
        job.kill();
        until_no_run_is_left(&home, 1);
    }
}

#[test]
fn down_ends_the_jobs_that_run() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    let job = home.run(["--on", "attic"]).arg(guest("hog")).arg("sleep").start();
    job.wait_for_stdout("taking sleep\n");
    lender.down();
    let code = job.finish_with_stdin_open().code();
    assert!(matches!(code, 125 | 130), "lost or cancelled, and not {code}");
    until_no_run_is_left(&lender_home, 0);
}

#[test]
fn jobs_run_the_same_with_and_without_a_daemon() {
    let home = Home::new();
    home.write("in.txt", "words");
    let run = || {
        home.run(["-e", "A=1", "-f", "in.txt"])
            .arg(guest("look"))
            .args(["x", "--read", "in.txt"])
            .finish()
            .expect(0)
            .out()
    };
    let without = run();
    let _node = Node::start(&home);
    assert_eq!(run(), without);
    let exit = crate::sight::command(&home, "exit.wasm", "(call $exit (i32.const 9))");
    // Again and again, in workers that have served before.
    for _ in 0..3 {
        home.run([&exit]).finish().expect(9);
        assert_eq!(run(), without);
    }
}

#[test]
fn two_nodes_live_on_one_host() {
    let (one, two) = (Home::new().named("one"), Home::new().named("two"));
    let (first, second) = (Node::start(&one), Node::start(&two));
    assert_ne!(first.port(), second.port());
    potluck_tests::pair(&first, &second);
    for (home, other) in [(&one, "two"), (&two, "one")] {
        let finished = home.run(["--json", "--on", other]).arg(guest("weave")).arg("1").finish();
        assert!(finished.expect(0).json()["peer"].to_string().contains(other), "{finished}");
    }
}

#[test]
fn the_preferred_port_gives_way_and_a_written_one_does_not() {
    // Neither of two nodes with default settings stands in the other's way.
    let (one, two) = (Home::new(), Home::new());
    for home in [&one, &two] {
        fs::write(home.config().join("config.toml"), "discovery = false\n").expect("it can be written");
    }
    let (first, second) = (Node::start(&one), Node::start(&two));
    assert_ne!(first.port(), second.port());
    let third = Home::new();
    third.potluck(["config", "set", "port", &first.port().to_string()]).finish().expect(0);
    let refused = third.potluck(["up"]).finish();
    assert_ne!(refused.code(), 0);
    refused.says(&[&first.port().to_string()]);
}

#[test]
fn what_waits_below_a_node_or_a_command_keeps_no_directory_in_use() {
    let home = Home::new();
    let below_root = |parent: u32| {
        let children = children_of(parent);
        let are_there = ["--worker", "--sweeper"].iter().all(|role| children.iter().any(|c| c.command.contains(role)));
        // One that was started this moment is still what started it.
        let are_away = children.iter().all(|child| child.working_directory().is_none_or(|dir| dir.as_os_str() == "/"));
        (are_there && are_away).then_some(())
    };
    let mut alone = home.run([guest("converse")]).start();
    alone.wait_for_stdout("ready\n");
    until("worker and sweeper of a command are away from where it was typed", || below_root(alone.id()));
    alone.write("bye\n");
    alone.finish().expect(0);
    let mut node = Node::start(&home);
    assert_eq!(home.run([guest("weave")]).arg("1").finish().expect(0).out(), "0\n");
    until("workers and sweeper of a node are away from where it was started", || below_root(node.process().id()));
}
