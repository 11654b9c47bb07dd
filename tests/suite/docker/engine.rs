//! Containers that run: the same streams, files, limits and ends as for every other job, and nothing left of them.

use super::{share, shows};
use crate::jobs::given;
use potluck_tests::{BUSYBOX, Engine, Home, Node, Running, pair, until, with_engine, write_script};
use rustix::process::Signal;
use serde_json::Value;

/// Ann's machine offers the image; Bob's does not.
fn homes(engine: &Engine) -> (Home, Home) {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    offer(&ann, engine);
    (ann, bob)
}

fn offer(home: &Home, engine: &Engine) {
    let socket = engine.socket();
    let socket = socket.to_str().expect("a path of a test is text");
    let said = share(home, &["--docker", "--docker-image", BUSYBOX, "--docker-engine", socket]);
    assert_eq!(said["docker"]["images"][0]["present"], true, "{said}");
}

/// Waits until Bob knows that Ann offers the image.
#[track_caller]
fn until_offered(bob: &Home) -> Value {
    until("the offer is known", || {
        let peers = bob.potluck(["peers", "--json"]).finish().expect(0).json();
        let docker = peers["peers"][0]["info"]["docker"].clone();
        (docker["images"][0]["present"] == true).then_some(docker)
    })
}

/// A job of Bob's on Ann's machine that ends only when it is ended, and runs.
#[track_caller]
fn long(bob: &Home) -> Running {
    write_script(bob, "long.sh", &["echo begun", "sleep 1000"]);
    let job = bob.run(["--on", "ann", "--docker-image", BUSYBOX, "long.sh"]).start();
    job.wait_for_stdout("begun");
    job
}

#[track_caller]
fn until_no_container(engine: &Engine) {
    until("no container is left", || engine.containers().is_empty().then_some(()));
}

#[test]
fn a_script_has_its_files_streams_and_exit_code_at_a_peer() {
    with_engine(|engine| {
        let (ann, bob) = homes(engine);
        let (node, other) = (Node::start(&ann), Node::start(&bob));
        pair(&node, &other);
        let docker = until_offered(&bob);
        assert!(docker["engine"].as_str().is_some_and(|engine| engine.contains("Docker")), "{docker}");
        shows(bob.potluck(["peers"]).finish().expect(0), &["DOCKER", BUSYBOX]);
        shows(ann.potluck(["status"]).finish().expect(0), &["docker", BUSYBOX]);
        shows(&ann.potluck(["doctor"]).finish(), &["ok    docker", "offered: "]);
        let lines = [
            "cat in/a.txt -",
            "echo $GREETING $1 >&2",
            "mkdir out && cat in/a.txt > out/b.txt",
            "id -u",
            "wget -q -T 2 http://192.0.2.1/ 2>/dev/null && echo network",
            "exit 3",
        ];
        write_script(&bob, "job.sh", &lines);
        std::fs::create_dir(bob.work().join("in")).expect("a directory can be made");
        bob.write("in/a.txt", "from a file\n");
        let run = ["--docker-image", BUSYBOX, "-f", "in", "-o", "back", "-e", "GREETING=hello", "job.sh", "you"];
        let run = bob.run(run).input("from stdin\n").finish();
        let out = run.expect(3).out();
        assert!(out.starts_with("from a file\nfrom stdin\n") && !out.contains("network"), "{out}");
        assert_ne!(out.lines().nth(2), Some("0"), "a job is not root");
        assert!(run.err().contains("hello you"), "{}", run.err());
        let back = std::fs::read_to_string(bob.work().join("back/out/b.txt")).expect("it came back");
        assert_eq!(back, "from a file\n");
        let word = bob.run(["--docker-image", BUSYBOX, "sh", "-c", "echo $0; pwd", "word"]).finish();
        word.expect(0).says(&["running the command sh of the image"]);
        shows(&word, &["word\n"]);
        let history = bob.potluck(["history"]).finish().expect(0).out();
        assert!(history.contains(&format!("job.sh in {BUSYBOX}")), "{history}");
        until_no_container(engine);
    });
}

