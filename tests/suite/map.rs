//! One program over many inputs: a result for each, nothing run twice, and every task accounted for.

use potluck_tests::{DEADLINE, Home, Node, guest, pair, until};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;

/// Writes inputs; `weave` prints as many lines as the name of its input says, and traps if that is no number.
fn inputs(home: &Home, names: &[&str]) {
    names.iter().for_each(|name| drop(home.write(name, name)));
}

fn result(home: &Home, name: &str) -> Option<String> {
    fs::read_to_string(home.work().join("out").join(name)).ok()
}

/// Runs a map of `weave` into `out` and gives its object.
#[track_caller]
fn weave(home: &Home, options: &[&str], names: &[&str], code: i32) -> Value {
    let finished = home.potluck(["map", "--json", "-o", "out"]).args(options).arg(guest("weave")).args(names).finish();
    let object = finished.expect(code).json();
    let count = |key: &str| object[key].as_u64().unwrap_or_else(|| panic!("no count {key}: {object:#}"));
    let all: u64 =
        ["done", "failed", "cancelled", "lost", "skipped", "open", "running"].iter().map(|key| count(key)).sum();
    assert_eq!(all, count("total"), "every task is counted once: {object:#}");
    assert_eq!(count("given"), count("total") - count("skipped") - count("open"));
    object
}

#[test]
fn each_input_has_its_result_and_nothing_is_run_twice() {
    let home = Home::new();
    let _node = Node::start(&home);
    inputs(&home, &["1", "2", "5.txt"]);
    let object = weave(&home, &[], &["1", "2"], 0);
    assert_eq!((&object["done"], &object["given"]), (&2.into(), &2.into()));
    let machines: u64 = object["machines"].as_object().expect("machines").values().filter_map(Value::as_u64).sum();
    assert_eq!(machines, 2);
    assert_eq!((result(&home, "1.out"), result(&home, "1.err")), (Some("0\n".into()), None));
    assert_eq!((result(&home, "2.out"), result(&home, "2.err")), (Some("0\n".into()), Some("1\n".into())));
    assert!(!home.work().join("out/1").exists(), "it made no files");

    let again = weave(&home, &[], &["1", "2"], 0);
    assert_eq!((&again["skipped"], &again["given"]), (&2.into(), &0.into()));
    // What changed, is run again.
    home.write("2", "another text");
    let changed = weave(&home, &[], &["1", "2"], 0);
    assert_eq!((&changed["skipped"], &changed["done"]), (&1.into(), &1.into()));
}

#[test]
fn inputs_lie_where_the_program_runs_and_files_it_made_come_back() {
    let home = Home::new();
    let _node = Node::start(&home);
    home.write("in/a.txt", "soup");
    home.write("in/b.txt", "bread");
    let look = guest("look");
    let map = home.potluck(["map", "-o", "out", "--per-task", "2", "--inputs", "-"]).arg(&look);
    map.args(["--", "--write", "made.txt", "--read"]).input("in/a.txt\nin/b.txt\n").finish().expect(0);
    let out = result(&home, "a.out").expect("the task is called after its first input");
    for line in ["arg a.txt", "arg b.txt", "file b.txt 5", "wrote made.txt", "read a.txt: soup"] {
        assert!(out.contains(line), "no {line:?}: {out}");
    }
    assert_eq!(result(&home, "a/made.txt").as_deref(), Some("changed"));
    assert!(result(&home, "b.out").is_none());
}

