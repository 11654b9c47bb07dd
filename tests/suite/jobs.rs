//! Jobs that are given to the node and left: they go on without whoever gave them, and everything of them can be had later.

use crate::sight::command;
use potluck_tests::{DEADLINE, Home, Node, guest, online_peers, pair, until};
use rustix::process::Signal;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Read;

/// Gives a job and returns its id as it is printed.
#[track_caller]
pub(crate) fn given<A: AsRef<OsStr>>(home: &Home, args: impl IntoIterator<Item = A>) -> String {
    let id = home.run(["-d"]).args(args).finish().expect(0).out();
    let id = id.strip_suffix('\n').expect("the id is a line");
    assert!(id.len() >= 6 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}");
    id.to_owned()
}

/// What `potluck jobs` has of a job.
#[track_caller]
pub(crate) fn job(home: &Home, id: &str) -> Value {
    let jobs = home.potluck(["jobs", "--all", "--json"]).finish().expect(0).json();
    let jobs = jobs.as_array().expect("a list of jobs").clone();
    let found = jobs.iter().find(|job| job["id"].as_str().is_some_and(|full| full.starts_with(id)));
    found.unwrap_or_else(|| panic!("{id} is not listed: {jobs:#?}")).clone()
}

#[track_caller]
fn until_it_is(home: &Home, id: &str, state: &str) -> Value {
    until(&format!("{id} is {state}"), || Some(job(home, id)).filter(|job| job["state"] == state))
}

#[test]
fn a_job_goes_on_without_whoever_gave_it_and_all_it_said_is_kept() {
    let home = Home::new();
    let _node = Node::start(&home);
    let id = given(&home, [guest("weave").as_os_str(), "6".as_ref()]);
    home.potluck(["wait", &id]).finish().expect(0).says(&["done"]);
    let logs = home.potluck(["logs", &id]).finish();
    assert_eq!((logs.expect(0).out().as_str(), logs.err().as_str()), ("0\n2\n4\n", "1\n3\n5\n"));
    let woven = home.potluck(["logs", "-f", &id]).one_pipe().finish();
    assert_eq!(woven.expect(0).out(), "0\n1\n2\n3\n4\n5\n", "in the order in which it was said");
    let errors = home.potluck(["logs", "--stderr-only", "--times", &id]).finish();
    assert_eq!(errors.expect(0).out(), "");
    let stamped = errors.err();
    let line = stamped.lines().next().expect("a line");
    assert!(line.len() == "12:34:56.789 1".len() && line.ends_with(" 1"), "{stamped}");
    let listed = job(&home, &id);
    assert_eq!(
        (&listed["state"], &listed["exit_code"], &listed["program"]),
        (&"done".into(), &0.into(), &"weave.wasm".into())
    );
    let quiet = home.potluck(["jobs", "-q"]).finish().expect(0).out();
    assert_eq!(quiet, format!("{id}\n"));
    let table = home.potluck(["jobs", "ls"]).finish().expect(0).out();
    assert!(table.contains("weave.wasm") && table.contains("done"), "{table}");
}

#[test]
fn what_a_job_printed_is_kept_for_as_long_as_the_owner_says_and_its_end_stays_known() {
    let home = Home::new();
    home.potluck(["config", "set", "keep_days", "0"]).finish().expect(0);
    let node = Node::start(&home);
    let id = given(&home, [guest("weave").as_os_str(), "2".as_ref()]);
    home.potluck(["wait", &id]).finish().expect(0);
    node.down();
    let _node = Node::start(&home);
    let said = until("its output is gone", || {
        let logs = home.potluck(["logs", &id]).finish();
        (logs.code() != 0).then_some(logs)
    });
    said.expect(125).says(&["not kept any more", "keep_days", "potluck rerun"]);
    home.potluck(["wait", &id]).finish().expect(0).says(&["done"]);
    assert_eq!(job(&home, &id)["keep_until_ms"], 0);
}

