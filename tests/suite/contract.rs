//! What a program says of itself and hears, through the files of the guest contract alone: nothing here links an SDK.

use crate::jobs::{given, job};
use crate::sight::{both_forms, is_at_rest};
use potluck_tests::{DEADLINE, Home, Node, guest, join, online_peers, pair, until, write_script};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;

const PROGRESS: &str = r#"{"progress":{"done":3,"total":10,"message":"reading"}}"#;
const LOG: &str = r#"{"log":{"level":"warn","message":"no header","fields":{"file":"a.csv"}}}"#;
const RESULT: &str = r#"{"result":{"mean":4.5}}"#;

/// The events of `run --json` as they were written.
fn events(object: &Value) -> Vec<String> {
    object["events"].as_array().expect("a list of events").iter().map(Value::to_string).collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("the test's own line is JSON")
}

#[test]
fn what_a_guest_says_is_in_the_object_in_order() {
    let home = Home::new();
    for program in both_forms("tell") {
        let told = home.run(["--json", "-o", "out"]).arg(&program).args(["=one", PROGRESS, LOG, "=two", RESULT]);
        let object = told.finish().expect(0).json();
        assert_eq!(object["events"], json!([parsed(PROGRESS), parsed(LOG), parsed(RESULT)]), "{object:#}");
        assert_eq!((&object["result"], &object["stdout"]), (&json!({"mean": 4.5}), &"one\ntwo\n".into()));
        assert_eq!(object["outputs"], json!([]), "the file is none of the program's");
    }
}

#[test]
fn a_script_takes_part_by_opening_a_file() {
    let home = Home::with_python();
    let lines = [
        "import json, os",
        "assert os.environ['POTLUCK'] == '1' and 'POTLUCK_TASK' not in os.environ and 'POTLUCK_RESTORE' not in os.environ",
        "path = os.environ['POTLUCK_EVENTS']",
        "with open(path, 'a') as events: print(json.dumps({'log': {'level': 'info', 'message': 'one'}}), file=events)",
        "fd = os.open(path, os.O_WRONLY | os.O_APPEND)",
        "os.write(fd, b'{\"result\":')",
        "os.write(fd, b'[1,2]}\\n')",
        "os.write(fd, b'{\"log\":{\"level\":\"debug\",\"message\":\"two\"}}')",
        "assert os.stat(path).st_size == 0, 'it takes no room'",
        "open('made.txt', 'w').write('x')",
    ];
    let script = write_script(&home, "script.py", &lines);
    let object = home.run(["--json", "-o", "out", &script]).finish().expect(0).json();
    let said = [
        r#"{"log":{"level":"info","message":"one"}}"#,
        r#"{"result":[1,2]}"#,
        r#"{"log":{"level":"debug","message":"two"}}"#,
    ];
    assert_eq!(events(&object), said.map(|line| parsed(line).to_string()));
    assert_eq!(object["outputs"].as_array().map(Vec::len), Some(1), "{object:#}");
}

#[test]
fn logs_are_lines_on_stderr_and_progress_is_for_terminals() {
    let home = Home::new();
    let words = ["=out", PROGRESS, LOG, RESULT];
    let finished = home.run(["-q"]).arg(guest("tell")).args(words).finish();
    assert_eq!(finished.expect(0).out(), "out\n");
    assert_eq!(finished.err(), "warn: no header file=a.csv\n");
    let mut seen = home.run([guest("tell").as_os_str()]).args(words).arg("-").start_in_terminal();
    seen.shows("3/10 reading");
    seen.types("\n");
    seen.finish().expect(0);
}

#[test]
fn nothing_of_a_log_steers_the_terminal() {
    let home = Home::new();
    let line = r#"{"log":{"level":"error","message":"a\u001b[2Jb\r\nc","fields":{"\u001b]0;x\u0007":"\u009b31m"}}}"#;
    let progress = r#"{"progress":{"done":1,"total":2,"message":"\u001b[2Jreading"}}"#;
    let finished = home.run(["-q"]).arg(guest("tell")).args([line, progress]).finish();
    let err = finished.expect(0).err();
    assert!(err.starts_with("error: a") && err.lines().count() == 1, "{err:?}");
    assert!(!err.trim_end().contains(char::is_control), "{err:?}");
    let mut seen = home.run([guest("tell").as_os_str()]).args([line, progress, "-"]).start_in_terminal();
    seen.shows("1/2");
    seen.types("\n");
    let screen = seen.finish().out();
    assert!(!screen.contains("\u{1b}[2Jb") && !screen.contains("\u{1b}[2Jreading"), "{screen:?}");
}

