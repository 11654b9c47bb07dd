//! A job from submission to end inside one process, with a real worker process and no network, key or daemon.

use bytes::Bytes;
use potluck_node::client::{Client, ClientConfig, JobEvent, StdinMode, Submission, Target};
use potluck_node::config::Settings;
use potluck_node::paths::Paths;
use potluck_node::wire::Ended;
use potluck_runtime::{Limits, Outcome, WorkerCommand};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Copies stdin to stdout until its end.
const CAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (func (export "_start")
    (loop $more
      (i32.store (i32.const 0) (i32.const 4096))
      (i32.store (i32.const 4) (i32.const 131072))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.eqz (i32.load (i32.const 8))) (then return))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (loop $rest
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 8))))
        (i32.store (i32.const 4) (i32.sub (i32.load (i32.const 4)) (i32.load (i32.const 8))))
        (br_if $rest (i32.load (i32.const 4))))
      (br $more))))"#;
const SPIN: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))"#;

fn client(dir: &Path) -> Client {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/worker");
    let config = Settings::default().resolve().unwrap();
    Client::open(ClientConfig { paths: Paths::under(dir), config, worker: WorkerCommand { program, args: vec![] } })
}

async fn ended(job: &mut potluck_node::client::Job) -> (u64, Ended) {
    let mut output = 0;
    loop {
        let event = tokio::time::timeout(PATIENCE, job.events.next()).await.unwrap().unwrap().unwrap();
        match event {
            JobEvent::Output { bytes, .. } => output += bytes.len() as u64,
            JobEvent::Ended(ended) => return (output, ended),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_stdin_comes_back_as_stdout_and_no_key_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("cat.wasm");
    std::fs::write(&program, wat::parse_str(CAT).unwrap()).unwrap();
    let client = client(&dir.path().join("home"));
    let limits = Limits { output_bytes: 1 << 30, ..Limits::default() };
    let submission = Submission::new(&program).stdin(StdinMode::Piped).limits(limits);
    let mut job = client.submit(Target::Any, submission).await.unwrap();
    let mut stdin = job.stdin.take().unwrap();
    let feeding = tokio::spawn(async move {
        for _ in 0..256 {
            stdin.write(Bytes::from(vec![7; 1 << 18])).await.unwrap();
        }
    });
    let (output, ended) = ended(&mut job).await;
    feeding.await.unwrap();
    assert_eq!((output, ended.report.outcome), (64 << 20, Outcome::Exited(0)));
    assert!(!dir.path().join("home/data/identity.pem").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_as_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("spin.wasm");
    std::fs::write(&program, wat::parse_str(SPIN).unwrap()).unwrap();
    let client = client(&dir.path().join("home"));
    let mut job = client.submit(Target::Local, Submission::new(&program)).await.unwrap();
    loop {
        let event = tokio::time::timeout(PATIENCE, job.events.next()).await.unwrap().unwrap().unwrap();
        if matches!(event, JobEvent::Started) {
            break;
        }
    }
    job.canceller.cancel();
    assert_eq!(ended(&mut job).await.1.report.outcome, Outcome::Cancelled);
}