#[test]
fn whoever_comes_back_to_a_job_ends_as_it_does() {
    let home = Home::new();
    let _node = Node::start(&home);
    let fails = command(&home, "fail.wasm", "(call $exit (i32.const 3))");
    let failed = given(&home, [&fails]);
    home.potluck(["attach", &failed]).finish().expect(3);
    home.potluck(["wait", &failed]).finish().expect(3).says(&["failed (exit 3)"]);
    let spins = command(&home, "spin.wasm", "(loop $again (br $again))");
    let limited = given(&home, ["--fuel", "1M", &spins]);
    home.potluck(["attach", &limited]).finish().expect(137).says(&["fuel", "--fuel"]);
    let done = given(&home, [guest("weave").as_os_str(), "1".as_ref()]);
    assert_eq!(home.potluck(["attach", &done]).finish().expect(0).out(), "0\n");
    let all = home.potluck(["wait", "--json", &done, &failed, &limited]).finish();
    let codes: Vec<Value> =
        all.expect(3).json().as_array().expect("ends").iter().map(|end| end["exit_code"].clone()).collect();
    assert_eq!(codes, [0, 3, 137], "the first that failed decides");
}

#[test]
fn a_node_is_started_for_a_job_where_none_runs() {
    let home = Home::new();
    let finished = home.run(["-d", "--json"]).arg(guest("weave")).arg("1").finish();
    finished.expect(0).says(&["started the node", "up.log"]);
    let given = finished.json();
    let (id, short) = (given["id"].as_str().expect("an id"), given["short"].as_str().expect("a short id"));
    assert!(id.len() == 32 && id.starts_with(short), "{given}");
    home.potluck(["attach", short]).finish().expect(0);
    home.potluck(["down"]).finish().expect(0);
    assert_eq!(job(&home, short)["state"], "done", "its end is known without a node");
}

#[test]
fn a_job_that_nobody_wants_any_more_is_ended_wherever_it_is() {
    let home = Home::new();
    let _node = Node::start(&home);
    let id = given(&home, [guest("hog").as_os_str(), "sleep".as_ref()]);
    until_it_is(&home, &id, "running");
    home.potluck(["rm", &id]).finish().expect(125).says(&["has not ended", "potluck cancel"]);
    let follower = home.potluck(["logs", "-f", &id]).start();
    follower.wait_for_stdout("taking sleep\n");
    home.potluck(["cancel", &id]).finish().expect(0).says(&["1 job cancelled"]);
    assert_eq!(follower.finish().expect(0).out(), "taking sleep\n");
    home.potluck(["wait", &id]).finish().expect(130).says(&["cancelled"]);
    home.potluck(["cancel", &id]).finish().expect(0).says(&["has ended already"]);
    home.potluck(["why", &id]).finish().expect(0);
    home.potluck(["rm", &id]).finish().expect(0);
    home.potluck(["logs", &id]).finish().expect(125).says(&[&id]);

    let several = [0, 1].map(|_| given(&home, [guest("hog").as_os_str(), "sleep".as_ref()]));
    home.potluck(["cancel", "--all"]).finish().expect(0).says(&["2 jobs cancelled"]);
    home.potluck(["wait"]).args(&several).finish().expect(130);
}

#[test]
fn what_has_not_ended_is_listed_without_a_node_and_not_said_to_be_cancelled() {
    let home = Home::new();
    let node = Node::start(&home);
    let id = given(&home, ["--need", "tag=nowhere"].map(OsStr::new).into_iter().chain([guest("cat").as_os_str()]));
    let history = home.potluck(["history"]).finish().expect(0).out();
    assert!(history.contains("not ended") && !history.contains("here") && !history.contains("running"), "{history}");
    node.down();
    home.potluck(["cancel", "--all"]).finish().expect(125).says(&["1 job has", "potluck up -d"]);
    let listed = home.potluck(["jobs", "--json", "--unended"]).finish();
    listed.expect(0).says(&["no node runs"]);
    assert_eq!(listed.json()[0]["state"], "waiting");
    let listed = home.potluck(["jobs", "-q", "--unended"]).finish();
    assert_eq!(listed.expect(0).says(&["no node runs"]).out(), format!("{id}\n"));
    let _node = Node::start(&home);
    home.potluck(["cancel", "--all"]).finish().expect(0).says(&["1 job cancelled"]);
    home.potluck(["wait", &id]).finish().expect(130);
    home.potluck(["cancel", "--all"]).finish().expect(0).says(&["0 jobs cancelled"]);
}

