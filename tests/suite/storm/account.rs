//! The account after the storm: each task, each job and each result, once.

use super::load::{Load, Map};
use potluck_node::store::jobs::{JobStore, Kept};
use potluck_tests::Home;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// The journal of a map.
const JOURNAL: &str = ".potluck-map.jsonl";

/// Each task of each map has its own result and nothing else, stands in the journal as done once, and had one job that was
/// done. What other jobs it had were lost, and for a reason; no job has two ends or none. How many jobs had more than one run.
#[track_caller]
pub(super) fn assert_each_once(load: &Load<'_>) -> usize {
    let jobs = load.home.potluck(["jobs", "--all", "--json"]).finish().expect(0).json();
    let jobs = jobs.as_array().expect("a list of jobs");
    let ids: BTreeSet<&str> = jobs.iter().map(|job| job["id"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), jobs.len(), "no job is listed twice");
    for map in &load.maps {
        assert_results(map, load.home);
        let done = assert_journal(map, load.home);
        assert_jobs(map, jobs, &done);
    }
    jobs.iter().filter(|job| job["attempt"].as_u64() > Some(1)).count()
}

#[track_caller]
fn assert_results(map: &Map, home: &Home) {
    let mut found = map.found(home);
    found.remove(&PathBuf::from(JOURNAL)).expect("the map has a journal");
    let strays: Vec<_> = found.keys().filter(|path| !map.results.contains_key(*path)).collect();
    assert!(strays.is_empty(), "{}: nobody made {strays:?}", map.out);
    let wrong: Vec<_> = map.results.iter().filter(|(path, bytes)| found.get(*path) != Some(bytes)).collect();
    let shown: Vec<_> = wrong.iter().take(5).map(|(path, bytes)| (path, bytes, found.get(*path))).collect();
    assert!(wrong.is_empty(), "{}: {} results are missing or wrong, as {shown:?}", map.out, wrong.len());
}

/// The job that each task's end is of.
#[track_caller]
fn assert_journal(map: &Map, home: &Home) -> BTreeMap<String, String> {
    let text = fs::read_to_string(home.work().join(map.out).join(JOURNAL)).expect("the journal can be read");
    // What a killed command had not written to its end is no line.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let (mut done, mut ended) = (BTreeMap::new(), BTreeSet::new());
    for line in lines.filter(|line| line["line"] == "end") {
        let field = |key: &str| line[key].as_str().expect("a text").to_owned();
        assert!(ended.insert(field("job")), "the job's end is accounted twice: {line}");
        if line["end"] == "done" {
            assert_eq!(done.insert(field("task"), field("job")), None, "the task is done twice: {line}");
        } else {
            assert_eq!(line["end"], "lost", "{line}");
        }
    }
    assert_eq!(done.len(), map.tasks.len(), "{}: every task is done once", map.out);
    done
}

/// What the home lists of the map is what its journal says.
#[track_caller]
fn assert_jobs(map: &Map, jobs: &[Value], done: &BTreeMap<String, String>) {
    let program = match map.out {
        "steps" => "steps.wasm",
        _ => "times.py",
    };
    let mut of_tasks: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for job in jobs.iter().filter(|job| job["program"] == program) {
        of_tasks.entry(job["task"].as_u64().expect("a task's number")).or_default().push(job);
    }
    assert_eq!(of_tasks.len(), map.tasks.len());
    for (task, jobs) in of_tasks {
        let task = &map.tasks[usize::try_from(task).expect("a small number")];
        let (well, ill): (Vec<&Value>, Vec<&Value>) = jobs.into_iter().partition(|job| job["state"] == "done");
        let ids: Vec<&str> = well.iter().filter_map(|job| job["id"].as_str()).collect();
        assert_eq!(ids, [done[task].as_str()], "{task} has one job that was done: {well:#?}");
        for job in ill {
            assert!(job["state"] == "lost" && job["why"].as_str().is_some_and(|why| !why.is_empty()), "{job:#}");
        }
    }
}

/// The runs that a node keeps for homes, its own among them, and what they left in files.
#[track_caller]
pub(super) fn kept_at(home: &Home) -> Vec<String> {
    let data = home.config().join("data");
    let store = JobStore::open(&data, Kept::EVERYTHING).expect("the records can be opened");
    let runs = store.kept_runs().expect("the records can be read");
    let files = fs::read_dir(data.join("kept")).into_iter().flatten().flatten();
    let files = files.map(|entry| entry.path().display().to_string());
    runs.iter().map(|run| format!("{}-{}: {}", run.key.job, run.key.attempt, run.state)).chain(files).collect()
}
