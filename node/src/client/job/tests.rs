//! A node that runs a job and means harm to whoever submitted it: what it sends lands in the directory that was named, or
//! nowhere, and is no more than the job can have made.

use super::*;
use crate::client::packing::Packed;
use crate::paths::Paths;
use crate::wire::{Fault, FaultCode, JobProgram, SubmitJob, encode};
use potluck_runtime::{Limits, Outcome, Report};
use serde::Serialize;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

const LIMITS: Limits = Limits { disk_bytes: 1000, output_bytes: 100, ..Limits::DEFAULT };

/// As [`OutputFile`], with whatever a peer writes for a path.
#[derive(Serialize)]
struct AnyFile<'a> {
    path: &'a str,
    digest: Digest,
    size: u64,
    executable: bool,
}

fn submission() -> SubmitJob {
    SubmitJob {
        job: JobId([1; 16]),
        program: JobProgram::Wasm { digest: Digest::of(b"p"), size: 1, name: "p.wasm".into() },
        args: vec![],
        env: vec![],
        files: vec![],
        directories: vec![],
        mounts: vec![],
        limits: LIMITS,
        stdin: false,
        outputs: true,
        events: false,
        requires: vec![],
        packages: vec![],
    }
}

/// Has a job hear these frames, and answers what it was told and how it ended.
async fn hear(out: &Path, frames: Vec<Frame>) -> (Vec<JobEvent>, Option<SubmitError>) {
    let (near, mut far) = FrameStream::pair();
    let packed = Packed { job: submission(), sources: HashMap::new(), left_out: Default::default() };
    let door = Door::Daemon(Paths::under(&out.join("home")));
    let mut job = Job::new(near, packed, Some(out.join("out")), "mallory".into(), (door, Carrier::Daemon), None);
    let telling = tokio::spawn(async move {
        for frame in frames {
            if far.writer.send(frame).await.is_err() {
                return;
            }
        }
        drop(far);
    });
    let (mut events, mut failed) = (Vec::new(), None);
    while let Some(event) = job.events.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => failed = Some(error),
        }
    }
    drop(job);
    telling.await.unwrap();
    (events, failed)
}

fn file(path: &str, content: &[u8], size: u64) -> [Frame; 2] {
    let head = AnyFile { path, digest: Digest::of(content), size, executable: false };
    [
        Frame { tag: Tag::OUTPUT_FILE, payload: encode(&head) },
        Frame { tag: Tag::DATA, payload: Bytes::copy_from_slice(content) },
    ]
}

fn ended() -> Frame {
    let report = Report { outcome: Outcome::Exited(0), fuel_used: 0, wall_ms: 0, memory_peak_bytes: 0 };
    Frame::message(Tag::ENDED, &Ended { report, left_behind: vec![], result: None, receipt: None })
}

/// These frames are refused for this reason, and nothing of them is left in or beside the directory.
#[track_caller]
fn refused(frames: Vec<Frame>, why: &str) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_, failed) = runtime.block_on(hear(dir.path(), frames));
    let failed = failed.expect("it was believed");
    let mut said = failed.to_string();
    let mut cause = std::error::Error::source(&failed);
    while let Some(error) = cause {
        said.push_str(&format!(": {error}"));
        cause = error.source();
    }
    assert!(said.contains(why), "{said}");
    let beside: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(beside.iter().all(|name| name == "out"), "{beside:?}");
    for entry in fs::read_dir(dir.path().join("out")).into_iter().flatten().flatten() {
        assert_eq!(entry.file_name(), "good", "something of what was refused is left");
    }
}

#[test]
fn paths_that_lead_out_of_the_directory_are_refused() {
    for path in ["../x", "../../x", "a/../../x", "/tmp/x", "//x", ".", "..", "", "a//b", "a/./b", "a\\..\\b"] {
        refused(file(path, b"evil", 4).to_vec(), "file name");
    }
}

#[test]
fn names_that_would_steer_a_terminal_are_refused_without_being_repeated() {
    for path in ["\u{1b}[2Jx", "a\nb", "a\0b", "\u{9b}31m"] {
        let frames = file(path, b"evil", 4).to_vec();
        refused(frames, "control character");
    }
}

#[test]
fn names_too_long_for_a_path_are_refused() {
    refused(file(&"n".repeat(300), b"evil", 4).to_vec(), "255 bytes");
    refused(file(&"d/".repeat(100), b"evil", 4).to_vec(), "empty component");
    refused(file(&format!("{}x", "d/".repeat(100)), b"evil", 4).to_vec(), "nested deeper");
    refused(file(&"n/".repeat(1000), b"evil", 4).to_vec(), "1024 bytes");
}

#[test]
fn bytes_that_were_not_announced_are_refused() {
    refused(file("x", b"more than was told", 4).to_vec(), "more bytes arrived");
    let [head, _] = file("x", b"good", 4);
    let other = Frame { tag: Tag::DATA, payload: Bytes::from_static(b"evil") };
    refused(vec![head.clone(), other], "other bytes arrived");
    refused(vec![head, ended()], "ENDED frame arrived where DATA was due");
}

#[test]
fn a_file_longer_than_the_job_can_have_made_is_refused_before_it_comes() {
    refused(file("x", b"evil", 1001).to_vec(), "1000 bytes more are allowed");
    refused(file("x", b"evil", u64::MAX).to_vec(), "1000 bytes more are allowed");
}

#[test]
fn files_without_end_are_refused_at_what_the_job_can_have_made() {
    let content = [7; 300];
    let frames = (0..100).flat_map(|n| file(&format!("good/{n}"), &content, 300)).collect();
    refused(frames, "100 bytes more are allowed");
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let frames = [file("good", b"one", 3), file("good", b"two", 3)].concat();
    refused(frames, "sent before");
    let frames = [file("good", b"one", 3), file("good/x", b"two", 3)].concat();
    refused(frames, "no directory");
}

#[test]
fn more_output_than_the_job_may_print_is_refused() {
    let piece = |tag| Frame { tag, payload: Bytes::from(vec![b'x'; 40]) };
    refused(vec![piece(Tag::STDOUT), piece(Tag::STDERR), piece(Tag::STDOUT), ended()], "100 bytes of output");
}

#[test]
fn frames_that_are_no_part_of_a_job_are_refused() {
    refused(vec![Frame::empty(Tag::DONE)], "DONE frame arrived");
    refused(vec![Frame { tag: Tag::DATA, payload: Bytes::from_static(b"x") }], "DATA frame arrived");
    refused(vec![Frame { tag: Tag::ENDED, payload: Bytes::from_static(b"\xc1") }], "cannot be understood");
    refused(vec![Frame::message(Tag::FAULT, &Fault::new(FaultCode::BUSY, "no".to_owned()))], "mallory");
    refused(vec![], "mallory");
}

#[tokio::test]
async fn what_is_in_order_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let output = Frame { tag: Tag::STDOUT, payload: Bytes::from(vec![b'x'; 100]) };
    let frames = [&[output][..], &file("a/b", b"good", 4), &file("c", b"", 0)[..1], &[ended()]].concat();
    let (events, failed) = hear(dir.path(), frames).await;
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(fs::read(dir.path().join("out/a/b")).unwrap(), b"good");
}

#[tokio::test]
async fn a_kind_of_event_that_is_not_known_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let later = Frame { tag: Tag::GUEST_SAYS, payload: encode(&HashMap::from([("later", 1)])) };
    let (events, failed) = hear(dir.path(), vec![later, ended()]).await;
    assert!(failed.is_none() && matches!(events.as_slice(), [JobEvent::Ended(_)]), "{events:?} {failed:?}");
}