#[test]
fn what_ended_within_the_time_is_told_of_those_that_were_waited_for() {
    let home = Home::new();
    let _node = Node::start(&home);
    let done = given(&home, [guest("weave").as_os_str(), "1".as_ref()]);
    home.potluck(["wait", &done]).finish().expect(0);
    let waits = given(&home, ["--need", "tag=nowhere"].map(OsStr::new).into_iter().chain([guest("cat").as_os_str()]));
    let waited = home.potluck(["wait", "--json", "--timeout", "100ms", &waits, &done]).finish();
    let ended = waited.expect(124).json();
    let ids: Vec<bool> = ended
        .as_array()
        .expect("ends")
        .iter()
        .map(|end| end["id"].as_str().expect("an id").starts_with(&done))
        .collect();
    assert_eq!(ids, [true], "{ended:#}");
}

#[test]
fn what_cannot_be_given_is_an_object_too_and_quiet_is_quiet() {
    let home = Home::new();
    let failed = home.run(["-d", "--json", "nothing.wasm"]).finish();
    let object = failed.expect(127).json();
    assert_eq!((&object["outcome"]["kind"], &object["exit_code"]), (&"failed".into(), &127.into()), "{object:#}");
    home.run(["-d", "--on", "any,nobody"]).arg(guest("cat")).finish().expect(125).says(&["`any` among names"]);
    let quiet = home.run(["-d", "-q"]).arg(guest("weave")).arg("1").finish();
    assert_eq!(quiet.expect(0).err(), "", "nothing is said of the node that was started");
    home.potluck(["down"]).finish().expect(0);
}

#[test]
fn a_job_that_is_given_again_wants_what_it_wanted_but_for_what_is_said_anew() {
    let home = Home::new().named("desk");
    let _node = Node::start(&home);
    let options = ["--need", "tag=nowhere", "--queue-timeout", "1h", "--priority", "7"].map(OsStr::new);
    let first = given(&home, options.into_iter().chain([guest("weave").as_os_str(), "1".as_ref()]));
    let again = home.potluck(["rerun", "--json", &first]).finish().expect(0).json();
    let again = again["id"].as_str().expect("an id").to_owned();
    assert_eq!(job(&home, &again)["state"], "waiting");
    let why = home.potluck(["why", &again]).finish().expect(0).out();
    assert!(why.contains("nowhere") && why.contains("potluck config set tags nowhere"), "{why}");
    let anew = home.potluck(["rerun", "--json", "--need", "cpu=1", &first]).finish().expect(0).json();
    home.potluck(["wait", anew["id"].as_str().expect("an id")]).finish().expect(0);
    home.potluck(["cancel", "--all"]).finish().expect(0).says(&["2 jobs cancelled"]);
}

#[test]
fn ctrl_c_leaves_a_job_and_does_not_end_it() {
    let home = Home::new();
    let _node = Node::start(&home);
    let id = given(&home, [guest("hog").as_os_str(), "sleep".as_ref()]);
    let attached = home.potluck(["attach", &id]).start();
    attached.wait_for_stdout("taking sleep\n");
    attached.signal(Signal::INT);
    attached.finish().expect(130).says(&["potluck attach", "potluck cancel"]);
    assert_eq!(job(&home, &id)["state"], "running");
    home.potluck(["wait", "--timeout", "100ms", &id]).finish().expect(124);
    let done = given(&home, [guest("weave").as_os_str(), "1".as_ref()]);
    home.potluck(["wait", "--any", &id, &done]).finish().expect(0);
    home.potluck(["cancel", &id]).finish().expect(0);
}

#[test]
fn a_reader_that_goes_away_ends_what_shows_a_job_in_the_same_way() {
    let home = Home::new();
    let _node = Node::start(&home);
    // It prints more than any pipe holds, and ends at its limit.
    let id = given(
        &home,
        ["--output", "8M"].map(OsStr::new).into_iter().chain([guest("hog").as_os_str(), "output".as_ref()]),
    );
    home.potluck(["wait", &id]).finish().expect(137);
    let code = |command: &[&str]| {
        let mut shows = home.potluck(command).arg(&id).start_raw();
        let mut first = [0u8; 16];
        shows.stdout.take().expect("stdout is a pipe").read_exact(&mut first).expect("there is output");
        until("it ends when nobody reads it any more", || shows.try_wait().expect("a child can be waited for")).code()
    };
    assert_eq!((code(&["attach"]), code(&["logs", "-f"])), (Some(0), Some(0)));
}

