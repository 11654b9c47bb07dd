//! Jobs in containers: who offers them, who is told why not, and what is the same as for every other job. What needs an engine
//! is in `engine`, each with one of its own.

mod engine;

use crate::jobs::given;
use potluck_tests::{Finished, Home, Node, guest, pair, until, write_script};
use serde_json::Value;

/// What `potluck share` says after these options.
#[track_caller]
fn share(home: &Home, options: &[&str]) -> Value {
    home.potluck(["share", "--json"]).args(options).finish().expect(0).json()
}

/// What a command prints has all of these texts.
#[track_caller]
fn shows(finished: &Finished, texts: &[&str]) {
    let out = finished.out();
    for text in texts {
        assert!(out.contains(text), "stdout does not say {text:?}: {finished}");
    }
}

#[test]
fn a_machine_that_offers_no_containers_says_what_would_change_it() {
    let home = Home::new().named("ann");
    let here = home.run(["--docker-image", "busybox", "sh", "-c", "true"]).finish();
    here.expect(125).says(&["does not offer Docker", "potluck share --docker --docker-image busybox"]);
    let _node = Node::start(&home);
    let asked = home.run(["--docker-image", "busybox", "sh"]).finish();
    asked.expect(125).says(&["ann does not offer Docker"]);
    share(&home, &["--docker", "--docker-image", "python:3.12"]);
    let other = home.run(["--docker-image", "busybox", "sh"]).finish();
    other.expect(125).says(&["not the image busybox: it offers python:3.12", "potluck share --docker-image busybox"]);
}

#[test]
fn what_runs_in_no_container_is_refused_before_anybody_is_asked() {
    let home = Home::new();
    write_script(&home, "x.py", &["print(1)"]);
    home.write("notes.txt", "text");
    let wasm = guest("weave");
    let wasm = wasm.to_str().expect("a path of this project is text");
    for (options, code, texts) in [
        (&["--backend", "docker", "x.py"][..], 125, &["--docker-image IMAGE"][..]),
        (&["--backend", "wasm", "--docker-image", "busybox", "x.py"], 125, &["leave `--docker-image` out"]),
        (&["--docker-image", "busybox", wasm], 126, &["WebAssembly", "leave `--docker-image` out"]),
        (&["--docker-image", "busybox", "trian.py"], 127, &["cannot find the program trian.py"]),
        (&["--docker-image", "busybox", "/no/such/sh"], 127, &["without a `/`"]),
        (&["--docker-image", "busybox", "notes.txt"], 126, &["notes.txt", "name the command that runs it"]),
        (&["--docker-image", "busybox", "--with", "humanize", "x.py"], 126, &["leave `--with` out"]),
        (&["--docker-image", "busybox", "--env", "python", "x.py"], 126, &["leave `--env` out"]),
        (&["--docker-image", "busybox", "--image", "none", "x.py"], 126, &["leave `--image` out"]),
        (&["--docker-image", "Busy Box", "x.py"], 125, &["Busy Box", "docker pull"]),
    ] {
        home.run(options).finish().expect(code).says(texts);
    }
}

#[test]
fn the_owner_says_what_is_offered_and_sees_what_is_missing() {
    let home = Home::new();
    let nowhere = home.root().join("no.sock");
    let nowhere = nowhere.to_str().expect("a path of a test is text");
    let on = home.potluck(["share", "--docker", "--docker-engine", nowhere]).finish();
    on.expect(0).says(&["no container runs here yet", "no image is allowed yet", "--docker-image IMAGE"]);
    let offer = share(&home, &["--docker-image", "busybox", "--docker-image", "python:3.12"])["docker"].take();
    assert_eq!((&offer["offered"], &offer["socket"]), (&true.into(), &nowhere.into()), "{offer}");
    assert_eq!(offer["images"].as_array().map(Vec::len), Some(2), "{offer}");
    assert!(offer["engine"].is_null() && offer["why"].as_str().is_some_and(|why| !why.is_empty()), "{offer}");
    let shown = home.potluck(["share"]).finish().expect(0).out();
    assert!(shown.contains("no engine") && shown.contains("python:3.12"), "{shown}");
    shows(&home.potluck(["doctor"]).finish(), &["FAIL  docker", "share --no-docker"]);
    // By its full name, however it is written.
    let less = share(&home, &["--docker-forbid", "busybox:latest"]);
    assert_eq!(less["docker"]["images"].as_array().map(Vec::len), Some(1), "{less}");
    let off = share(&home, &["--no-docker"]);
    assert_eq!(off["docker"]["offered"], false);
    assert_eq!(home.potluck(["config", "get", "docker.images"]).finish().expect(0).out(), "python:3.12\n");
    home.potluck(["share", "--docker-image", "Python"]).finish().expect(2).says(&["lower-case", "docker pull"]);
    home.potluck(["share", "--while", "active", "--docker"]).finish().expect(125).says(&["leave `--while`"]);
}

#[test]
fn a_job_waits_for_a_machine_that_offers_its_image_and_is_told_of_each_why_not() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (node, other) = (Node::start(&ann), Node::start(&bob));
    pair(&node, &other);
    until("ann has said what it has", || {
        let peers = bob.potluck(["peers", "--json"]).finish().expect(0).json();
        peers["peers"][0]["info"].is_object().then_some(())
    });
    bob.run(["--on", "ann", "--docker-image", "busybox", "sh"])
        .finish()
        .expect(125)
        .says(&["ann does not offer Docker", "potluck share --docker --docker-image busybox"]);
    let anywhere = bob.run(["--docker-image", "busybox", "sh"]).finish();
    anywhere.expect(125).says(&["this machine does not offer Docker", "ann does not offer Docker"]);
    let id = given(&bob, ["--docker-image", "busybox", "sh"]);
    until("each machine is told of", || {
        let why = bob.potluck(["why", &id]).finish().expect(0).out();
        let told = |name| why.lines().any(|line: &str| line.contains(name) && line.contains("does not offer Docker"));
        (told("ann") && told("bob")).then_some(())
    });
    let dry = bob.run(["--dry-run", "--docker-image", "busybox", "sh"]).finish();
    shows(dry.expect(125), &["does not offer Docker"]);
    let nowhere = ann.root().join("no.sock");
    let nowhere = nowhere.to_str().expect("a path of a test is text");
    share(&ann, &["--docker", "--docker-image", "busybox", "--docker-engine", nowhere]);
    until("the engine's silence is known", || {
        let why = bob.potluck(["why", &id]).finish().expect(0).out();
        why.contains("its engine does not answer").then_some(())
    });
    let peers = bob.potluck(["peers", "--json"]).finish().expect(0).json();
    let docker = &peers["peers"][0]["info"]["docker"];
    assert_eq!((&docker["engine"], &docker["images"][0]["image"]), (&Value::Null, &"busybox".into()), "{docker}");
    bob.potluck(["cancel", &id]).finish().expect(0);
}
