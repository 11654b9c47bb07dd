//! Runs inside this machine, without the command line and the node around them: finding compiled code in the cache, a run in
//! a worker of its own, and one in a worker that waits. Scripts start from the interpreter's first memory and from images;
//! they take part where `POTLUCK_TEST_HOME` names a cache with Python in it. This program is its own worker, as `potluck` is.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;
use potluck_benches::{hello, role, script};
use potluck_runtime::{
    BuiltIn, CompileLimits, GuestPath, ImageChoice, InputFile, Outcome, Prepared, Program, Ready, RunEvent, RunRequest,
    Runtime, RuntimeConfig, SilentWatch, WorkerCommand,
};
use tempfile::TempDir;

const CACHE_BYTES_MAX: u64 = 8 << 30;
/// One worker waits for the next run.
const ONE_WAITS: Ready = Ready { spares_max: 0, kept_max: 1, idle: Duration::from_secs(60) };
/// The images scripts start from; the empty name is the interpreter's first memory.
const IMAGES: [&str; 4] = ["", "interpreter", "numpy", "data"];

fn main() -> ExitCode {
    if let Some(code) = role() {
        return code;
    }
    let directory = TempDir::new().expect("there is a temporary directory");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    let mut criterion = Criterion::default().configure_from_args();
    for (workers, ready) in [("a worker of its own", Ready::none()), ("a worker that waits", ONE_WAITS)] {
        let runtime = open(&directory, ready);
        let mut group = criterion.benchmark_group(workers);
        group.sample_size(30);
        for (name, request) in requests(&runtime, &tokio) {
            let prepared = tokio.block_on(prepare(&runtime, &request));
            group.bench_function(name, |bencher| {
                bencher.iter(|| tokio.block_on(run(&runtime, &prepared, request.clone())));
            });
        }
        group.finish();
        tokio.block_on(async { runtime.stand_down() });
    }
    let (runtime, request) = (open(&directory, Ready::none()), RunRequest::new(module()));
    criterion.bench_function("find a module's code in the cache", |bencher| {
        bencher.iter(|| tokio.block_on(prepare(&runtime, black_box(&request))));
    });
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn open(directory: &TempDir, ready: Ready) -> Runtime {
    let program = std::env::current_exe().expect("the system knows this program");
    let worker = WorkerCommand { program, args: vec!["worker".into()] };
    let cache_dir = std::env::var_os("POTLUCK_TEST_HOME").map_or_else(|| directory.path().join("cache"), PathBuf::from);
    let scratch_dir = directory.path().join("scratch");
    let compile = CompileLimits::default();
    let config = RuntimeConfig { cache_dir, scratch_dir, cache_bytes_max: CACHE_BYTES_MAX, worker, ready, compile };
    Runtime::open(config).expect("a temporary directory can be used")
}

fn module() -> Program {
    Program::Wasm { path: hello(), name: "hello.wasm".to_owned() }
}

/// What is run, with names.
fn requests(runtime: &Runtime, tokio: &tokio::runtime::Runtime) -> Vec<(String, RunRequest)> {
    let mut requests = vec![("hello.wasm".to_owned(), RunRequest::new(module()))];
    let entry = GuestPath::parse("hello.py").expect("it is one");
    for image in IMAGES {
        let built_in = BuiltIn::named(image);
        let choice = built_in.map_or(ImageChoice::None, |image| ImageChoice::Recipe(image.recipe()));
        let program = Program::Script { environment: "python".to_owned(), entry: entry.clone(), image: choice };
        if tokio.block_on(runtime.prepare(&program, &SilentWatch)).is_err() {
            eprintln!("skipped: there is no Python; `eval \"$(cargo xtask env)\"` names a cache with it");
            break;
        }
        let input = InputFile { guest: entry.clone(), source: script(), executable: false };
        let request = RunRequest { inputs: vec![input], ..RunRequest::new(program) };
        let name = if image.is_empty() { "hello.py".to_owned() } else { format!("hello.py from {image}") };
        requests.push((name, request));
    }
    requests
}

async fn prepare(runtime: &Runtime, request: &RunRequest) -> Prepared {
    runtime.prepare(&request.program, &SilentWatch).await.expect("it can be compiled")
}

/// Runs the program and reads all it says.
async fn run(runtime: &Runtime, prepared: &Prepared, request: RunRequest) {
    let mut run = runtime.start(prepared, request).await.expect("a worker starts");
    let mut said = Vec::new();
    loop {
        match run.events.next().await {
            RunEvent::Output { bytes, .. } => said.extend_from_slice(&bytes),
            RunEvent::Said(_) | RunEvent::Checkpoint(_) => {}
            RunEvent::Ended { report, .. } => {
                assert_eq!((report.outcome, said.as_slice()), (Outcome::Exited(0), &b"hello\n"[..]));
                return;
            }
        }
    }
}