#[test]
fn the_files_of_a_job_are_brought_when_it_has_ended() {
    let home = Home::new();
    let _node = Node::start(&home);
    for name in ["keep.txt", "change.txt", "drop.txt"] {
        home.write(name, name);
    }
    let inputs = ["-f", "keep.txt", "-f", "change.txt", "-f", "drop.txt"].map(OsStr::new);
    let id = given(&home, inputs.into_iter().chain([guest("edit").as_os_str()]));
    home.potluck(["get", &id]).finish().expect(0).says(&["made.txt", "done"]);
    let made = |dir: &str| std::fs::read_to_string(home.work().join(dir).join("made.txt"));
    assert_eq!(made(&id).expect("it was brought"), "made beside keep.txt");
    let got = home.potluck(["get", &id, "-o", "results", "--json"]).finish().expect(0).json();
    assert!(
        got["files"].as_array().is_some_and(|files| files.iter().any(|file| file["path"] == "made.txt")),
        "{got:#}"
    );
    assert!(made("results").is_ok() && !home.work().join("results/keep.txt").exists());
}

#[test]
fn what_a_job_lacks_is_said_machine_by_machine() {
    let home = Home::new().named("desk");
    let node = Node::start(&home);
    let cat = guest("cat");
    let id = given(&home, ["--need", "tag=nowhere"].map(OsStr::new).into_iter().chain([cat.as_os_str()]));
    assert_eq!(job(&home, &id)["state"], "waiting");
    let why = home.potluck(["why", &id]).finish().expect(0).out();
    assert!(why.contains("desk: ") && why.contains("nowhere"), "{why}");
    let why = home.potluck(["why", &id, "--json"]).finish().expect(0).json();
    assert_eq!((&why["state"], &why["machines"][0]["name"]), (&"waiting".into(), &"desk".into()), "{why:#}");
    // It waits on over a crash of the node.
    node.die();
    home.potluck(["wait", &id]).finish().expect(125).says(&["potluck up -d"]);
    let _node = Node::start(&home);
    assert_eq!(job(&home, &id)["state"], "waiting");
    home.potluck(["cancel", "--all"]).finish().expect(0).says(&["1 job"]);
    let impatient = ["--need", "tag=nowhere", "--queue-timeout", "1s"].map(OsStr::new);
    let id = given(&home, impatient.into_iter().chain([cat.as_os_str()]));
    home.potluck(["wait", &id]).finish().expect(125).says(&["lost", "no machine fitted"]);
    let why = home.potluck(["why", &id]).finish().expect(0).out();
    assert!(why.contains("no machine fitted"), "{why}");
}

#[test]
fn what_a_second_run_repeats_is_not_shown_twice() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    until("desk has heard what attic is", || online_peers(&home).first()?["info"]["cores"].as_u64());
    let id = given(&home, [OsStr::new("--prefer"), "attic".as_ref(), guest("hog").as_os_str(), "sleep".as_ref()]);
    let running = until_it_is(&home, &id, "running");
    assert_eq!(running["place"], "attic", "{running:#}");
    let follower = home.potluck(["logs", "-f", &id]).deadline(DEADLINE * 2).start();
    follower.wait_for_stdout("taking sleep\n");
    lender.die();
    until("it runs again", || Some(job(&home, &id)).filter(|job| job["state"] == "running" && job["attempt"] == 2));
    until("the second run has said what the first said", || {
        (home.potluck(["logs", &id]).finish().expect(0).out() == "taking sleep\n").then_some(())
    });
    home.potluck(["cancel", &id]).finish().expect(0);
    assert_eq!(follower.finish().expect(0).out(), "taking sleep\n");
}

