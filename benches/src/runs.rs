//! One run inside this machine, without the command line around it: finding compiled code in the cache, and starting a
//! worker on it. This program is its own worker, as `potluck` is.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;

use criterion::Criterion;
use potluck_runtime::{
    Outcome, Program, Ready, RunEvent, RunRequest, Runtime, RuntimeConfig, SilentWatch, WorkerCommand, worker_main,
};
use tempfile::TempDir;

const CACHE_BYTES_MAX: u64 = 1 << 30;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return worker_main();
    }
    let mut criterion = Criterion::default().configure_from_args();
    runs(&mut criterion);
    criterion.final_summary();
    ExitCode::SUCCESS
}

/// The guest that `cargo xtask guests` compiles for measurements.
fn program() -> Program {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests/hello.wasm");
    assert!(path.is_file(), "{} is missing: run `cargo xtask guests`", path.display());
    Program::Wasm { path, name: "hello.wasm".to_owned() }
}

fn open(directory: &TempDir) -> Runtime {
    let program = std::env::current_exe().expect("the system knows this program");
    let worker = WorkerCommand { program, args: vec!["worker".into()] };
    let (cache_dir, scratch_dir) = (directory.path().join("cache"), directory.path().join("scratch"));
    let config =
        RuntimeConfig { cache_dir, scratch_dir, cache_bytes_max: CACHE_BYTES_MAX, worker, ready: Ready::none() };
    Runtime::open(config).expect("a temporary directory can be used")
}

fn runs(criterion: &mut Criterion) {
    let directory = TempDir::new().expect("there is a temporary directory");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    let runtime = open(&directory);
    let program = program();
    let mut group = criterion.benchmark_group("runs");
    group.bench_function("find a module's code in the cache", |bencher| {
        bencher.iter(|| tokio.block_on(runtime.prepare(black_box(&program), &SilentWatch)).expect("hello compiles"));
    });
    group.sample_size(30).bench_function("hello.wasm from start to outcome", |bencher| {
        bencher.iter(|| assert_eq!(tokio.block_on(run(&runtime, &program)), Outcome::Exited(0)));
    });
    group.finish();
}

/// Runs the program and reads all it says.
async fn run(runtime: &Runtime, program: &Program) -> Outcome {
    let prepared = runtime.prepare(program, &SilentWatch).await.expect("hello compiles");
    let request = RunRequest::new(program.clone());
    let mut run = runtime.start(&prepared, request).await.expect("a worker starts");
    loop {
        if let RunEvent::Ended { report, .. } = run.events.next().await {
            return report.outcome;
        }
    }
}
