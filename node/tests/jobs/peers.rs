//! Jobs between two nodes over real sockets on loopback.

use crate::lab::{CAT, COPY, FLOOD, Machine, PATIENCE, SPIN, ended, feed, next, until_started, wait_until};
use bytes::Bytes;
use potluck_node::client::{FailureKind, JobEvent, StdinMode, Submission, Target};
use potluck_node::net::link::CloseCode;
use potluck_node::trust::invitations::Grant;
use potluck_node::wire::{BlobHead, JobId, JobProgram, Stage, SubmitJob, Tag};
use potluck_runtime::{Digest, Limits, Outcome};
use std::time::{Duration, Instant};

fn on(machine: &Machine) -> Target {
    Target::Peer(machine.name.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_on_a_peer_with_its_files_folders_stdin_and_outputs() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.join(&attic).await;
    // Reads /data/a/in.txt, which is carried, and writes it to out.txt and stdout.
    let program = desk.program("copy.wasm", COPY);
    let folder = desk.dir.path().join("folder");
    std::fs::create_dir_all(folder.join("a")).unwrap();
    std::fs::write(folder.join("a/in.txt"), b"soup for all").unwrap();
    let out = desk.dir.path().join("out");
    let submission = Submission::new(&program).mount(&folder, "/data").outputs(&out);
    let mut job = desk.client.submit(on(&attic), submission.clone()).await.unwrap();
    let JobEvent::Accepted { node, name } = next(&mut job).await else { panic!("not accepted first") };
    assert_eq!((node, name.as_str()), (Some(attic.id()), "attic"));
    let end = ended(&mut job).await;
    assert_eq!(end.outcome(), Outcome::Exited(0));
    assert_eq!(end.stdout, b"soup for all");
    assert_eq!(std::fs::read(out.join("out.txt")).unwrap(), b"soup for all");
    attic.is_clean().await;
    // The second time nothing is sent.
    let mut job = desk.client.submit(on(&attic), submission).await.unwrap();
    let end = ended(&mut job).await;
    assert_eq!((end.outcome(), end.bytes_sent), (Outcome::Exited(0), 0));
    attic.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_stdin_crosses_the_network_and_comes_back() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.join(&attic).await;
    let program = desk.program("cat.wasm", CAT);
    let submission = Submission::new(&program).stdin(StdinMode::Piped).limits(roomy());
    let mut job = desk.client.submit(on(&attic), submission).await.unwrap();
    let feeding = feed(job.stdin.take().unwrap(), 128);
    let end = ended(&mut job).await;
    assert_eq!(feeding.await.unwrap(), 128);
    assert_eq!((end.stdout.len(), end.outcome()), (32 << 20, Outcome::Exited(0)));
    attic.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_within_a_second_however_much_stdin_nobody_has_read() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.join(&attic).await;
    let program = desk.program("spin.wasm", SPIN);
    for target in [on(&attic), Target::Local] {
        let submission = Submission::new(&program).stdin(StdinMode::Piped);
        let mut job = desk.client.submit(target, submission).await.unwrap();
        let mut stdin = job.stdin.take().unwrap();
        until_started(&mut job).await;
        // Every queue on the way is full when a write has to wait; the cancellation passes them all.
        let piece = || Bytes::from(vec![7; 1 << 18]);
        while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), stdin.write(piece())).await {}
        let start = Instant::now();
        job.canceller.cancel();
        let end = ended(&mut job).await;
        assert_eq!(end.outcome(), Outcome::Cancelled);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    attic.is_clean().await;
    attic.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitter_that_vanishes_ends_its_job_whatever_the_job_was_doing() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.join(&attic).await;
    let spin = desk.program("spin.wasm", SPIN);
    let flood = desk.program("flood.wasm", FLOOD);
    for program in [&spin, &flood] {
        let submission = Submission::new(program).stdin(StdinMode::Piped).limits(roomy());
        let mut job = desk.client.submit(on(&attic), submission).await.unwrap();
        let feeding = feed(job.stdin.take().unwrap(), usize::MAX);
        until_started(&mut job).await;
        assert!(attic.workers() > 0);
        let start = Instant::now();
        drop(job);
        attic.is_clean().await;
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        feeding.await.unwrap();
    }
    attic.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_ends_ends_its_job_although_nobody_reads_the_stream() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.join(&attic).await;
    let (_endpoint, link) = desk.link_to(&attic).await;
    let bytes = wat::parse_str(SPIN).unwrap();
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    let mut stream = link.open_stream().await.unwrap();
    stream.writer.send_message(Tag::SUBMIT, &spinning(digest, size)).await.unwrap();
    stream.reader.expect(Tag::ACCEPTED).await.unwrap();
    stream.reader.expect(Tag::NEED).await.unwrap();
    stream.writer.send_message(Tag::BLOB, &BlobHead { digest, size }).await.unwrap();
    stream.writer.send_bytes(Tag::DATA, bytes.into()).await.unwrap();
    stream.writer.send_empty(Tag::BLOBS_END).await.unwrap();
    while stream.reader.expect_any().await.unwrap().tag != Tag::STARTED {}
    // More than the service reads ahead: the end of the stream would not be seen behind it.
    stream.writer.send_bytes(Tag::STDIN, vec![7; 6 << 20].into()).await.unwrap();
    // An answer shows that the stdin before it has left; a connection's close does not wait for more.
    link.info().await.unwrap();
    assert_eq!(attic.workers(), 1);
    let start = Instant::now();
    link.close(CloseCode::DONE);
    attic.is_clean().await;
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    attic.down().await;
}

