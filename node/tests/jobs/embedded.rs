//! A job inside one process: no network, no key, no daemon.

use crate::lab::{CAT, Machine, PATIENCE, SPIN, ended, feed, until_started, wait_until};
use potluck_node::client::{FailureKind, Job, StdinMode, Submission, SubmitError, Target};
use potluck_runtime::{Limits, Outcome};

#[tokio::test(flavor = "multi_thread")]
async fn a_large_stdin_comes_back_as_stdout_and_no_key_is_made() {
    let desk = Machine::new("desk");
    let program = desk.program("cat.wasm", CAT);
    let limits = Limits { output_bytes: 1 << 30, ..Limits::default() };
    let submission = Submission::new(&program).stdin(StdinMode::Piped).limits(limits);
    let mut job = desk.client.submit(Target::Any, submission).await.unwrap();
    let feeding = feed(job.stdin.take().unwrap(), 256);
    let end = ended(&mut job).await;
    assert_eq!(feeding.await.unwrap(), 256);
    assert_eq!((end.stdout.len(), end.outcome()), (64 << 20, Outcome::Exited(0)));
    assert!(!desk.dir.path().join("home/data/identity.pem").exists());
    desk.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_as_cancelled() {
    let desk = Machine::new("desk");
    let program = desk.program("spin.wasm", SPIN);
    let mut job = desk.client.submit(Target::Local, Submission::new(&program)).await.unwrap();
    until_started(&mut job).await;
    job.canceller.cancel();
    assert_eq!(ended(&mut job).await.outcome(), Outcome::Cancelled);
    desk.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_let_go_leaves_nothing() {
    let desk = Machine::new("desk");
    let program = desk.program("spin.wasm", SPIN);
    let mut job = desk.client.submit(Target::Local, Submission::new(&program)).await.unwrap();
    until_started(&mut job).await;
    assert_eq!(desk.workers(), 1);
    drop(job);
    desk.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_done_leaves_no_scratch_directory() {
    let desk = Machine::new("desk");
    let program = desk.program("cat.wasm", CAT);
    let mut job = desk.client.submit(Target::Local, Submission::new(&program)).await.unwrap();
    ended(&mut job).await;
    drop(job);
    let Machine { client, dir, .. } = desk;
    drop(client);
    let scratch = dir.path().join("home/data/scratch");
    let owners = || std::fs::read_dir(&scratch).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    wait_until(async || owners() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_nobody_knows_makes_the_program_one_that_cannot_run() {
    let desk = Machine::new("desk");
    let script = desk.dir.path().join("hello.cob");
    std::fs::write(&script, "DISPLAY 'HELLO'.").unwrap();
    let submission = Submission::new(&script).environment("cobol");
    let error = desk.client.submit(Target::Local, submission).await.err().unwrap();
    assert_eq!(error.kind(), FailureKind::BadProgram);
    assert!(error.to_string().contains("python"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_run_is_called_by_its_name() {
    let desk = Machine::new("desk");
    let program = desk.dir.path().join("poem.wasm");
    std::fs::write(&program, "roses are red").unwrap();
    let mut job = desk.client.submit(Target::Local, Submission::new(&program)).await.unwrap();
    let error = failure(&mut job).await;
    assert_eq!(error.kind(), FailureKind::BadProgram);
    let text = error.to_string();
    assert!(text.contains("\"poem.wasm\"") && !text.contains('/'), "{text}");
}

async fn failure(job: &mut Job) -> SubmitError {
    loop {
        let event = tokio::time::timeout(PATIENCE, job.events.next()).await.unwrap().unwrap();
        if let Err(error) = event {
            return error;
        }
    }
}
