//! What the benches share: a node in a process of its own, a client of it, and jobs that print one line. The program of a
//! bench that calls [`role`] first is that node and its workers too.

use potluck_node::Node;
use potluck_node::client::{Client, ClientConfig, JobEvent, Submission, Target};
use potluck_node::config::{PortChoice, Settings};
use potluck_node::node::running;
use potluck_node::paths::Paths;
use potluck_runtime::{BUILT_IN, Outcome, SilentWatch, WorkerCommand, worker_main};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};

/// How long the node may take to come up.
const UP_TIMEOUT: Duration = Duration::from_secs(30);

/// The life of this process, if it was started as a worker or a node.
#[must_use]
pub fn role() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worker", ..] => Some(worker_main()),
        ["node", home] => Some(serve(Path::new(home))),
        _ => None,
    }
}

/// The guest that `cargo xtask guests` compiles.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn hello() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests/hello.wasm");
    assert!(program.is_file(), "{} is missing: run `cargo xtask guests`", program.display());
    program
}

/// The script that prints the same.
#[must_use]
pub fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("jobs/hello.py")
}

/// Runs a program that prints a greeting, over the owner's socket, to its end.
///
/// # Panics
/// When it does not.
pub async fn over_socket(client: Client, program: PathBuf) {
    let mut job = client.submit(Target::Local, Submission::new(program)).await.expect("the job is taken");
    let mut said = Vec::new();
    loop {
        match job.events.next().await.expect("there is an end").expect("nothing fails") {
            JobEvent::Output { bytes, .. } => said.extend_from_slice(&bytes),
            JobEvent::Ended(ended) => {
                assert_eq!((ended.report.outcome, said.as_slice()), (Outcome::Exited(0), &b"hello\n"[..]));
                return;
            }
            _ => {}
        }
    }
}

/// A client of the node at this home; the cache with Python in it is the one `cargo xtask env` names.
///
/// # Panics
/// When this program is gone.
#[must_use]
pub fn client(home: &Path) -> Client {
    let program = std::env::current_exe().expect("the system knows this program");
    let worker = WorkerCommand { program, args: vec!["worker".into()] };
    let mut config = Settings::default().resolve().expect("the defaults are usable");
    config.port = PortChoice::Exactly(0);
    config.discovery = None;
    let mut paths = Paths::under(home);
    if let Some(cache) = std::env::var_os("POTLUCK_TEST_HOME") {
        paths.cache_dir = cache.into();
    }
    Client::open(ClientConfig { paths, config, worker })
}

/// The life of the process that is the node; it ends with its stdin.
fn serve(home: &Path) -> ExitCode {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    tokio.block_on(async {
        let client = client(home);
        client.paths().create().expect("directories can be made");
        let jobs = Arc::new(client.job_service().expect("the service can be set up"));
        let node = Node::start(client.paths(), client.config().clone(), jobs).await.expect("the node starts");
        let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        ended.await.expect("reading does not panic").expect("stdin can be read");
        node.shutdown().await;
    });
    ExitCode::SUCCESS
}

/// A node in a process of its own; it ends when this is dropped.
pub struct NodeProcess(Child);

impl NodeProcess {
    /// Starts it and waits until it is up.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(home: &Path) -> Self {
        let program = std::env::current_exe().expect("the system knows this program");
        let started = Command::new(program).arg("node").arg(home).stdin(Stdio::piped()).spawn();
        let node = Self(started.expect("this program can be started again"));
        let start = Instant::now();
        while running(&Paths::under(home)).is_none() {
            assert!(start.elapsed() < UP_TIMEOUT, "the node does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        node
    }
}

impl NodeProcess {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has nothing to say any more.
        let _ended = self.0.wait();
    }
}

/// Whether there is Python, compiled now if it is not yet, with the image that the script starts from.
///
/// # Panics
/// When the sandbox cannot be set up.
#[must_use]
pub fn has_python(tokio: &Runtime, client: &Client) -> bool {
    let runtime = client.runtime().expect("the sandbox can be set up");
    let recipe = BUILT_IN[0].recipe();
    tokio.block_on(runtime.make_image("python", &recipe, &SilentWatch)).is_ok()
}

/// Runs so many jobs, with some of them in flight at any time.
///
/// # Panics
/// When one of them does.
pub async fn burst<F: Future<Output = ()> + 'static>(count: u64, in_flight: usize, run: impl Fn() -> F) {
    LocalSet::new().run_until(keep_in_flight(count, in_flight, run)).await;
}

async fn keep_in_flight<F: Future<Output = ()> + 'static>(count: u64, in_flight: usize, run: impl Fn() -> F) {
    let mut jobs = JoinSet::new();
    for number in 0..count {
        if number >= in_flight as u64 {
            jobs.join_next().await.expect("some are in flight").expect("no job panics");
        }
        jobs.spawn_local(run());
    }
    while let Some(ended) = jobs.join_next().await {
        ended.expect("no job panics");
    }
}
