//! `potluck top`: the live view, at a terminal and elsewhere.

use potluck_tests::{Home, Node, guest, join, pair, until};
use rustix::process::Signal;
use std::ffi::OsStr;

fn closed(home: &Home) -> Option<String> {
    let json = home.potluck(["share", "--json"]).finish().expect(0).json();
    json["now"]["closed"].as_str().map(str::to_owned)
}

#[test]
fn jobs_are_seen_and_ended_after_a_question_and_p_pauses_and_resumes() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let node = Node::start(&ann);
    join(&node, &bob);
    let job = bob.run(["--on", "ann", "--timeout", "10m"]).arg(guest("hog")).arg("fuel").start();
    job.wait_for_stdout("taking fuel");
    let mut top = ann.potluck(["top"]).start_in_terminal();
    for word in ["ann", "lends", "WHO", "bob", "hog.wasm", "running", "PEER"] {
        top.shows(word);
    }
    top.types("k");
    top.shows("(y/n)");
    top.types("n");
    top.shows("quits");
    top.types("k");
    top.shows("(y/n)");
    top.types("y");
    job.finish_with_stdin_open().expect(125).says(&["the owner of ann ended the job"]);
    top.shows("quits");
    top.types("p");
    top.shows("resumes");
    assert_eq!(closed(&ann).as_deref(), Some("paused"));
    top.types("p");
    top.shows("pauses");
    assert_eq!(closed(&ann), None);
    top.types("q");
    top.finish().expect(0);
}

#[test]
fn the_terminal_is_given_back_whatever_ends_it() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let before = ann.potluck(["status"]).start_in_terminal().modes();
    for end in ["\u{3}", "q", "\u{1b}", "signal", "node"] {
        let mut top = ann.potluck(["top"]).start_in_terminal();
        top.shows("quits");
        assert_ne!(top.modes(), before, "keys come one by one");
        match end {
            "signal" => top.process().signal(Signal::TERM),
            "node" => drop(ann.potluck(["down"]).finish().expect(0)),
            keys => top.types(keys),
        }
        until("the terminal is as it was", || (top.modes() == before).then_some(()));
        let ended = top.finish();
        ended.expect(if end == "node" { 125 } else { 0 });
        // The cursor is back, and so is the screen with the user's work.
        assert!(ended.out().contains("\u{1b}[?1049l") && ended.out().contains("\u{1b}[?25h"), "{end}: {ended}");
    }
    drop(node);
}

#[test]
fn without_a_terminal_it_is_one_look_and_without_a_node_it_says_what_to_do() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    ann.potluck(["top"]).finish().expect(125).says(&["no Potluck node runs", "potluck up -d"]);
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    let owned = ann.run(["--on", "local", "--timeout", "10m"]).arg(guest("hog")).arg("fuel").start();
    owned.wait_for_stdout("taking fuel");
    for options in [&["top"][..], &["top", "--once"]] {
        let text = ann.potluck(options).finish().expect(0).out();
        for words in ["ann lends", "the owner", "hog.wasm", "running", "PEER", "bob"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let json = ann.potluck(["top", "--json"]).finish().expect(0).json();
    let job = &json["jobs"][0];
    assert_eq!((&job["what"], &job["state"], job["peer"].is_null()), (&"hog.wasm".into(), &"running".into(), true));
    assert!(job["cpu_ms"].is_u64() && job["memory_bytes"].is_u64() && json["peers"][0]["name"] == "bob", "{json}");
    let given =
        crate::jobs::given(&ann, [OsStr::new("--on"), "bob".as_ref(), guest("hog").as_os_str(), "sleep".as_ref()]);
    let queued = until("a job of ann's queue is with bob", || {
        let json = ann.potluck(["top", "--json"]).finish().expect(0).json();
        let job = json["home_jobs"]["with_machines"][0].clone();
        (job["state"] == "running").then_some(job)
    });
    assert_eq!((&queued["place"], &queued["program"]), (&"bob".into(), &"hog.wasm".into()), "{queued:#}");
    let text = ann.potluck(["top", "--once"]).finish().expect(0).out();
    assert!(text.contains("1 job, 1 with machines") && text.contains("running on bob"), "{text}");
    ann.potluck(["cancel", &given]).finish().expect(0);
    drop(owned);
    until("the job is gone", || {
        let json = ann.potluck(["top", "--json"]).finish().expect(0).json();
        json["jobs"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}