#[test]
fn limits_hold_and_who_goes_away_leaves_no_container() {
    with_engine(|engine| {
        let (ann, bob) = homes(engine);
        let (node, other) = (Node::start(&ann), Node::start(&bob));
        pair(&node, &other);
        until_offered(&bob);
        let in_busybox = |options: &[&str], script: &str| {
            write_script(&bob, "job.sh", &[script]);
            bob.run(["--on", "ann", "--docker-image", BUSYBOX]).args(options).arg("job.sh").finish()
        };
        in_busybox(&["--timeout", "1s"], "sleep 1000").expect(124).says(&["wall time"]);
        in_busybox(&["--output", "1K"], "while true; do echo more; done").expect(137).says(&["output"]);
        let full = in_busybox(&["--disk", "8M"], "dd if=/dev/zero of=big bs=1M count=64 || exit 9");
        assert_ne!(full.code(), 0, "{full}");
        let job = long(&bob);
        assert!(!engine.containers().is_empty());
        job.signal(Signal::INT);
        job.finish_with_stdin_open().expect(130);
        until_no_container(engine);
        let job = long(&bob);
        share(&ann, &["--no-docker"]);
        job.finish_with_stdin_open().expect(125).says(&["ann does not offer Docker"]);
        until_no_container(engine);
    });
}

#[test]
fn jobs_that_are_left_and_maps_run_where_their_image_is() {
    with_engine(|engine| {
        let (ann, bob) = homes(engine);
        let (node, other) = (Node::start(&ann), Node::start(&bob));
        pair(&node, &other);
        until_offered(&bob);
        write_script(&bob, "job.sh", &["echo said", "wc -c < in.txt > count"]);
        bob.write("in.txt", "12345");
        let id = given(&bob, ["--docker-image", BUSYBOX, "-f", "in.txt", "job.sh"]);
        bob.potluck(["wait", &id]).finish().expect(0);
        assert_eq!(bob.potluck(["logs", &id]).finish().expect(0).out(), "said\n");
        bob.potluck(["get", &id, "-o", "got"]).finish().expect(0);
        assert_eq!(std::fs::read_to_string(bob.work().join("got/count")).expect("it came").trim(), "5");
        let told = bob.potluck(["inspect", "--job", &id]).finish();
        assert!(told.out().contains("sh job.sh") && told.out().contains("no network"), "{told}");
        let again = bob.potluck(["rerun", &id]).finish().expect(0).out();
        bob.potluck(["wait", again.trim()]).finish().expect(0);
        for name in ["a", "b", "c"] {
            bob.write(&format!("{name}.txt"), name.repeat(3));
        }
        let map = ["map", "--docker-image", BUSYBOX, "count.sh", "a.txt", "b.txt", "c.txt", "-o", "counts"];
        write_script(&bob, "count.sh", &["wc -c < $1"]);
        bob.potluck(map).finish().expect(0);
        for name in ["a", "b", "c"] {
            let count = std::fs::read_to_string(bob.work().join(format!("counts/{name}.out"))).expect("it ended");
            assert_eq!(count.trim(), "3");
        }
        until_no_container(engine);
    });
}

#[test]
fn a_node_that_is_killed_leaves_no_container_and_an_engine_that_stopped_is_named() {
    with_engine(|engine| {
        let (ann, bob) = homes(engine);
        let other = Node::start(&bob);
        let node = Node::start(&ann);
        pair(&node, &other);
        until_offered(&bob);
        let job = long(&bob);
        node.die();
        job.finish_with_stdin_open().expect(125);
        let node = Node::start(&ann);
        until_no_container(engine);
        // Nor does a command of one's own, without a node.
        node.down();
        let local = ann.run(["--docker-image", BUSYBOX, "sh", "-c", "echo here"]).finish();
        assert_eq!(local.expect(0).out(), "here\n");
        until_no_container(engine);
        engine.stop();
        let silent = ann.run(["--docker-image", BUSYBOX, "sh", "-c", "echo here"]).finish();
        silent.expect(125).says(&["engine"]);
    });
}
