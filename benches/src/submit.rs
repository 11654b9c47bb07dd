//! What it costs to submit a job that prints one line: from the submission to its end over a connection that stands, from
//! the submission to its end over the owner's socket, and how many a second one client gets from one node with several in
//! flight. The node runs in a process of its own; this program is the node and its workers too. Scripts take part where
//! `POTLUCK_TEST_HOME` names a cache with Python in it, as `cargo xtask env` sets it.

use criterion::{BatchSize, Criterion, Throughput};
use potluck_node::Node;
use potluck_node::client::{Client, ClientConfig, JobEvent, Submission, Target};
use potluck_node::config::{PortChoice, Settings};
use potluck_node::net::dial;
use potluck_node::net::link::Link;
use potluck_node::node::running;
use potluck_node::paths::Paths;
use potluck_node::trust::book::BookStore;
use potluck_node::wire::{BlobHead, Ended, JobId, JobProgram, Need, SubmitJob, Tag};
use potluck_runtime::{BUILT_IN, Digest, Limits, Outcome, SilentWatch, WorkerCommand, worker_main};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};

/// Jobs of one burst.
const BURST: u64 = 400;
/// How long the node may take to come up.
const UP_TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worker"] => return worker_main(),
        ["node", home] => return serve(Path::new(home)),
        _ => {}
    }
    let directory = TempDir::new().expect("there is a temporary directory");
    let _node = NodeProcess::start(directory.path());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the system has room");
    let client = client(directory.path());
    let (_endpoint, link) = tokio.block_on(connect(&client));
    let mut criterion = Criterion::default().configure_from_args();
    round_trips(&mut criterion, &tokio, &client, &link);
    bursts(&mut criterion, &tokio, &client, &link);
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn round_trips(criterion: &mut Criterion, tokio: &Runtime, client: &Client, link: &Link) {
    let mut group = criterion.benchmark_group("submit_round_trip");
    group.bench_function("quic", |bencher| {
        bencher.iter_batched(job, |job| tokio.block_on(over_link(link.clone(), job)), BatchSize::PerIteration);
    });
    group.bench_function("socket", |bencher| bencher.iter(|| tokio.block_on(over_socket(client.clone(), hello()))));
    if has_python(tokio, client) {
        group.bench_function("socket_script", |bencher| {
            bencher.iter(|| tokio.block_on(over_socket(client.clone(), script())));
        });
    }
    group.finish();
}

/// Whether there is Python, with the image that the script starts from.
fn has_python(tokio: &Runtime, client: &Client) -> bool {
    let runtime = client.runtime().expect("the sandbox can be set up");
    let recipe = BUILT_IN[0].recipe();
    runtime.environment_compiled("python")
        && tokio.block_on(runtime.make_image("python", &recipe, &SilentWatch)).is_ok()
}

fn bursts(criterion: &mut Criterion, tokio: &Runtime, client: &Client, link: &Link) {
    let mut group = criterion.benchmark_group("jobs_per_second");
    group.throughput(Throughput::Elements(BURST)).sample_size(20);
    for in_flight in [1, 2, 4, 8] {
        group.bench_function(format!("quic_{in_flight}_in_flight"), |bencher| {
            bencher.iter(|| tokio.block_on(burst(in_flight, || over_link(link.clone(), job()))));
        });
        group.bench_function(format!("socket_{in_flight}_in_flight"), |bencher| {
            bencher.iter(|| tokio.block_on(burst(in_flight, || over_socket(client.clone(), hello()))));
        });
        if has_python(tokio, client) {
            group.bench_function(format!("socket_script_{in_flight}_in_flight"), |bencher| {
                bencher.iter(|| tokio.block_on(burst(in_flight, || over_socket(client.clone(), script()))));
            });
        }
    }
    group.finish();
}

async fn burst<F: Future<Output = ()> + 'static>(in_flight: usize, run: impl Fn() -> F) {
    LocalSet::new().run_until(keep_in_flight(in_flight, run)).await;
}

async fn keep_in_flight<F: Future<Output = ()> + 'static>(in_flight: usize, run: impl Fn() -> F) {
    let mut jobs = JoinSet::new();
    for number in 0..BURST {
        if number >= in_flight as u64 {
            jobs.join_next().await.expect("some are in flight").expect("no job panics");
        }
        jobs.spawn_local(run());
    }
    while let Some(ended) = jobs.join_next().await {
        ended.expect("no job panics");
    }
}

fn hello() -> PathBuf {
    // The guest that `cargo xtask guests` compiles.
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests/hello.wasm");
    assert!(program.is_file(), "{} is missing: run `cargo xtask guests`", program.display());
    program
}

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("jobs/hello.py")
}

fn job() -> SubmitJob {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static PROGRAM: std::sync::OnceLock<(Digest, u64)> = std::sync::OnceLock::new();
    let (digest, size) = *PROGRAM.get_or_init(|| {
        let bytes = std::fs::read(hello()).expect("the guest can be read");
        (Digest::of(&bytes), bytes.len() as u64)
    });
    let mut id = [0; 16];
    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    SubmitJob {
        job: JobId(id),
        program: JobProgram::Wasm { digest, size, name: "hello.wasm".into() },
        args: Vec::new(),
        env: Vec::new(),
        files: Vec::new(),
        directories: Vec::new(),
        mounts: Vec::new(),
        limits: Limits::default(),
        stdin: false,
        outputs: false,
        requires: Vec::new(),
    }
}

async fn over_link(link: Link, job: SubmitJob) {
    let mut stream = link.open_stream().await.expect("the link stands");
    stream.writer.send_message(Tag::SUBMIT, &job).await.expect("the node listens");
    let mut said = Vec::new();
    loop {
        let frame = stream.reader.expect_any().await.expect("the node answers");
        match frame.tag {
            Tag::NEED => {
                let need: Need = frame.decode().expect("a list of blobs");
                for digest in need.digests {
                    let bytes = std::fs::read(hello()).expect("the guest can be read");
                    let head = BlobHead { digest, size: bytes.len() as u64 };
                    stream.writer.send_message(Tag::BLOB, &head).await.expect("the node listens");
                    stream.writer.send_bytes(Tag::DATA, bytes.into()).await.expect("the node listens");
                }
                stream.writer.send_empty(Tag::BLOBS_END).await.expect("the node listens");
            }
            Tag::STDOUT => said.extend_from_slice(&frame.payload),
            Tag::ENDED => {
                let ended: Ended = frame.decode().expect("an end");
                assert_eq!((ended.report.outcome, said.as_slice()), (Outcome::Exited(0), &b"hello\n"[..]));
                return;
            }
            _ => {}
        }
    }
}

async fn over_socket(client: Client, program: PathBuf) {
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

fn client(home: &Path) -> Client {
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

/// A connection of the owner's to the node over loopback.
async fn connect(client: &Client) -> (potluck_node::net::quic::QuicEndpoint, Link) {
    let identity = client.identity().expect("the node has made one");
    let book = BookStore::in_dir(&client.paths().data_dir).read().expect("the book can be read");
    let port = running(client.paths()).expect("the node runs").port;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    dial(&identity, &book, identity.id(), &[address]).await.expect("the node can be reached")
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

struct NodeProcess(Child);

impl NodeProcess {
    fn start(home: &Path) -> Self {
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

impl Drop for NodeProcess {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has nothing to say any more.
        let _ended = self.0.wait();
    }
}