#[test]
fn what_is_no_event_is_one_warning_and_no_failure() {
    let home = Home::new();
    let long = format!(r#"{{"result":"{}"}}"#, "x".repeat(100_000));
    for program in both_forms("tell") {
        // A component is given no argument that is so long.
        let long = if program == guest("tell") { long.as_str() } else { "[]" };
        let told = home.run(["--json"]).arg(&program).args(["hello", "{}", long, RESULT]).finish();
        let object = told.expect(0).json();
        let said = events(&object);
        assert!(said.len() == 2 && said[0].contains("warn") && said[0].contains("no event"), "{said:?}");
        assert_eq!(object["result"], json!({"mean": 4.5}));
    }
}

#[test]
fn too_many_events_are_cut_and_the_last_result_counts() {
    let home = Home::new();
    let told = home.run(["--json"]).arg(guest("tell")).args(["*20000", LOG, "*3", RESULT, r#"{"result":"last"}"#]);
    let object = told.finish().expect(0).json();
    assert_eq!(object["result"], "last");
    let said = events(&object);
    assert_eq!(said.len(), 10_002, "those that are passed on, a warning, and the last result");
    assert!(said[10_000].contains("too much"), "{}", said[10_000]);
}

#[test]
fn progress_of_a_moment_is_thinned_and_the_last_gets_through() {
    let home = Home::new();
    let last = r#"{"progress":{"done":2,"total":2}}"#;
    let told = home.run(["--json"]).arg(guest("tell")).args(["*20000", r#"{"progress":{"done":1,"total":2}}"#, last]);
    let said = events(&told.finish().expect(0).json());
    // A machine that is slow may take minutes for them.
    assert!(said.len() < 5000, "{}", said.len());
    assert_eq!(said.last().map(String::as_str), Some(last));
}

#[test]
fn a_job_that_was_given_says_the_same_to_whoever_comes_later() {
    let home = Home::new();
    let _node = Node::start(&home);
    let id = given(&home, [guest("tell").as_os_str(), "=out".as_ref(), LOG.as_ref(), RESULT.as_ref()]);
    home.potluck(["wait", &id]).finish().expect(0);
    for command in ["attach", "logs"] {
        let finished = home.potluck([command, &id]).finish();
        assert_eq!(
            (finished.expect(0).out().as_str(), finished.err().as_str()),
            ("out\n", "warn: no header file=a.csv\n")
        );
    }
    let stamped = home.potluck(["logs", "--times", "--stderr-only", &id]).finish().expect(0).err();
    assert!(stamped.ends_with(" warn: no header file=a.csv\n") && stamped.len() > 30, "{stamped}");
    assert_eq!(home.potluck(["logs", "--stdout-only", &id]).finish().expect(0).err(), "");
    let got = home.potluck(["get", "--json", &id]).finish().expect(0).json();
    assert_eq!((&got["result"], &got["files"]), (&json!({"mean": 4.5}), &json!([])));
    assert_eq!(job(&home, &id)["result"], json!({"mean": 4.5}));
    let history = home.potluck(["history", "--json"]).finish().expect(0).json();
    assert_eq!(history[0]["result"], json!({"mean": 4.5}), "{history:#}");
}

#[test]
fn how_far_a_job_is_is_seen_while_it_runs_here_and_elsewhere() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (ours, theirs) = (Node::start(&ann), Node::start(&bob));
    pair(&ours, &theirs);
    // It says how far it is and then goes on for as long as it may.
    let spin = write_spinner(&ann);
    let id = given(&ann, ["--on", "bob", "--timeout", "10m", &spin]);
    let expected = json!({"done": 3, "total": 10, "message": "reading"});
    until("its home hears how far it is", || (job(&ann, &id)["progress"] == expected).then_some(()));
    let top = bob.potluck(["top", "--json"]).finish().expect(0).json();
    assert_eq!(top["jobs"][0]["progress"], expected, "{top:#}");
    let top = ann.potluck(["top", "--once"]).finish().expect(0).out();
    assert!(top.contains("running on bob, 3/10 reading"), "{top}");
    let jobs = ann.potluck(["jobs"]).finish().expect(0).out();
    assert!(jobs.contains("running on bob, 30%"), "{jobs}");
    ann.potluck(["cancel", &id]).finish().expect(0);
}

/// A module that says how far it is and then spins.
fn write_spinner(home: &Home) -> String {
    let text = PROGRESS.replace('"', "\\22");
    let len = PROGRESS.len() + 1;
    let module = format!(
        r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 1024) "{text}\0a") (data (i32.const 64) ".potluck-events")
        (func (export "_start")
            (if (call $path_open (i32.const 4) (i32.const 0) (i32.const 64) (i32.const 15) (i32.const 0)
                (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 1) (i32.const 32)) (then unreachable))
            (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const {len}))
            (if (call $fd_write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
            (if (i32.ne (i32.load (i32.const 8)) (i32.const {len})) (then unreachable))
            (loop $again (br $again))))"#
    );
    crate::sight::module(home, "spinner.wasm", &module)
}

#[test]
fn a_peer_passes_on_what_a_guest_says() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let node = Node::start(&ann);
    join(&node, &bob);
    let object = bob.run(["--on", "ann", "--json"]).arg(guest("tell")).args([LOG, RESULT]).finish().expect(0).json();
    assert_eq!((&object["result"], events(&object).len()), (&json!({"mean": 4.5}), 2), "{object:#}");
    let theirs = ann.potluck(["history", "--json"]).finish().expect(0).json();
    assert_eq!(theirs[0]["result"], Value::Null, "what it came to is remembered by whoever asked for it");
    let ours = bob.potluck(["history", "--json"]).finish().expect(0).json();
    assert_eq!(ours[0]["result"], json!({"mean": 4.5}));
}

#[test]
fn a_task_knows_its_place_and_its_result_is_in_the_object() {
    let home = Home::with_python();
    let _node = Node::start(&home);
    let lines = [
        "import json, os, sys",
        "place = [int(os.environ[name]) for name in ('POTLUCK_TASK', 'POTLUCK_TASKS')]",
        "with open(os.environ['POTLUCK_EVENTS'], 'a') as events: print(json.dumps({'result': [sys.argv[1], *place]}), file=events)",
    ];
    write_script(&home, "task.py", &lines);
    ["a", "b", "c"].iter().for_each(|name| drop(home.write(name, name)));
    let map =
        |names: &[&str]| home.potluck(["map", "--json", "-o", "out", "task.py"]).args(names).finish().expect(0).json();
    assert_eq!(map(&["a", "b"])["results"], json!({"a": ["a", 0, 2], "b": ["b", 1, 2]}));
    // A map that grows runs what is new, and has the results of what was done before.
    let grown = map(&["a", "b", "c"]);
    assert_eq!((&grown["skipped"], &grown["done"]), (&2.into(), &1.into()));
    assert_eq!(grown["results"], json!({"a": ["a", 0, 2], "b": ["b", 1, 2], "c": ["c", 2, 3]}));
}

#[test]
fn directories_in_which_a_guest_spoke_serve_again() {
    let home = Home::new();
    let _node = Node::start(&home);
    let told = home.run(["-q"]).arg(guest("tell")).arg(LOG).finish();
    assert_eq!(told.expect(0).err(), "warn: no header file=a.csv\n");
    until("nothing of it is left", || is_at_rest(&home).then_some(()));
    let left = home.scratch_entries();
    assert!(!left.is_empty(), "its directories wait for the next run");
    home.run(["-q"]).arg(guest("tell")).arg(LOG).finish().expect(0);
    until("nothing of it is left", || is_at_rest(&home).then_some(()));
    assert_eq!(home.scratch_entries(), left, "and were used again");
}

#[test]
fn a_session_to_which_nobody_listens_is_not_told_of_a_file_to_speak_in() {
    let home = Home::with_python();
    let node = Node::start(&home);
    home.potluck(["session", "new", "--name", "s"]).finish().expect(0);
    let turn = "import os; print([name for name in os.environ if name.startswith('POTLUCK')])";
    let finished = home.potluck(["session", "run", "s", turn]).finish();
    assert_eq!(finished.expect(0).out(), "[]\n");
    node.down();
}

/// The fuel of one job in the history.
#[track_caller]
fn history_of(home: &Home, id: &str) -> Value {
    let history = home.potluck(["history", "--json"]).finish().expect(0).json();
    let jobs = history.as_array().expect("a list of jobs").clone();
    let found = jobs.into_iter().find(|job| job["id"].as_str().is_some_and(|full| full.starts_with(id)));
    found.unwrap_or_else(|| panic!("{id} is not in the history: {history:#}"))
}

/// Gives a job that counts to 300, and waits at 150 until its home has the checkpoint it gave there.
#[track_caller]
fn half_way(home: &Home, on: &str) -> String {
    let program = guest("climb");
    let id = given(
        home,
        [OsStr::new("--on"), on.as_ref(), "--fuel".as_ref(), "1T".as_ref(), program.as_os_str()]
            .into_iter()
            .chain(["300", "50", "150"].map(OsStr::new)),
    );
    until("its home has its checkpoint", || (job(home, &id)["checkpoint"]["size"] == 150).then_some(()));
    id
}

#[test]
fn a_job_whose_machine_was_killed_goes_on_elsewhere_from_its_checkpoint() {
    let (ann, bob, cid) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("cid"));
    let home = Node::start(&ann);
    let (first, second) = (Node::start(&bob), Node::start(&cid));
    join(&home, &bob);
    join(&home, &cid);
    until("both are there", || (online_peers(&ann).len() == 2).then_some(()));
    let whole = ann.run(["--json", "--fuel", "1T"]).arg(guest("climb")).args(["300", "50"]).finish().expect(0).json();
    let whole = whole["fuel_used"].as_u64().expect("fuel");
    let id = half_way(&ann, "bob,cid");
    let (dies, goes_on, _other) =
        if job(&ann, &id)["place"] == "bob" { (first, "cid", second) } else { (second, "bob", first) };
    dies.die();
    ann.potluck(["wait", &id]).deadline(3 * DEADLINE).finish().expect(0);
    let ended = history_of(&ann, &id);
    assert_eq!((&ended["attempts"], &ended["peer"]["name"]), (&2.into(), &goes_on.into()), "{ended:#}");
    let again = ended["fuel_used"].as_u64().expect("fuel");
    assert!(again < whole * 3 / 4, "{again} of {whole}: it began anew");
    assert_eq!(ann.potluck(["logs", &id]).finish().expect(0).out(), "from 150\n300\n");
}