#[test]
fn whoever_ran_a_job_that_was_left_signs_for_it() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    let names = ["keep.txt", "change.txt", "drop.txt"];
    names.iter().for_each(|name| drop(home.write(name, name)));
    let edit = guest("edit");
    let inputs = names.iter().flat_map(|name| ["-f", name]);
    let id = given(&home, ["--on", "attic"].into_iter().chain(inputs).map(OsStr::new).chain([edit.as_os_str()]));
    home.potluck(["wait", &id]).finish().expect(0);
    let receipt = |home: &Home| home.potluck(["ledger", "receipt", &id, "--json"]).finish().expect(0).json();
    let ours = receipt(&home);
    assert_eq!(ours["wrong"], Value::Null, "{ours:#}");
    assert_eq!(ours, receipt(&lender_home));
    let ledger = home.potluck(["ledger", "--json"]).finish().expect(0).json();
    let for_us = &ledger["peers"][0]["for_us"];
    assert_eq!((&for_us["receipts"], &for_us["wrong_receipts"]), (&1.into(), &0.into()), "{ledger:#}");
}

#[test]
fn what_cannot_be_done_with_a_job_that_is_left_is_refused_with_the_cure() {
    let home = Home::new();
    let weave = guest("weave");
    let refused = |options: &[&str], cures: &[&str]| {
        home.run(options).arg(&weave).finish().expect(125).says(cures);
    };
    refused(&["-d", "--stdin", "inherit"], &["-f FILE"]);
    refused(&["-d", "-o", "out"], &["potluck get"]);
    refused(&["--need", "cpu=2"], &["-d"]);
    refused(&["--queue-timeout", "1s"], &["-d"]);
    refused(&["-d", "--need", "speed=9"], &["speed=9", "tag=WORD"]);
    refused(&["-d", "--priority", "101"], &["-100"]);
    home.potluck(["jobs"]).finish().expect(0).says(&["potluck run -d"]);
    home.potluck(["attach", "abc"]).finish().expect(125).says(&["abc", "potluck history"]);
    home.potluck(["cancel"]).finish().expect(2);
    assert!(!home.config().join("data/up.log").exists(), "no node was started");
}

#[test]
fn of_what_was_run_in_the_foreground_it_is_said_that_nothing_is_kept() {
    let home = Home::new();
    let _node = Node::start(&home);
    home.run([guest("weave").as_os_str(), "2".as_ref()]).finish().expect(0);
    let id = until("it is in the history", || {
        let jobs = home.potluck(["history", "--json"]).finish().expect(0).json();
        jobs[0]["id"].as_str().map(str::to_owned)
    });
    for command in ["logs", "attach", "get"] {
        let said = home.potluck([command, &id]).finish();
        said.expect(125).says(&["weave.wasm", "in the foreground", "is done", "potluck run -d"]);
    }
}

#[test]
fn a_lender_says_who_ended_a_run_of_it() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    let id = given(&home, [OsStr::new("--on"), "attic".as_ref(), guest("hog").as_os_str(), "sleep".as_ref()]);
    until_it_is(&home, &id, "running");
    home.potluck(["cancel", &id]).finish().expect(0);
    let outcome = until("the lender knows of its end", || {
        let jobs = lender_home.potluck(["history", "--json"]).finish().expect(0).json();
        jobs.as_array()?.iter().find(|job| job["role"] == "ran").map(|job| job["outcome"].clone())
    });
    assert_eq!((&outcome["word"], &outcome["why"]), (&"cancelled".into(), &"its home took it back".into()));
}

#[test]
fn a_rehearsal_says_what_ignore_files_leave_out() {
    let home = Home::new();
    for (name, text) in [("data/.gitignore", "*.tmp\n"), ("data/.potluckignore", "big\n"), ("data/a.csv", "1")] {
        home.write(name, text);
    }
    home.write("data/a.tmp", "1");
    home.write("data/big/one", "1");
    let dry = |options: &[&str]| home.run(["--dry-run", "-f", "data"]).args(options).arg(guest("cat")).finish();
    let text = dry(&[]).expect(0).out();
    let (sent, left) = text.split_once("left out").expect("something is left out");
    assert!(sent.contains("data/a.csv") && !sent.contains("a.tmp"), "{text}");
    assert!(left.contains("--all-files") && left.contains("data/a.tmp") && left.contains("data/big\n"), "{text}");
    let all = dry(&["--all-files"]).expect(0).out();
    assert!(all.contains("data/big/one") && !all.contains("left out"), "{all}");
}

