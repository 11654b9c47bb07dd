//! Inputs that are not what was promised, do not end, or do not come; output that nobody reads.

use super::scene::{attacked, attacked_in, job};
use potluck_node::wire::{
    BlobHead, FEATURE_PACKAGES, Fault, FaultCode, JobFile, JobPackage, JobProgram, SubmitJob, Tag, encode,
};
use potluck_runtime::{Digest, GuestPath, ImageChoice};
use potluck_tests::{Line, Stream, guest, until};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A job whose blobs are asked for.
async fn asked_for(line: &Line, job: &SubmitJob) -> Stream {
    let mut stream = line.stream().await.unwrap();
    stream.tell(Tag::SUBMIT, job).await.unwrap();
    stream.until(Tag::NEED).await;
    stream
}

/// What comes of a program of `promised` bytes when these frames are sent.
async fn sent(line: &Line, promised: &[u8], frames: &[(Tag, &[u8])]) -> Fault {
    let mut stream = asked_for(line, &job(1, promised)).await;
    for (tag, payload) in frames {
        // The refusal may come before all was said.
        let _ = stream.say(*tag, payload).await;
    }
    stream.fault().await
}

fn head(content: &[u8], size: u64) -> Vec<u8> {
    encode(&BlobHead { digest: Digest::of(content), size }).to_vec()
}

#[test]
fn bytes_that_are_not_the_digests_are_no_input() {
    attacked(async |eve| {
        let line = eve.line().await;
        let fault = sent(&line, b"soup", &[(Tag::BLOB, &head(b"soup", 4)), (Tag::DATA, b"soap")]).await;
        assert!(fault.code == FaultCode::BAD_INPUT && fault.text.contains("other bytes"), "{fault}");
    });
}

#[test]
fn a_blob_that_is_longer_or_shorter_than_promised_is_refused() {
    attacked(async |eve| {
        let line = eve.line().await;
        let head = head(b"soup", 4);
        let fault = sent(&line, b"soup", &[(Tag::BLOB, &head), (Tag::DATA, b"soup and more")]).await;
        assert!(fault.code == FaultCode::BAD_INPUT && fault.text.contains("4 bytes"), "{fault}");
        let fault = sent(&line, b"soup", &[(Tag::BLOB, &head), (Tag::DATA, b"so"), (Tag::BLOBS_END, b"")]).await;
        assert_eq!(fault.code, FaultCode::BAD_MESSAGE);
        let fault = sent(&line, b"soup", &[(Tag::BLOB, &head), (Tag::DATA, b"")]).await;
        assert_eq!(fault.code, FaultCode::BAD_MESSAGE);
    });
}

#[test]
fn another_blob_than_the_one_that_is_due_is_refused() {
    attacked(async |eve| {
        let line = eve.line().await;
        for head in [head(b"stew", 4), head(b"soup", 5), head(b"soup", u64::MAX), head(b"soup", 0)] {
            let fault = sent(&line, b"soup", &[(Tag::BLOB, &head)]).await;
            assert!(fault.code == FaultCode::BAD_MESSAGE && fault.text.contains("another came"), "{fault}");
        }
    });
}

#[test]
fn sizes_that_no_disk_has_are_refused_before_a_byte_travels() {
    attacked(async |eve| {
        let line = eve.line().await;
        let of = |size| {
            let path = GuestPath::parse("big").unwrap();
            let file = JobFile { path, digest: Digest::of(b"big"), size, executable: false };
            encode(&SubmitJob { files: vec![file], ..job(1, b"soup") })
        };
        for size in [u64::MAX, 1 << 63, 65 << 30] {
            assert_eq!(line.refused(Tag::SUBMIT, &of(size)).await.code, FaultCode::BAD_INPUT, "{size}");
        }
        let fault = line.refused(Tag::SUBMIT, &of(17 << 30)).await;
        assert!(fault.code == FaultCode::OVER_QUOTA && fault.text.contains("quota of stored bytes"), "{fault}");
    });
}

/// A script with one package of these bytes.
fn with_package(name: &str, wheel: &[u8]) -> SubmitJob {
    let entry = GuestPath::parse("x.py").unwrap();
    let file = JobFile { path: entry.clone(), digest: Digest::of(wheel), size: wheel.len() as u64, executable: false };
    let program = JobProgram::Script { environment: "python".to_owned(), entry, image: ImageChoice::None };
    let package = JobPackage { name: name.to_owned(), digest: Digest::of(wheel), size: wheel.len() as u64 };
    let requires = vec![FEATURE_PACKAGES.to_owned()];
    SubmitJob { program, files: vec![file], packages: vec![package], requires, ..job(1, b"") }
}