#[test]
fn what_failed_is_listed_and_run_again() {
    let home = Home::new();
    let _node = Node::start(&home);
    inputs(&home, &["1", "bad", "3"]);
    let names = ["1", "bad", "3"];
    let finished = home.potluck(["map", "-o", "out", "--keep-going"]).arg(guest("weave")).args(names).finish();
    finished.expect(1).says(&["bad failed", "bad.err", "3 tasks", "2 done, 1 failed"]);
    assert!(result(&home, "bad.err").is_some_and(|text| text.contains("number")));
    let again = weave(&home, &["--keep-going"], &names, 1);
    assert_eq!((&again["skipped"], &again["failed"], &again["given"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!(again["failures"][0]["task"], "bad");
}

#[test]
fn a_failure_stops_the_rest_unless_told_otherwise() {
    let home = Home::new();
    let _node = Node::start(&home);
    let names: Vec<String> = (0..300).map(|number| format!("{number}.n")).collect();
    let bad: Vec<&str> = names.iter().map(String::as_str).collect();
    inputs(&home, &bad);
    // None of these names is a number.
    let object = weave(&home, &["--jobs", "1"], &bad, 1);
    assert!(object["failed"].as_u64() < Some(100), "{object:#}");
    assert!(object["cancelled"].as_u64().unwrap_or(0) + object["open"].as_u64().unwrap_or(0) > 200, "{object:#}");
}

#[test]
fn a_map_goes_on_without_its_command_which_may_come_back() {
    let home = Home::new();
    let node = Node::start(&home);
    home.write("sleep", "");
    home.write("fuel", "");
    let hog = guest("hog");
    let command = || home.potluck(["map", "-k", "-o", "out", "--timeout", "20s"]).arg(&hog).args(["sleep", "fuel"]);
    let left = command().start();
    until("both tasks are the node's", || {
        let jobs = home.potluck(["jobs", "--json"]).finish().expect(0).json();
        (jobs.as_array().map(Vec::len) == Some(2)).then_some(())
    });
    left.signal(Signal::INT);
    left.wait_for_stderr("potluck cancel --map");
    left.signal(Signal::INT);
    left.finish().expect(1).says(&["2 go on at the node"]);
    // Also over a crash of the node.
    node.die();
    let _node = Node::start(&home);
    let back = command().start();
    back.finish().expect(1).says(&["2 tasks: 0 done before, 2 given"]);
    let jobs = home.potluck(["jobs", "--all", "--json"]).finish().expect(0).json();
    assert_eq!(jobs.as_array().map(Vec::len), Some(2), "no task was given twice: {jobs:#}");
}

#[test]
fn a_job_that_the_node_may_not_have_taken_is_given_again_as_the_same_job() {
    let home = Home::new();
    let _node = Node::start(&home);
    inputs(&home, &["1", "2"]);
    let ids = || {
        let jobs = home.potluck(["jobs", "--all", "--json"]).finish().expect(0).json();
        let id = |job: &Value| job["id"].as_str().expect("an id").to_owned();
        jobs.as_array().expect("a list").iter().map(id).collect::<BTreeSet<String>>()
    };
    weave(&home, &[], &["1", "2"], 0);
    let given = ids();
    // As if the command had been killed while it gave them.
    home.potluck(["rm"]).args(&given).finish().expect(0);
    let journal = home.work().join("out/.potluck-map.jsonl");
    let text = fs::read_to_string(&journal).expect("the map has a journal");
    let lines = text.lines().filter(|line| !line.contains("exit_code")).map(|line| format!("{line}\n"));
    fs::write(&journal, lines.collect::<String>()).expect("the journal can be written");
    assert_eq!(ids(), BTreeSet::new());
    let again = weave(&home, &[], &["1", "2"], 0);
    assert_eq!((&again["done"], &again["given"]), (&2.into(), &2.into()));
    assert_eq!(ids(), given);
}

#[test]
fn a_map_is_cancelled_by_its_id() {
    let home = Home::new();
    let _node = Node::start(&home);
    inputs(&home, &["sleep"]);
    let map = home.potluck(["map", "-o", "out"]).arg(guest("hog")).arg("sleep").start();
    let id = until("its task is the node's", || {
        let jobs = home.potluck(["jobs", "--json"]).finish().expect(0).json();
        jobs[0]["map"].as_str().map(str::to_owned)
    });
    home.potluck(["cancel", "--map", &id[..8]]).finish().expect(0);
    map.finish().expect(1).says(&["1 cancelled"]);
}

#[test]
fn a_map_uses_every_machine() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    inputs(&home, &names);
    let object = weave(&home, &[], &names, 0);
    assert_eq!(object["done"], 200);
    let machines = object["machines"].as_object().expect("machines");
    assert_eq!(machines.len(), 2, "{object:#}");
    for number in [0, 77, 199] {
        let lines = result(&home, &format!("{number}.out")).expect("a result").lines().count();
        assert_eq!(lines, usize::div_ceil(number, 2));
    }
}

#[test]
fn inputs_are_listed_in_a_file_where_a_command_line_is_too_short() {
    let home = Home::new();
    let _node = Node::start(&home);
    let names: Vec<String> = (0..3_000).map(|number| format!("in/{number}")).collect();
    names.iter().for_each(|name| drop(home.write(name, "the same in all")));
    home.write("list", names.join("\n"));
    let map = || home.potluck(["map", "--json", "-o", "out", "--inputs", "list"]).arg(guest("hello"));
    let object = map().deadline(DEADLINE * 4).finish().expect(0).json();
    assert_eq!((&object["done"], &object["total"]), (&3_000.into(), &3_000.into()));
    assert!(result(&home, "2999.out").is_some());
    let again = map().finish().expect(0).json();
    assert_eq!((&again["skipped"], &again["given"]), (&3_000.into(), &0.into()));
}

#[test]
fn a_module_among_the_inputs_is_one_of_the_script() {
    let home = Home::with_python();
    let _node = Node::start(&home);
    home.write("main.py", "import recipe\nprint(recipe.name)\n");
    home.write("soup/recipe.py", "name = 'soup'\n");
    let map = home.potluck(["map", "-o", "out", "main.py", "soup/recipe.py"]).finish();
    map.expect(0);
    assert_eq!(result(&home, "recipe.out").as_deref(), Some("soup\n"));
}

#[test]
fn a_task_whose_record_is_removed_does_not_keep_its_map_waiting() {
    let home = Home::new();
    let node = Node::start(&home);
    inputs(&home, &["sleep", "fuel"]);
    let map = home.potluck(["map", "-k", "-o", "out"]).arg(guest("hog")).args(["sleep", "fuel"]).start();
    let jobs = until("both tasks run", || {
        let jobs = home.potluck(["jobs", "--json"]).finish().expect(0).json();
        let jobs = jobs.as_array()?.clone();
        (jobs.len() == 2 && jobs.iter().all(|job| job["state"] == "running")).then_some(jobs)
    });
    // The command hears nothing for a while, as one that writes to a slow disk does.
    map.signal(Signal::STOP);
    home.potluck(["cancel", "--all"]).finish().expect(0);
    for job in jobs {
        home.potluck(["rm", job["id"].as_str().expect("an id")]).finish().expect(0);
    }
    map.signal(Signal::CONT);
    map.finish().expect(1);
    drop(node);
}

#[test]
fn tasks_whose_results_would_lie_in_one_place_are_refused() {
    let home = Home::new();
    home.write("x/a.csv", "");
    home.write("y/a.csv", "");
    let map = |inputs: &[&str]| {
        home.potluck(["map", "-o", "out"]).arg(guest("weave")).args(inputs.iter().map(OsStr::new)).finish()
    };
    map(&["x/a.csv", "y/a.csv"]).expect(125).says(&["one place"]);
    map(&["x/a.csv", "nothing"]).expect(125).says(&["nothing"]);
    map(&[]).expect(125).says(&["inputs"]);
    assert!(!home.work().join("out").exists());
}