#[test]
fn a_rehearsal_says_what_would_be_sent_and_sends_nothing() {
    let home = Home::new();
    home.write("data/one.csv", [7; 2048]);
    let rehearsed = home.run(["--dry-run", "-f", "data"]).arg(guest("cat")).finish();
    let text = rehearsed.expect(0).out();
    for word in ["data/one.csv", "2 KiB", "cat.wasm", "2 files", "this machine"] {
        assert!(text.contains(word), "no {word:?}: {text}");
    }
    home.run(["-d", "--dry-run", "--on", "nobody"]).arg(guest("cat")).finish().expect(125).says(&["nobody"]);
    // Without a node, too, it is decided by the rules of one.
    let nowhere = home.run(["--dry-run", "--need", "tag=nowhere,mem=900G"]).arg(guest("cat")).finish();
    let text = nowhere.expect(125).out();
    assert!(text.contains("no machine fits now") && text.contains("leave `"), "{text}");
    let jobs = home.potluck(["history", "--json"]).finish().expect(0).json();
    assert_eq!(jobs, serde_json::json!([]));
}

#[test]
fn a_rehearsal_chooses_as_the_node_would() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    home.potluck(["config", "set", "tags", "slow"]).finish().expect(0);
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    until("desk has heard what attic is", || online_peers(&home).first()?["info"]["cores"].as_u64());
    let place = |options: &[&str], code: i32| {
        let rehearsed = home.run(["-d", "--dry-run", "--json"]).args(options).arg(guest("cat")).finish();
        rehearsed.expect(code).json()
    };
    assert_eq!(place(&["--prefer", "attic"], 0)["place"], "attic");
    assert_eq!(place(&["--avoid", "tag=slow"], 0)["place"], "attic");
    assert_eq!(place(&["--need", "tag=slow"], 0)["place"], "desk");
    assert_eq!(place(&["--on", "attic,desk", "--avoid", "attic"], 0)["place"], "desk");
    let nowhere = place(&["--need", "tag=nowhere"], 125);
    assert_eq!(
        (&nowhere["place"], nowhere["machines"].as_array().map(Vec::len)),
        (&Value::Null, Some(2)),
        "{nowhere:#}"
    );
    assert_eq!(nowhere["files"][0]["path"], "cat.wasm");
    let peers = home.potluck(["peers", "--json"]).finish().expect(0).json();
    assert_eq!(peers["me"]["tags"], serde_json::json!(["slow"]));
    let jobs = home.potluck(["jobs", "--json"]).finish().expect(0).json();
    assert_eq!(jobs, serde_json::json!([]), "nothing was given");
}

#[test]
fn a_program_runs_once_on_every_machine() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("me"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    let each = home.potluck(["each"]).arg(guest("weave")).arg("3").finish();
    let out = each.expect(0).out();
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["attic | 0", "attic | 2", "me    | 0", "me    | 2"]);
    each.says(&["attic | 1", "me    | 1", "done on 2 of 2"]);
    let fails = command(&home, "fail.wasm", "(call $exit (i32.const 3))");
    home.potluck(["each", &fails]).finish().expect(1).says(&["attic: ended with 3", "me: ended with 3"]);
    let json = home.potluck(["each", "--json"]).arg(guest("weave")).arg("1").finish().expect(0).json();
    let machines = json.as_array().expect("machines");
    assert!(machines.len() == 2 && machines.iter().all(|machine| machine["stdout"] == "0\n"), "{json:#}");
}

#[test]
fn ctrl_c_ends_a_program_on_every_machine() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("me"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    let each = home.potluck(["each"]).arg(guest("hog")).arg("sleep").start();
    each.wait_for_stdout("attic | taking sleep\n");
    each.wait_for_stdout("me    | taking sleep\n");
    each.signal(Signal::INT);
    each.finish().expect(1).says(&["attic: the job was cancelled", "me: the job was cancelled"]);
}
