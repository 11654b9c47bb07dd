//! One program over many inputs: a result for each, nothing run twice, and every task accounted for.

use potluck_tests::{DEADLINE, Home, Node, guest, online_peers, pair, until};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

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
    let all: u64 = ["done", "failed", "cancelled", "lost", "skipped", "unreadable", "open", "running"]
        .iter()
        .map(|key| count(key))
        .sum();
    assert_eq!(all, count("total"), "every task is counted once: {object:#}");
    assert_eq!(count("given"), count("total") - count("skipped") - count("unreadable") - count("open"));
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
fn the_files_of_a_task_that_is_run_again_are_those_of_its_last_run_alone() {
    let home = Home::new();
    let _node = Node::start(&home);
    home.write("a.txt", "soup");
    let write = |name: &str| {
        let map = home.potluck(["map", "-o", "out"]).arg(guest("look")).args(["a.txt", "--", "--write", name]);
        map.finish().expect(0);
        let entries = fs::read_dir(home.work().join("out/a")).expect("files came back");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect::<Vec<_>>()
    };
    assert_eq!(write("one.txt"), ["one.txt"]);
    home.write("out/a/own.txt", "not of the map");
    let mut names = write("two.txt");
    names.sort_unstable();
    assert_eq!(names, ["own.txt", "two.txt"]);
}

#[test]
fn what_of_a_tasks_files_does_not_come_back_is_said() {
    let home = Home::with_python();
    let _node = Node::start(&home);
    home.write("a.txt", "");
    home.write("main.py", "for n in range(20):\n    with open(f'hole-{n}', 'wb') as file: file.truncate(900_000)\n");
    let map = home.potluck(["map", "--json", "--disk", "1M", "-o", "out", "main.py", "a.txt"]).finish();
    map.expect(0).says(&["a: not brought back: ", "hole-", "mostly holes"]);
    let left = map.json()["not_brought_back"].clone();
    assert_eq!((&left["tasks"], &left["first"][0]["task"]), (&1.into(), &"a".into()), "{left:#}");
    assert!(left["first"][0]["count"].as_u64() >= Some(18), "{left:#}");
}

#[test]
fn an_input_that_cannot_be_read_is_a_failure_that_was_not_given_and_stops_the_rest() {
    let home = Home::new();
    let _node = Node::start(&home);
    inputs(&home, &["1", "2"]);
    let bad = home.work().join("bad");
    fs::create_dir(&bad).expect("a folder can be made");
    fs::write(bad.join(OsStr::from_bytes(b"\xff")), "").expect("a file can be written");
    let stopped = weave(&home, &[], &["bad", "1", "2"], 1);
    let counts = |object: &Value| ["unreadable", "given", "open"].map(|key| object[key].as_u64());
    assert_eq!(counts(&stopped), [Some(1), Some(0), Some(2)], "{stopped:#}");
    assert_eq!(stopped["failures"][0]["task"], "bad");
    let journal = result(&home, ".potluck-map.jsonl").expect("the map has a journal");
    assert!(journal.contains("unreadable"), "{journal}");
    let went_on = weave(&home, &["-k"], &["bad", "1", "2"], 1);
    assert_eq!(counts(&went_on), [Some(1), Some(2), Some(0)], "{went_on:#}");
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
    home.potluck(["cancel", "--map", &id[..8]]).finish().expect(0).says(&["1 job of the map cancelled"]);
    map.finish().expect(1).says(&["1 cancelled"]);
    home.potluck(["cancel", "--map", &id]).finish().expect(0).says(&["has ended already"]);
    home.potluck(["cancel", "--map", &"0123456789abcdef".repeat(2)]).finish().expect(125).says(&["no map's id"]);
}

#[test]
fn all_that_has_not_ended_is_listed_where_programs_read_it() {
    let home = Home::new();
    let _node = Node::start(&home);
    let names: Vec<String> = (0..61).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    inputs(&home, &names);
    let waits = ["map", "-o", "out", "--need", "tag=nowhere"];
    let map = home.potluck(waits).arg(guest("weave")).args(&names).start();
    let count = || {
        let queue = home.potluck(["top", "--json"]).finish().expect(0).json()["home_jobs"].clone();
        (queue["count"] == 61 && queue["waiting"] == 61).then_some(())
    };
    until("all are the node's", count);
    let all = home.potluck(["jobs", "-q"]).finish().expect(0).out();
    let ids: BTreeSet<&str> = all.lines().collect();
    assert_eq!(ids.len(), 61);
    let listed = home.potluck(["jobs", "--json", "--unended"]).finish().expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(61));
    let given: Vec<Option<u64>> =
        listed.as_array().expect("a list").iter().map(|job| job["submitted_ms"].as_u64()).collect();
    assert!(given.is_sorted_by(|before, after| before >= after), "the newest first: {given:?}");
    let table = home.potluck(["jobs"]).finish();
    table.expect(0).says(&["11 more have not ended", "--unended"]);
    assert_eq!(table.out().lines().count(), 51);
    home.potluck(["cancel"]).args(&ids).finish().expect(0).says(&["61 jobs cancelled"]);
    map.finish().expect(1).says(&["61 cancelled"]);
}

#[test]
fn a_map_uses_every_machine() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    until("desk has heard what attic is", || online_peers(&home).first()?["info"]["cores"].as_u64());
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
    // The command hears nothing for a while, as one that writes to a slow disk does: the ends are heard after the records went.
    map.signal(Signal::STOP);
    home.potluck(["cancel", "--all"]).finish().expect(0);
    for job in jobs {
        home.potluck(["rm", job["id"].as_str().expect("an id")]).finish().expect(0);
    }
    map.signal(Signal::CONT);
    map.finish().expect(1).says(&["of those 0 done, 0 failed"]);
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
