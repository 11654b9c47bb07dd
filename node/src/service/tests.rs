//! The service as a submitter meets it on the wire: what is accepted, what is asked for, what is refused and with which
//! sentence. Nothing here starts a guest.

use super::environment::NoPeers;
use super::*;
use crate::store::blobs::PRESENCE_FILE;
use crate::wire::{Accepted, BlobHead, FetchArtifact, JobFile, JobId, JobProgram, Need, SubmitJob};
use crate::wire::{Cancel, FaultCode};
use bytes::Bytes;
use potluck_runtime::{CompileLimits, Digest, GuestPath, Limits, Ready, RuntimeConfig, WorkerCommand};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

struct Lab {
    dir: tempfile::TempDir,
    jobs: Jobs,
}

fn blobs_dir(dir: &std::path::Path) -> std::path::PathBuf {
    dir.join("blobs")
}

impl Lab {
    fn new(policy: Policy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let worker = WorkerCommand { program: "/nonexistent/worker".into(), args: vec![] };
        let runtime = Runtime::open(RuntimeConfig {
            cache_dir: dir.path().join("cache"),
            scratch_dir: dir.path().join("scratch"),
            cache_bytes_max: 1 << 30,
            worker,
            ready: Ready::none(),
            compile: CompileLimits::default(),
        });
        let jobs = Jobs::open(JobsConfig {
            node: NodeId::from_bytes([7; 32]),
            name: "attic".into(),
            policy,
            docker: crate::config::Docker::default(),
            config_file: None,
            system_root: dir.path().to_owned(),
            runtime: runtime.unwrap(),
            blobs_dir: blobs_dir(dir.path()),
            mounts_dir: dir.path().join("mounts"),
            blob_bytes_max: 1 << 30,
            data_dir: dir.path().to_owned(),
            peers: Arc::new(NoPeers),
            makes_images: false,
            parking: None,
            keeping: None,
            records: None,
            signer: None,
        });
        Self { dir, jobs: jobs.unwrap() }
    }

    /// Sends a request as a peer; the answering end runs until the stream is over.
    fn ask(&self, first: Frame) -> (FrameStream, tokio::task::JoinHandle<()>) {
        let (near, far) = FrameStream::pair();
        let jobs = self.jobs.clone();
        let caller = Caller { id: NodeId::from_bytes([9; 32]), role: Role::Peer, name: "ann".into(), link: None };
        (near, tokio::spawn(async move { jobs.serve(caller, first, far).await }))
    }

    async fn cancel(&self, job: JobId) -> Result<Frame, FrameError> {
        let (mut stream, _task) = self.ask(Frame::message(Tag::CANCEL, &Cancel { job }));
        tokio::time::timeout(PATIENCE, stream.reader.expect(Tag::DONE)).await.unwrap()
    }

    fn blobs_here(&self) -> usize {
        let is_blob = |name: &std::fs::DirEntry| name.file_name() != PRESENCE_FILE;
        // Made with the first blob.
        std::fs::read_dir(blobs_dir(self.dir.path())).map_or(0, |names| names.flatten().filter(is_blob).count())
    }
}

fn open_policy() -> Policy {
    Policy { lend: true, jobs_max: 1, job_memory_bytes_max: None }
}

fn job(content: &[u8]) -> SubmitJob {
    let size = content.len() as u64;
    SubmitJob {
        job: JobId([1; 16]),
        program: JobProgram::Wasm { digest: Digest::of(content), size, name: "p.wasm".into() },
        args: vec![],
        env: vec![],
        files: vec![],
        directories: vec![],
        mounts: vec![],
        limits: Limits::default(),
        stdin: false,
        outputs: false,
        events: false,
        requires: vec![],
        packages: vec![],
    }
}

fn submit(job: &SubmitJob) -> Frame {
    Frame::message(Tag::SUBMIT, job)
}

/// The fault that must be what comes next, stages aside.
async fn fault(stream: &mut FrameStream) -> Fault {
    loop {
        match tokio::time::timeout(PATIENCE, stream.reader.expect_any()).await.unwrap() {
            Err(FrameError::Fault(fault)) => return fault,
            Ok(frame) if frame.tag == Tag::STAGE => {}
            other => panic!("a fault was due and this came: {other:?}"),
        }
    }
}

async fn accepted_and_needed(stream: &mut FrameStream) -> Vec<Digest> {
    let accepted: Accepted = stream.reader.expect_message(Tag::ACCEPTED).await.unwrap();
    assert_eq!((accepted.job, accepted.name.as_str()), (JobId([1; 16]), "attic"));
    stream.reader.expect_message::<Need>(Tag::NEED).await.unwrap().digests
}