#[test]
fn a_job_that_was_taken_back_goes_on_from_its_checkpoint_also_after_its_home_was_killed() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (home, runner) = (Node::start(&ann), Node::start(&bob));
    pair(&home, &runner);
    let id = half_way(&ann, "bob");
    home.die();
    let _home = Node::start(&ann);
    assert_eq!(job(&ann, &id)["checkpoint"]["size"], 150, "it is on the home's disk");
    until("it is with its machine again", || (job(&ann, &id)["state"] == "running").then_some(()));
    bob.potluck(["pause"]).finish().expect(0);
    until("its home knows", || (job(&ann, &id)["state"] == "waiting").then_some(()));
    bob.potluck(["resume"]).finish().expect(0);
    ann.potluck(["wait", &id]).deadline(3 * DEADLINE).finish().expect(0);
    assert_eq!(ann.potluck(["logs", &id]).finish().expect(0).out(), "from 150\n300\n");
}

#[test]
fn a_checkpoint_that_cannot_be_had_is_a_warning_and_one_that_ended_leaves_none() {
    let home = Home::new();
    let _node = Node::start(&home);
    let none = r#"{"checkpoint":{"file":"none.bin"}}"#;
    let out = r#"{"checkpoint":{"file":"/tmp/../../../etc/passwd"}}"#;
    let id = given(&home, [guest("tell").as_os_str(), none.as_ref(), out.as_ref(), r#"{"checkpoint":null}"#.as_ref()]);
    home.potluck(["wait", &id]).finish().expect(0);
    let err = home.potluck(["logs", &id]).finish().expect(0).err();
    assert!(err.lines().count() == 1 && err.contains("none.bin") && err.contains("cannot be read"), "{err}");
    assert_eq!(job(&home, &id)["checkpoint"], Value::Null);
}

#[test]
fn a_program_that_looks_is_asked_before_it_is_ended_and_what_it_leaves_is_kept() {
    let home = Home::new();
    for program in both_forms("climb") {
        let job = home.run(["-o", "out"]).arg(&program).args(["5", "1000", "2"]).start();
        job.wait_for_stdout("waits");
        job.signal(Signal::INT);
        job.finish_with_stdin_open().expect(130);
        assert_eq!(fs::read_to_string(home.work().join("out/left.txt")).ok().as_deref(), Some("2"));
        fs::remove_dir_all(home.work().join("out")).expect("the outputs can be removed");
        let ended = home.potluck(["history", "--json", "--limit", "1"]).finish().expect(0).json();
        assert_eq!((&ended[0]["outcome"]["word"], &ended[0]["result"]), (&"cancelled".into(), &2.into()), "{ended:#}");
    }
}

/// A job of `climb` that waits to be asked, at a machine.
fn waits_to_be_asked(home: &Home, on: &str) -> String {
    let program = guest("climb");
    let words = [OsStr::new("--on"), on.as_ref(), program.as_os_str()];
    let id = given(home, words.into_iter().chain(["5", "1000", "2"].map(OsStr::new)));
    until("its guest waits", || home.potluck(["logs", &id]).finish().out().contains("waits").then_some(()));
    id
}

#[test]
fn a_job_of_the_queue_that_is_cancelled_is_asked_first_here_and_at_a_peer() {
    let (ann, bob) = (Home::new().named("ann"), Home::new().named("bob"));
    let (home, runner) = (Node::start(&ann), Node::start(&bob));
    pair(&home, &runner);
    for on in ["local", "bob"] {
        let id = waits_to_be_asked(&ann, on);
        ann.potluck(["cancel", &id]).finish().expect(0).says(&["1 job cancelled"]);
        let ended = history_of(&ann, &id);
        assert_eq!((&ended["outcome"]["word"], &ended["result"]), (&"cancelled".into(), &2.into()), "{ended:#}");
        ann.potluck(["get", &id, "-o", on]).finish().expect(0);
        assert_eq!(fs::read_to_string(ann.work().join(on).join("left.txt")).ok().as_deref(), Some("2"), "{on}");
    }
    let ran = until("bob knows of its end", || {
        let jobs = bob.potluck(["history", "--json"]).finish().expect(0).json();
        jobs.as_array()?.iter().find(|job| job["role"] == "ran").map(|job| job["outcome"].clone())
    });
    assert_eq!((&ran["word"], &ran["why"]), (&"cancelled".into(), &"its home took it back".into()));
}

#[test]
fn a_job_of_the_queue_ends_at_once_for_whoever_will_not_wait() {
    let home = Home::new();
    let node = Node::start(&home);
    let id = waits_to_be_asked(&home, "local");
    home.potluck(["cancel", "--now", &id]).finish().expect(0).says(&["1 job cancelled"]);
    home.potluck(["get", &id, "-o", "out"]).finish().expect(0);
    assert!(!home.work().join("out/left.txt").exists(), "nobody asked it");
    drop(node);
}

#[test]
fn a_program_that_looked_and_does_not_end_is_ended_after_its_grace() {
    let home = Home::with_python();
    let lines = [
        "import os, time",
        "print(repr(open(os.environ['POTLUCK_CONTROL']).read()), flush=True)",
        "while True: time.sleep(1)",
    ];
    let script = write_script(&home, "script.py", &lines);
    let job = home.run([&script]).start();
    job.wait_for_stdout("''");
    let asked = std::time::Instant::now();
    job.signal(Signal::INT);
    job.finish_with_stdin_open().expect(130);
    assert!(asked.elapsed() >= std::time::Duration::from_secs(4), "{:?}", asked.elapsed());
}
