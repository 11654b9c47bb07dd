//! Bytes through a job on this machine, stdin to stdout, from one end of the client to the other. Says how many arrive a
//! second and what the submitting process held in memory meanwhile. This program is its own worker, as `potluck` is.

use bytes::Bytes;
use potluck_node::client::{Client, ClientConfig, JobEvent, StdinMode, Submission, Target};
use potluck_node::config::Settings;
use potluck_node::paths::Paths;
use potluck_runtime::{Limits, Outcome, WorkerCommand, worker_main};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tempfile::TempDir;

const PIECE_LEN: usize = 256 << 10;
const PIECES: u64 = 4096;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return worker_main();
    }
    let directory = TempDir::new().expect("there is a temporary directory");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    let client = client(&directory);
    tokio.block_on(through(&client, 1));
    let before = memory_peak();
    let start = Instant::now();
    tokio.block_on(through(&client, PIECES));
    let (seconds, mib) = (start.elapsed().as_secs_f64(), (PIECES * PIECE_LEN as u64) >> 20);
    println!("{mib} MiB through stdin and stdout: {:.0} MiB/s", mib as f64 / seconds);
    println!("peak memory before: {before}, after: {}", memory_peak());
    ExitCode::SUCCESS
}

fn client(directory: &TempDir) -> Client {
    let program = std::env::current_exe().expect("the system knows this program");
    let worker = WorkerCommand { program, args: vec!["worker".into()] };
    let config = Settings::default().resolve().expect("the defaults are usable");
    Client::open(ClientConfig { paths: Paths::under(directory.path()), config, worker })
}

/// Runs the guest that copies its stdin, and counts what comes back.
async fn through(client: &Client, pieces: u64) {
    // The guest that `cargo xtask guests` compiles.
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests/cat.wasm");
    assert!(Path::new(&program).is_file(), "{} is missing: run `cargo xtask guests`", program.display());
    let limits = Limits { output_bytes: u64::MAX, ..Limits::default() };
    let submission = Submission::new(program).stdin(StdinMode::Piped).limits(limits);
    let mut job = client.submit(Target::Local, submission).await.expect("the job is taken");
    let mut stdin = job.stdin.take().expect("a stdin was asked for");
    let feeding = tokio::spawn(async move {
        for _ in 0..pieces {
            stdin.write(Bytes::from(vec![7; PIECE_LEN])).await.expect("the guest reads all of it");
        }
    });
    let mut arrived = 0;
    let outcome = loop {
        match job.events.next().await.expect("there is an end").expect("nothing fails") {
            JobEvent::Output { bytes, .. } => arrived += bytes.len() as u64,
            JobEvent::Ended(ended) => break ended.report.outcome,
            _ => {}
        }
    };
    feeding.await.expect("feeding does not panic");
    assert_eq!((arrived, outcome), (pieces * PIECE_LEN as u64, Outcome::Exited(0)));
}

/// The most memory this process has held, as the system prints it.
fn memory_peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
