//! A worker's control group: entered before any guest, bounding what it takes of the machine, gone with it.

use super::endings::children;
use super::escapes;
use super::guests::{self, command};
use super::kit::{Kit, Test, block_on, collect, config, request, until};
use potluck_runtime::{Limits, Outcome, Run, RunRequest, Runtime, Wall, missing_walls};
use std::path::PathBuf;

pub(crate) const TESTS: &[Test] = &[
    ("a_worker_has_a_group_of_its_own_that_goes_with_it", own_group),
    ("an_escaped_guest_takes_no_more_memory_than_its_group_has", memory),
    ("opening_removes_the_groups_of_processes_that_are_gone", orphans),
];

/// Whether this machine lets this user make groups; CI must be one that does.
fn has_groups() -> bool {
    let has = !missing_walls().contains(&Wall::Cgroup);
    if !has {
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!is_ci, "CI must let control groups be made");
        eprintln!("SKIPPED: no control group can be made here");
    }
    has
}

/// The directories of this machine's trees in which this process's groups lie.
fn groups_of(process: u32) -> Vec<PathBuf> {
    let prefix = format!("potluck-{process}-");
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(entry.path());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    found
}

fn own_group() {
    if !has_groups() {
        return;
    }
    let kit = Kit::new();
    let program = kit.program(&command("", guests::BUSY));
    let me = std::process::id();
    block_on(async {
        let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
        let Run { stdin: _stdin, events, canceller } = kit.start(RunRequest { limits, ..request(program) }).await;
        let workers = children(me);
        let [worker] = workers[..] else { panic!("{workers:?}") };
        let groups = groups_of(me);
        assert!(!groups.is_empty());
        for group in &groups {
            let members = std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
            assert_eq!(members, format!("{worker}\n"), "{}", group.display());
        }
        let bound = |names: [&str; 2]| {
            let files = groups.iter().flat_map(|group| names.map(|name| group.join(name)));
            files.filter_map(|file| std::fs::read_to_string(file).ok()).next().unwrap().trim().parse::<u64>().unwrap()
        };
        assert_eq!(bound(["memory.max", "memory.limit_in_bytes"]), (64 << 20) + (1 << 30));
        assert!(bound(["pids.max", "pids.max"]) < 1000);
        canceller.cancel();
        collect(events).await;
        until("the group is gone", || groups.iter().all(|group| !group.exists())).await;
    });
}

fn memory() {
    if !has_groups() {
        return;
    }
    // Two gigabytes that are touched at once, where the guest may have 64 MiB and the worker one gigabyte beside it.
    let populate = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE);
    let access = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    let map = |bytes: i64| {
        // It counts for a while before, so that its worker gets to say that it runs.
        let count = "(local i64 i32) (loop (local.set 1 (i32.add (local.get 1) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get 1) (i32.const 50000000))))";
        escapes::guest("", &[[libc::SYS_mmap, 0, bytes, access, populate, -1, 0]]).replace("(local i64)", count)
    };
    let kit = escapes::kit();
    let limits = Limits { memory_bytes: 64 << 20, wall_ms: 60_000, ..Limits::default() };
    assert_eq!(kit.outcome(&map(256 << 20), limits.clone()), Outcome::Exited(0));
    match kit.outcome(&map(2 << 30), limits) {
        Outcome::Lost(why) => assert!(why.contains("killed"), "{why}"),
        outcome => panic!("{outcome}"),
    }
}

fn orphans() {
    if !has_groups() {
        return;
    }
    let kit = Kit::new();
    let program = kit.program(&command("", guests::BUSY));
    block_on(async {
        let run = kit.start(request(program)).await;
        let mine = groups_of(std::process::id());
        // No process has the greatest number a process can have, and one more.
        let left = mine[0].with_file_name("potluck-4194305-0");
        std::fs::create_dir(&left).unwrap();
        let other = tempfile::tempdir().unwrap();
        let _runtime = Runtime::open(config(other.path())).unwrap();
        assert!(!left.exists());
        assert!(mine.iter().all(|group| group.exists()));
        drop(run);
    });
}