fn spinning(digest: Digest, size: u64) -> SubmitJob {
    SubmitJob {
        job: JobId([1; 16]),
        program: JobProgram::Wasm { digest, size, name: "spin.wasm".into() },
        args: vec![],
        env: vec![],
        files: vec![],
        directories: vec![],
        mounts: vec![],
        limits: Limits::default(),
        stdin: true,
        outputs: false,
        events: false,
        requires: vec![],
        packages: vec![],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_ends_its_jobs_and_the_submitter_is_told() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.join(&attic).await;
    let program = desk.program("spin.wasm", SPIN);
    let mut job = desk.client.submit(on(&attic), Submission::new(&program)).await.unwrap();
    until_started(&mut job).await;
    attic.down().await;
    let error = tokio::time::timeout(PATIENCE, job.events.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), FailureKind::Lost, "{error}");
    assert!(error.to_string().contains("attic"), "{error}");
    assert!(job.events.next().await.is_none());
    attic.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_second_job_waits_and_is_told_so_and_the_owner_is_counted() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::with("attic", |config| config.jobs_max = 1));
    attic.up().await;
    desk.join(&attic).await;
    let program = desk.program("spin.wasm", SPIN);
    let mut first = desk.client.submit(on(&attic), Submission::new(&program)).await.unwrap();
    until_started(&mut first).await;
    let mut second = desk.client.submit(on(&attic), Submission::new(&program)).await.unwrap();
    assert!(matches!(next(&mut second).await, JobEvent::Accepted { .. }));
    assert!(matches!(next(&mut second).await, JobEvent::Stage(Stage::Waiting { jobs_ahead: 0 })));
    assert_eq!(attic.client.info().await.unwrap().jobs_running, 1);
    first.canceller.cancel();
    ended(&mut first).await;
    until_started(&mut second).await;
    second.canceller.cancel();
    assert_eq!(ended(&mut second).await.outcome(), Outcome::Cancelled);
    attic.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_for_any_machine_stays_here_without_a_word_to_anyone_while_there_is_room() {
    let (desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.join(&attic).await;
    // Nobody answers any more; whoever dialled would wait for a handshake's patience.
    attic.kill();
    let program = desk.program("cat.wasm", CAT);
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let me = desk.client.info().await.unwrap();
    let has_room = u64::from(me.cores) * 1000 >= u64::from(me.load_milli) + 700 && me.memory_free_bytes > 64 << 20;
    let start = Instant::now();
    let mut job = desk.client.submit(Target::Any, Submission::new(&program).limits(limits)).await.unwrap();
    // A machine without a core to spare looks around first, and comes back to itself.
    let patience = if has_room { Duration::from_secs(3) } else { PATIENCE };
    assert!(start.elapsed() < patience, "{:?}", start.elapsed());
    assert!(matches!(next(&mut job).await, JobEvent::Accepted { node: None, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_asks_the_daemon_and_manages_without_one() {
    let (mut desk, mut attic) = (Machine::new("desk"), Machine::new("attic"));
    attic.up().await;
    desk.up().await;
    assert!(desk.client.daemon_runs() && attic.client.daemon_runs());
    desk.join(&attic).await;
    let online = async || {
        let peers = desk.client.peers().await.unwrap().peers;
        peers.len() == 1 && peers[0].online && peers[0].name == "attic"
    };
    wait_until(online).await;
    desk.down().await;
    assert!(!desk.client.daemon_runs());
    let list = desk.client.peers().await.unwrap();
    assert!(list.peers.len() == 1 && list.peers[0].online && list.peers[0].info.is_some());
    let found = desk.client.add_peer(&format!("127.0.0.1:{}", attic.port())).await.unwrap();
    assert_eq!((found.id, found.name.as_str()), (Some(attic.id()), "attic"));
    let error = desk.client.invite(Duration::from_secs(60), Grant::Enters).await.unwrap_err();
    assert!(error.to_string().contains("potluck up"), "{error}");
    assert!(desk.client.add_peer("127.0.0.1:9").await.is_err());
    assert_eq!(desk.client.remove_peer("attic").await.unwrap(), attic.id());
    assert!(desk.client.peers().await.unwrap().peers.is_empty());
    let client = attic.client.clone();
    let (stopped, ()) = tokio::join!(client.shutdown(), attic.wait_for_stop());
    stopped.unwrap();
    assert!(!attic.client.daemon_runs());
}

fn roomy() -> Limits {
    Limits { output_bytes: 1 << 40, ..Limits::default() }
}