async fn send_blob(stream: &mut FrameStream, digest: Digest, size: u64, bytes: &'static [u8]) {
    stream.writer.send_message(Tag::BLOB, &BlobHead { digest, size }).await.unwrap();
    stream.writer.send_bytes(Tag::DATA, Bytes::from_static(bytes)).await.unwrap();
}

#[tokio::test]
async fn only_missing_blobs_are_asked_for() {
    let lab = Lab::new(open_policy());
    let (mut first, task) = lab.ask(submit(&job(b"soup")));
    assert_eq!(accepted_and_needed(&mut first).await, [Digest::of(b"soup")]);
    send_blob(&mut first, Digest::of(b"soup"), 4, b"soup").await;
    first.writer.send_empty(Tag::BLOBS_END).await.unwrap();
    fault(&mut first).await;
    drop(first);
    task.await.unwrap();
    let (mut second, _task) = lab.ask(submit(&job(b"soup")));
    assert_eq!(accepted_and_needed(&mut second).await, []);
}

#[tokio::test]
async fn bytes_that_belie_their_digest_are_refused_and_not_kept() {
    let lab = Lab::new(open_policy());
    let (mut stream, _task) = lab.ask(submit(&job(b"soup")));
    accepted_and_needed(&mut stream).await;
    send_blob(&mut stream, Digest::of(b"soup"), 4, b"soap").await;
    let fault = fault(&mut stream).await;
    assert_eq!(fault.code, FaultCode::BAD_INPUT);
    assert!(fault.text.contains("digest"), "{fault}");
    assert_eq!(lab.blobs_here(), 0);
}

#[tokio::test]
async fn a_blob_that_goes_on_too_long_or_was_not_asked_for_is_refused() {
    let lab = Lab::new(open_policy());
    let (mut stream, _task) = lab.ask(submit(&job(b"soup")));
    accepted_and_needed(&mut stream).await;
    send_blob(&mut stream, Digest::of(b"soup"), 4, b"soup and salad").await;
    assert_eq!(fault(&mut stream).await.code, FaultCode::BAD_INPUT);
    let (mut stream, _task) = lab.ask(submit(&job(b"soup")));
    accepted_and_needed(&mut stream).await;
    send_blob(&mut stream, Digest::of(b"salad"), 5, b"salad").await;
    assert_eq!(fault(&mut stream).await.code, FaultCode::BAD_MESSAGE);
    assert_eq!(lab.blobs_here(), 0);
}

#[tokio::test]
async fn unknown_and_misplaced_frames_are_refused_by_name() {
    let lab = Lab::new(open_policy());
    for (tag, named) in [(Tag(9999), "unknown(9999)"), (Tag::STDIN, "STDIN"), (Tag::SUBMIT, "SUBMIT")] {
        let (mut stream, _task) = lab.ask(submit(&job(b"soup")));
        accepted_and_needed(&mut stream).await;
        stream.writer.send_empty(tag).await.unwrap();
        let fault = fault(&mut stream).await;
        assert_eq!(fault.code, FaultCode::BAD_MESSAGE);
        assert!(fault.text.contains(named), "{fault}");
    }
}

#[tokio::test]
async fn a_frame_longer_than_its_bound_is_refused_before_it_is_read() {
    use tokio::io::AsyncWriteExt;
    let lab = Lab::new(open_policy());
    let (near, far) = tokio::io::duplex(1 << 16);
    let (far_reader, far_writer) = tokio::io::split(far);
    let (near_reader, mut near_writer) = tokio::io::split(near);
    let jobs = lab.jobs.clone();
    let caller = Caller { id: NodeId::from_bytes([9; 32]), role: Role::Peer, name: "ann".into(), link: None };
    let first = submit(&job(b"soup"));
    let _task = tokio::spawn(async move { jobs.serve(caller, first, FrameStream::new(far_reader, far_writer)).await });
    let mut head = Tag::DATA.0.to_le_bytes().to_vec();
    head.extend(u32::MAX.to_le_bytes());
    near_writer.write_all(&head).await.unwrap();
    let mut stream = FrameStream::new(near_reader, tokio::io::sink());
    accepted_and_needed(&mut stream).await;
    let fault = fault(&mut stream).await;
    assert!(fault.text.contains("bound"), "{fault}");
}

#[tokio::test]
async fn paths_that_escape_are_no_message_at_all() {
    let lab = Lab::new(open_policy());
    let file =
        JobFile { path: GuestPath::parse("xx/yy").unwrap(), digest: Digest::of(b""), size: 0, executable: false };
    let mut job = job(b"soup");
    job.files = vec![file];
    let bytes = crate::wire::encode(&job);
    for escape in ["../yy", "/x/yy", "xx/..", "xx//y"] {
        let position = bytes.windows(5).position(|window| window == b"xx/yy").unwrap();
        let mut forged = bytes.to_vec();
        forged[position..position + 5].copy_from_slice(escape.as_bytes());
        let (mut stream, _task) = lab.ask(Frame { tag: Tag::SUBMIT, payload: forged.into() });
        assert_eq!(fault(&mut stream).await.code, FaultCode::BAD_MESSAGE, "{escape}");
    }
}