#[test]
fn a_package_that_is_none_is_refused_before_anything_is_made_of_the_job() {
    attacked(async |eve| {
        let line = eve.line().await;
        for (name, len) in [("x.tar.gz", 4), ("../x.whl", 4), ("x.whl", 65 << 20)] {
            let mut job = with_package(name, b"soup");
            job.packages[0].size = len;
            let fault = line.refused(Tag::SUBMIT, &encode(&job)).await;
            assert!(fault.code == FaultCode::BAD_INPUT && fault.text.contains("wheel"), "{fault}");
        }
        let module = SubmitJob { packages: with_package("x.whl", b"soup").packages, ..job(1, b"x") };
        assert_eq!(line.refused(Tag::SUBMIT, &encode(&module)).await.code, FaultCode::BAD_INPUT);
        let mut stream = line.stream().await.unwrap();
        stream.tell(Tag::SUBMIT, &with_package("x-1-py3-none-any.whl", b"soup")).await.unwrap();
        stream.until(Tag::NEED).await;
        for (tag, payload) in [(Tag::BLOB, &head(b"soup", 4)[..]), (Tag::DATA, b"soup"), (Tag::BLOBS_END, b"")] {
            // The refusal may come before all was said.
            let _ = stream.say(tag, payload).await;
        }
        let fault = stream.fault().await;
        assert_eq!(fault.code, FaultCode::BAD_INPUT, "{fault}");
    });
}

#[test]
fn a_blob_of_two_sizes_is_none() {
    attacked(async |eve| {
        let file = |path: &str, size| JobFile {
            path: GuestPath::parse(path).unwrap(),
            digest: Digest::of(b"soup"),
            size,
            executable: false,
        };
        let job = SubmitJob { files: vec![file("a", 4), file("b", 5)], ..job(1, b"x") };
        let fault = eve.line().await.refused(Tag::SUBMIT, &encode(&job)).await;
        assert!(fault.code == FaultCode::BAD_INPUT && fault.text.contains("two sizes"), "{fault}");
    });
}

#[test]
fn paths_out_of_the_directory_are_no_paths() {
    attacked(async |eve| {
        let line = eve.line().await;
        let path = GuestPath::parse("xx/yy").unwrap();
        let file = JobFile { path, digest: Digest::of(b""), size: 0, executable: false };
        let whole = encode(&SubmitJob { files: vec![file], ..job(1, b"soup") });
        let at = whole.windows(5).position(|window| window == b"xx/yy").unwrap();
        for path in ["../yy", "xx/..", "/xx/y", "xx//y", "./x/y", "xx/.\0", "x\\..\\"] {
            let mut forged = whole.to_vec();
            forged[at..at + 5].copy_from_slice(&path.as_bytes()[..5]);
            let fault = line.refused(Tag::SUBMIT, &forged).await;
            assert_eq!(fault.code, FaultCode::BAD_MESSAGE, "{path}");
        }
    });
}

#[test]
fn inputs_that_do_not_come_give_the_place_up() {
    attacked(async |eve| {
        let line = eve.line().await;
        let mut silent = Vec::new();
        for number in 0..3 {
            silent.push(asked_for(&line, &job(number, b"soup")).await);
        }
        silent[0].say(Tag::BLOB, &head(b"soup", 4)).await.unwrap();
        silent[0].say(Tag::DATA, b"so").await.unwrap();
        for stream in &mut silent {
            let fault = stream.fault().await;
            assert!(fault.code == FaultCode::TOO_SLOW && fault.text.contains("30 s"), "{fault}");
        }
    });
}

/// A job of a guest that is there, all of whose bytes are sent.
async fn started(line: &Line, number: u64, args: &[&str], stdin: bool) -> Stream {
    let program = std::fs::read(guest("hog")).unwrap();
    let mut wanted = job(number, &program);
    wanted.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    wanted.limits.output_bytes = 1 << 40;
    wanted.limits.wall_ms = 60_000;
    wanted.stdin = stdin;
    let mut stream = line.stream().await.unwrap();
    stream.tell(Tag::SUBMIT, &wanted).await.unwrap();
    let need: potluck_node::wire::Need = potluck_node::wire::decode(&stream.until(Tag::NEED).await).unwrap();
    if !need.digests.is_empty() {
        stream.say(Tag::BLOB, &head(&program, program.len() as u64)).await.unwrap();
        for piece in program.chunks(200 << 10) {
            stream.say(Tag::DATA, piece).await.unwrap();
        }
        stream.say(Tag::BLOBS_END, b"").await.unwrap();
    }
    stream.until(Tag::STARTED).await;
    stream
}

#[test]
fn output_that_nobody_reads_waits_where_it_is_made() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let mut unread = Vec::new();
            for number in 0..3 {
                unread.push(started(&line, number, &["output"], false).await);
            }
            let before = scene.memory();
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(scene.memory() < before + (100 << 20));
            drop(unread);
        });
        until("what nobody reads any more is ended", || {
            (scene.ann.potluck(["status", "--json"]).finish().json()["jobs_running"] == 0).then_some(())
        });
    });
}

#[test]
fn input_that_nobody_reads_waits_where_it_comes_from() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let mut stream = started(&line, 1, &["sleep"], true).await;
            let block = vec![b'x'; 200 << 10];
            let pouring = async { while stream.say(Tag::STDIN, &block).await.is_ok() {} };
            tokio::time::timeout(Duration::from_secs(5), pouring).await.expect_err("the node holds the flood back");
        });
    });
}
