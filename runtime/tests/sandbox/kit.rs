//! A runtime of its own for each test, in a temporary directory, and runs of tiny guests on it.

use bytes::Bytes;
use potluck_runtime::{
    CompileLimits, Limits, Outcome, OutputStream, Prepared, Program, Ready, Report, Run, RunEvent, RunRequest, Runtime,
    RuntimeConfig, SilentWatch, WorkerCommand,
};
use std::future::Future;
use std::path::{Path, PathBuf};

/// A test and its name.
pub(crate) type Test = (&'static str, fn());

pub(crate) struct Kit {
    pub(crate) runtime: Runtime,
    pub(crate) home: tempfile::TempDir,
}

pub(crate) struct Ended {
    pub(crate) report: Report,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

pub(crate) fn config(home: &Path) -> RuntimeConfig {
    RuntimeConfig {
        cache_dir: home.join("cache"),
        scratch_dir: home.join("scratch"),
        cache_bytes_max: 1 << 30,
        worker: WorkerCommand { program: std::env::current_exe().unwrap(), args: vec!["worker".into()] },
        ready: Ready::none(),
        compile: CompileLimits::default(),
    }
}

impl Kit {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { runtime: Runtime::open(config(home.path())).unwrap(), home }
    }

    pub(crate) fn program(&self, text: &str) -> Program {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
        self.program_of(&bytes)
    }

    pub(crate) fn program_of(&self, bytes: &[u8]) -> Program {
        let path = self.home.path().join(format!("{}.wasm", potluck_runtime::Digest::of(bytes).short()));
        std::fs::write(&path, bytes).unwrap();
        Program::Wasm { path, name: "guest.wasm".to_owned() }
    }

    pub(crate) async fn prepare(&self, program: &Program) -> Prepared {
        self.runtime.prepare(program, &SilentWatch).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn start(&self, request: RunRequest) -> Run {
        let prepared = self.prepare(&request.program).await;
        self.runtime.start(&prepared, request).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs a guest to its end with this on its stdin.
    pub(crate) async fn run(&self, request: RunRequest, stdin: &'static [u8]) -> Ended {
        let Run { stdin: mut pipe, events, canceller: _canceller } = self.start(request).await;
        let feed = async move {
            // A guest may end without reading.
            let _unread = pipe.write(Bytes::from_static(stdin)).await;
            pipe.close().await;
        };
        let (ended, ()) = tokio::join!(collect(events), feed);
        ended
    }

    pub(crate) fn outcome(&self, text: &str, limits: Limits) -> Outcome {
        let request = RunRequest { limits, ..request(self.program(text)) };
        block_on(self.run(request, b"")).report.outcome
    }

    /// What runs left in the scratch directory, lock files aside.
    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        let owners = std::fs::read_dir(self.home.path().join("scratch")).unwrap().flatten();
        let directories = |of: PathBuf| {
            // A worker's own goes with it, whenever that is.
            let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(|path| path.is_dir())
        };
        let is_worker = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("worker-");
        let (workers, runs): (Vec<PathBuf>, Vec<PathBuf>) =
            owners.map(|owner| owner.path()).filter(|path| path.is_dir()).flat_map(directories).partition(is_worker);
        workers.into_iter().flat_map(directories).chain(runs).collect()
    }
}

pub(crate) async fn collect(mut events: potluck_runtime::RunEvents) -> Ended {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match events.next().await {
            RunEvent::Output { stream: OutputStream::Stdout, bytes } => stdout.extend_from_slice(&bytes),
            RunEvent::Output { stream: OutputStream::Stderr, bytes } => stderr.extend_from_slice(&bytes),
            RunEvent::Said(_) | RunEvent::Checkpoint(_) => {}
            RunEvent::Ended { report, outputs: _removed } => {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return Ended { report, stdout: text(stdout), stderr: text(stderr) };
            }
        }
    }
}

pub(crate) fn request(program: Program) -> RunRequest {
    RunRequest { limits: Limits { wall_ms: 60_000, ..Limits::default() }, ..RunRequest::new(program) }
}

/// The guest of this name in its two forms: module and component.
pub(crate) fn both_forms(name: &str) -> [Program; 2] {
    let compiled = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests");
    let folder = std::env::var_os("POTLUCK_TEST_GUESTS").map_or(compiled, PathBuf::from);
    [format!("{name}.wasm"), format!("{name}-component.wasm")].map(|name| {
        let path = folder.join(&name);
        assert!(path.is_file(), "{} is not there; 'cargo xtask guests' makes it", path.display());
        Program::Wasm { path, name }
    })
}

/// Waits until something holds, at most half a minute.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
