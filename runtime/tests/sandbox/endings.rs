//! Ends that come from outside: cancelling, a worker that hangs, a parent that dies. Nothing may be left of any.

use crate::guests::{self, command};
use crate::kit::{Kit, Test, block_on, collect, config, request, until};
use potluck_runtime::{LimitKind, Limits, Outcome, Run, RunRequest, Runtime};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("cancelling_ends_a_run_at_once", cancelling),
    ("dropping_a_run_ends_it", dropping),
    ("a_worker_that_hangs_is_killed_soon_after_its_wall_time", backstop),
    ("a_dead_parent_leaves_nothing_of_a_busy_guest", || parent_dies(&command("", guests::BUSY), 1)),
    ("a_dead_parent_leaves_nothing_of_a_guest_that_makes_files", || parent_dies(&guests::maker(), 1)),
    ("a_dead_parent_leaves_nothing_of_several_guests", || parent_dies(&guests::maker(), 3)),
    ("opening_sweeps_what_a_dead_process_left", sweeping),
];

fn cancelling() {
    let kit = Kit::new();
    let program = kit.program(&command("", guests::BUSY));
    let report = block_on(async {
        let Run { stdin: _stdin, events, canceller } = kit.start(request(program)).await;
        let asked = Instant::now();
        canceller.cancel();
        let ended = collect(events).await;
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        ended.report
    });
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert_eq!(kit.left_behind(), Vec::<PathBuf>::new());
}

fn dropping() {
    let kit = Kit::new();
    let program = kit.program(&guests::maker());
    block_on(async {
        let run = kit.start(request(program)).await;
        let workers = children(std::process::id());
        assert!(!workers.is_empty());
        drop(run);
        until("the worker is gone", || workers.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())).await;
        until("its directory is gone", || kit.left_behind().is_empty()).await;
    });
}

fn backstop() {
    let kit = Kit::new();
    let limits = Limits { wall_ms: 300, ..Limits::default() };
    let program = kit.program(&command("", guests::BUSY));
    let outcome = block_on(async {
        let mut run = kit.start(RunRequest { limits, ..request(program) }).await;
        for pid in children(std::process::id()) {
            signal(pid, "STOP");
        }
        // A caller that asks in short turns must not put the end off.
        loop {
            let next = tokio::time::timeout(Duration::from_millis(100), run.events.next()).await;
            if let Ok(potluck_runtime::RunEvent::Ended { report, outputs: _removed }) = next {
                break report.outcome;
            }
        }
    });
    assert!(matches!(&outcome, Outcome::Limit(hit) if hit.kind == LimitKind::WallTime), "{outcome:?}");
    assert_eq!(kit.left_behind(), Vec::<PathBuf>::new());
}

fn parent_dies(guest: &str, runs: usize) {
    let kit = Kit::new();
    let potluck_runtime::Program::Wasm { path, .. } = kit.program(guest) else { panic!("no module") };
    let home = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .arg("parent")
        .args([home.path(), &path])
        .arg(runs.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    let workers = children(parent.id());
    assert_eq!(workers.len(), runs);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let scratch = home.path().join("scratch");
    let owners = || std::fs::read_dir(&scratch).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    block_on(async {
        until("the workers are gone", || workers.iter().all(|pid| !is_running(*pid))).await;
        until("their directories are gone", || owners() == 0).await;
    });
}

/// The life of a process that starts runs and then only waits to be killed.
pub(crate) fn parent(arguments: &[String]) -> ExitCode {
    let [home, program, runs] = arguments else { return ExitCode::FAILURE };
    let program = potluck_runtime::Program::Wasm { path: program.into(), name: "guest.wasm".to_owned() };
    block_on(async {
        let runtime = Runtime::open(config(Path::new(home))).unwrap();
        let prepared = runtime.prepare(&program, &potluck_runtime::SilentWatch).await.unwrap();
        let mut started = Vec::new();
        for _ in 0..runs.parse().unwrap() {
            started.push(runtime.start(&prepared, request(program.clone())).await.unwrap());
        }
        println!("started");
        std::future::pending::<ExitCode>().await
    })
}

fn sweeping() {
    let kit = Kit::new();
    let left = kit.home.path().join("scratch/owner-1-0");
    std::fs::create_dir_all(left.join("run-0/root")).unwrap();
    std::fs::write(left.join("run-0/root/file"), b"left").unwrap();
    let _runtime = Runtime::open(config(kit.home.path())).unwrap();
    assert!(!left.exists());
}

/// The workers of a process: those of its children that have become one. A child that has not is known by its parent's
/// command line still, and may become the one that only waits for its parent's end.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let all = lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>());
    all.filter(|pid| works(*pid)).collect()
}

fn works(pid: u32) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut words = line.split(|byte| *byte == 0).skip(1);
    words.next().is_some_and(|word| word.ends_with(b"worker")) && !words.any(|word| word == b"--sweeper")
}

/// Whether a process exists and is no zombie, which whoever adopted it may be slow to bury.
pub(crate) fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}
