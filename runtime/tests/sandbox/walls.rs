//! The second wall: what a worker cannot do, whatever has become of its guest.

use super::kit::{Kit, Test, block_on, both_forms, collect, config, request};
use potluck_runtime::{
    CompileLimits, Mount, Outcome, PrepareError, RunRequest, Runtime, RuntimeConfig, SilentWatch, Wall, missing_walls,
};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("a_worker_can_do_nothing_it_is_not_to_do", denials),
    ("a_folder_that_is_attached_can_be_read_and_its_worker_serves_nobody_else", mounts),
    ("a_module_that_costs_the_compiler_too_much_is_refused", compiler_bomb),
];

fn denials() {
    let missing = missing_walls();
    assert!(missing.iter().all(|wall| *wall == Wall::Cgroup), "this machine lacks what is tested here: {missing:?}");
    let kit = Kit::new();
    let proofs = block_on(kit.runtime.prove_walls()).unwrap();
    assert!(proofs.len() > 40);
    let through: Vec<_> = proofs.iter().filter(|proof| !proof.denied).collect();
    assert!(through.is_empty(), "{through:#?}");
}

fn mounts() {
    let kit = Kit::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("input"), "mine").unwrap();
    let [program, _] = both_forms("look");
    let args = ["--read", "/data/input"].map(str::to_owned).to_vec();
    let mounts = vec![Mount { host: folder.path().to_owned(), guest: "/data".to_owned() }];
    let ended = block_on(async {
        let run = kit.start(RunRequest { args, mounts, ..request(program) }).await;
        drop(run.stdin);
        collect(run.events).await
    });
    assert_eq!(ended.report.outcome, Outcome::Exited(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("read /data/input: mine"), "{}", ended.stdout);
    assert!(kit.left_behind().is_empty());
}

fn compiler_bomb() {
    // A million instructions, which are a few kilobytes on the way, and a gigabyte in the compiler.
    let body = "(local.set 0 (i32.add (local.get 0) (i32.const 1)))".repeat(250_000);
    let text = format!("(module (func (export \"_start\") (local i32) {body}))");
    let refused = |compile| {
        let home = tempfile::tempdir().unwrap();
        let runtime = Runtime::open(RuntimeConfig { compile, ..config(home.path()) }).unwrap();
        let kit = Kit { runtime, home };
        match block_on(kit.runtime.prepare(&kit.program(&text), &SilentWatch)) {
            Err(PrepareError::Compile { why, .. }) => why,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was compiled"),
        }
    };
    let small = CompileLimits { memory_bytes: 64 << 20, ..CompileLimits::default() };
    assert_eq!(refused(small), "compiling it takes more than 64 MiB of memory, which is the most allowed");
    let short = CompileLimits { time: Duration::from_millis(1), ..CompileLimits::default() };
    // The owner's own programs have six times as long.
    let refused = refused(short);
    assert!(refused.starts_with("compiling it takes more than 6ms, which is the most allowed"), "{refused}");
}
