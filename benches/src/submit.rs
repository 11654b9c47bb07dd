//! What it costs to submit a job that prints one line: from the submission to its end over a connection that stands, from
//! the submission to its end over the owner's socket, and how many a second one client gets from one node with several in
//! flight. The node runs in a process of its own; this program is the node and its workers too. Scripts take part where
//! `POTLUCK_TEST_HOME` names a cache with Python in it, as `cargo xtask env` sets it.

use criterion::{BatchSize, Criterion, Throughput};
use potluck_benches::{NodeProcess, burst, client, has_python, hello, over_socket, role, script};
use potluck_node::client::Client;
use potluck_node::net::dial;
use potluck_node::net::link::Link;
use potluck_node::node::running;
use potluck_node::trust::book::BookStore;
use potluck_node::wire::{BlobHead, Ended, JobId, JobProgram, Need, SubmitJob, Tag};
use potluck_runtime::{Digest, Limits, Outcome};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Jobs of one burst.
const BURST: u64 = 400;

fn main() -> ExitCode {
    if let Some(code) = role() {
        return code;
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

fn bursts(criterion: &mut Criterion, tokio: &Runtime, client: &Client, link: &Link) {
    let mut group = criterion.benchmark_group("jobs_per_second");
    group.throughput(Throughput::Elements(BURST)).sample_size(20);
    for in_flight in [1, 2, 4, 8] {
        group.bench_function(format!("quic_{in_flight}_in_flight"), |bencher| {
            bencher.iter(|| tokio.block_on(burst(BURST, in_flight, || over_link(link.clone(), job()))));
        });
        group.bench_function(format!("socket_{in_flight}_in_flight"), |bencher| {
            bencher.iter(|| tokio.block_on(burst(BURST, in_flight, || over_socket(client.clone(), hello()))));
        });
        if has_python(tokio, client) {
            group.bench_function(format!("socket_script_{in_flight}_in_flight"), |bencher| {
                bencher.iter(|| tokio.block_on(burst(BURST, in_flight, || over_socket(client.clone(), script()))));
            });
        }
    }
    group.finish();
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
        packages: vec![],
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

/// A connection of the owner's to the node over loopback.
async fn connect(client: &Client) -> (potluck_node::net::quic::QuicEndpoint, Link) {
    let identity = client.identity().expect("the node has made one");
    let book = BookStore::in_dir(&client.paths().data_dir).read().expect("the book can be read");
    let port = running(client.paths()).expect("the node runs").port;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    dial(&identity, &book, identity.id(), &[address]).await.expect("the node can be reached")
}