#[tokio::test]
async fn a_second_job_waits_for_its_place_and_a_cancelled_one_gives_it_up() {
    let lab = Lab::new(open_policy());
    let (mut first, _first_task) = lab.ask(submit(&job(b"soup")));
    accepted_and_needed(&mut first).await;
    assert_eq!(lab.jobs.jobs_running(), 1);
    let second_job = SubmitJob { job: JobId([2; 16]), ..job(b"soup") };
    let (mut second, _second_task) = lab.ask(submit(&second_job));
    second.reader.expect_message::<Accepted>(Tag::ACCEPTED).await.unwrap();
    let stage: crate::wire::Stage = second.reader.expect_message(Tag::STAGE).await.unwrap();
    assert_eq!(stage, crate::wire::Stage::Waiting { jobs_ahead: 0 });
    lab.cancel(JobId([1; 16])).await.unwrap();
    let ended: crate::wire::Ended = first.reader.expect_message(Tag::ENDED).await.unwrap();
    assert_eq!(ended.report.outcome, potluck_runtime::Outcome::Cancelled);
    second.reader.expect_message::<Need>(Tag::NEED).await.unwrap();
}

#[tokio::test]
async fn a_cancellation_is_heard_behind_any_amount_of_unread_stdin() {
    let lab = Lab::new(open_policy());
    let (mut first, _first_task) = lab.ask(submit(&job(b"soup")));
    accepted_and_needed(&mut first).await;
    let waiting = SubmitJob { job: JobId([2; 16]), ..job(b"soup") };
    let (second, _second_task) = lab.ask(submit(&waiting));
    let (mut reader, mut writer) = (second.reader, second.writer);
    reader.expect(Tag::ACCEPTED).await.unwrap();
    reader.expect(Tag::STAGE).await.unwrap();
    // It waits for its place and reads ahead only so much; the rest waits in the stream.
    let feeding =
        tokio::spawn(
            async move { while writer.send_bytes(Tag::STDIN, Bytes::from_static(&[0; 1 << 16])).await.is_ok() {} },
        );
    let start = std::time::Instant::now();
    lab.cancel(JobId([2; 16])).await.unwrap();
    let ended: crate::wire::Ended = reader.expect_message(Tag::ENDED).await.unwrap();
    assert_eq!(ended.report.outcome, potluck_runtime::Outcome::Cancelled);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    feeding.abort();
    let absent = lab.cancel(JobId([3; 16])).await.unwrap_err();
    assert!(matches!(absent, FrameError::Fault(fault) if fault.code == FaultCode::NOT_FOUND));
}

#[tokio::test]
async fn a_submitter_that_goes_away_leaves_nothing_running() {
    let lab = Lab::new(open_policy());
    let (mut stream, task) = lab.ask(submit(&job(b"soup")));
    accepted_and_needed(&mut stream).await;
    stream.writer.send_message(Tag::BLOB, &BlobHead { digest: Digest::of(b"soup"), size: 4 }).await.unwrap();
    drop(stream);
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!((lab.jobs.jobs_running(), lab.blobs_here()), (0, 0));
}

#[tokio::test]
async fn a_leaving_node_ends_its_jobs_with_a_sentence() {
    let lab = Lab::new(open_policy());
    let (mut stream, _task) = lab.ask(submit(&job(b"soup")));
    accepted_and_needed(&mut stream).await;
    tokio::time::timeout(PATIENCE, lab.jobs.shutdown()).await.unwrap();
    assert_eq!(fault(&mut stream).await.code, FaultCode::LEAVING);
    assert_eq!(lab.jobs.jobs_running(), 0);
}

#[tokio::test]
async fn only_pinned_artifacts_are_given() {
    let lab = Lab::new(open_policy());
    let request = FetchArtifact { sha256: [5; 32] };
    let (mut stream, _task) = lab.ask(Frame::message(Tag::FETCH_ARTIFACT, &request));
    assert_eq!(fault(&mut stream).await.code, FaultCode::NOT_FOUND);
}

#[tokio::test]
async fn a_closed_lender_refuses_and_names_the_setting() {
    let lab = Lab::new(Policy { lend: false, ..open_policy() });
    let (mut stream, _task) = lab.ask(submit(&job(b"soup")));
    let fault = fault(&mut stream).await;
    assert_eq!(fault.code, FaultCode::NOT_ALLOWED);
    assert!(fault.text.contains("attic") && fault.text.contains("lend"), "{fault}");
}
