//! A home and machines that do as they are told in the test: what is heard, kept, asked again and given up.

use super::*;
use crate::state::home::end::End;
use crate::state::home::spec::{Priority, Submitter};
use crate::state::home::words::Kept;
use crate::state::needs::Requirements;
use crate::state::now::Wall;
use crate::state::placement::Engine;
use crate::state::placement::machine::{Lends, MachineFacts};
use crate::store::recording::Recorder;
use crate::wire::{
    CollectRun, Ended, Frame, FrameReader, FrameWriter, JobAt, JobProgram, KeepRun, Need, RunList, RunState, SubmitJob,
    Tag, WhichRun,
};
use bytes::Bytes;
use potluck_runtime::{Digest, Limits, Outcome, Report};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const PATIENCE: Duration = Duration::from_secs(20);

/// A machine that keeps runs, says "hi" in each, and can be cut off.
#[derive(Default)]
struct Machine {
    kept: Mutex<HashMap<RunId, Kept>>,
    /// Streams end after the run was accepted.
    cuts: AtomicBool,
    /// Nobody gets a stream.
    away: AtomicBool,
}

#[async_trait::async_trait]
impl Ways for Arc<Machine> {
    async fn open(&self, _place: Place) -> Result<FrameStream, String> {
        if self.away.load(Ordering::Relaxed) {
            return Err("it is away".to_owned());
        }
        let (near, far) = FrameStream::pair();
        let machine = self.clone();
        tokio::spawn(async move { machine.serve(far).await });
        Ok(near)
    }
}

impl Machine {
    async fn serve(&self, mut stream: FrameStream) {
        let Ok(first) = stream.reader.expect_any().await else { return };
        match first.tag {
            Tag::RUN_KEEP => {
                let keep: KeepRun = first.decode().unwrap();
                let run = RunId { job: keep.submit.job, attempt: keep.attempt };
                stream.writer.send_message(Tag::NEED, &Need { digests: vec![] }).await.unwrap();
                assert_eq!(stream.reader.expect_any().await.unwrap().tag, Tag::BLOBS_END);
                self.kept.lock().unwrap().insert(run, Kept::Ended);
                stream.writer.send_empty(Tag::RUN_KEPT).await.unwrap();
                if !self.cuts.load(Ordering::Relaxed) {
                    say(0, &mut stream.writer).await;
                }
            }
            Tag::RUN_COLLECT => {
                let collect: CollectRun = first.decode().unwrap();
                say(collect.from, &mut stream.writer).await;
            }
            Tag::RUN_LIST => {
                let state = |(run, kept): (&RunId, &Kept)| RunState { run: (*run).into(), kept: Some(*kept) };
                let runs = self.kept.lock().unwrap().iter().map(state).collect();
                stream.writer.send_message(Tag::RUNS_ARE, &RunList { runs }).await.unwrap();
            }
            Tag::RUN_RELEASE => {
                let run: WhichRun = first.decode().unwrap();
                self.kept.lock().unwrap().remove(&run.into());
                stream.writer.send_empty(Tag::DONE).await.unwrap();
            }
            tag => panic!("{tag}"),
        }
        let _ = stream.writer.finish().await;
    }
}

/// The recording of every run, from a byte on.
async fn say(from: u64, writer: &mut FrameWriter) {
    let report = Report { outcome: Outcome::Exited(0), fuel_used: 5, wall_ms: 1, memory_peak_bytes: 0 };
    let frames = [
        Frame::empty(Tag::STARTED),
        Frame { tag: Tag::STDOUT, payload: Bytes::from_static(b"hi") },
        Frame::message(Tag::ENDED, &Ended { report, left_behind: vec![], receipt: None }),
    ];
    let mut at = 0;
    for frame in frames {
        let len = (crate::wire::HEADER_LEN + frame.payload.len()) as u64;
        if at >= from {
            writer.send(frame).await.unwrap();
        }
        at += len;
    }
}

fn job(number: u8) -> (JobSpec, Asked) {
    let id = JobId([number; 16]);
    let spec = JobSpec {
        id,
        submitter: Submitter::named("ann"),
        batch: None,
        priority: Priority::default(),
        requirements: Arc::new(Requirements::default()),
        inputs: [].into(),
        retries: 2,
        queue_timeout_ms: None,
        submitted: Wall(1),
    };
    let request = SubmitJob {
        job: id,
        program: JobProgram::Wasm { digest: Digest::of(b""), size: 0, name: "p.wasm".into() },
        args: vec![],
        env: vec![],
        files: vec![],
        directories: vec![],
        mounts: vec![],
        limits: Limits::default(),
        stdin: false,
        outputs: false,
        requires: vec![],
    };
    (spec, Asked { submit: request, submitter: "ann".into(), priority: 0, task: None })
}

fn facts() -> MachineFacts {
    MachineFacts {
        place: Place::Peer(crate::identity::NodeId::from_bytes([3; 32])),
        name: "attic".into(),
        os: None,
        arch: None,
        cores: 4,
        memory_bytes: 8 << 30,
        memory_free_bytes: 8 << 30,
        load_milli: 0,
        gpu: false,
        tags: std::collections::BTreeSet::new(),
        engine: Engine::Fit,
        lends: Lends::Now,
        places: 4,
        round_trip_ms: 1,
    }
}

struct Lab {
    dir: tempfile::TempDir,
    machine: Arc<Machine>,
}

impl Lab {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), machine: Arc::default() }
    }

    fn store(&self) -> JobStore {
        JobStore::open(self.dir.path(), crate::store::jobs::Kept::EVERYTHING).unwrap()
    }

    fn home(&self) -> JobHome {
        JobHome::open(HomeConfig {
            node: crate::identity::Identity::from_seed(&[7; 32]).id(),
            store: self.store(),
            keep: Duration::from_secs(60),
            dir: self.dir.path().join("recordings"),
            blobs: BlobStore::new(self.dir.path().join("blobs"), 1 << 20),
            clock: Clock::system(),
            ways: Arc::new(self.machine.clone()),
        })
        .unwrap()
    }
}

fn meet(home: &JobHome) {
    home.machine(Event::Seen { facts: facts() });
    home.machine(Event::Reached { place: facts().place });
}

async fn end_of(home: &JobHome, job: JobId) -> End {
    if let Some(mut view) = home.watch(job) {
        let ended = view.wait_for(|view| view.now.at.is_ended());
        tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
    }
    match home.ended(job).unwrap().unwrap().at {
        JobAt::Ended(end) => end,
        at => panic!("{at:?}"),
    }
}

async fn output_of(home: &JobHome, job: JobId) -> (u32, String) {
    let (run, follower) = home.follow(job, None).unwrap().unwrap();
    let mut reader = FrameReader::new(follower);
    let mut text = String::new();
    while let Some(frame) = reader.next().await.unwrap() {
        if frame.tag == Tag::STDOUT {
            text += std::str::from_utf8(&frame.payload).unwrap();
        }
    }
    (run.attempt, text)
}

async fn until_released(machine: &Machine) {
    let released = async {
        while !machine.kept.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, released).await.unwrap();
}

#[tokio::test]
async fn a_job_runs_and_what_it_said_stays_after_the_machine_let_go_of_it() {
    let lab = Lab::new();
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    assert_eq!(end_of(&home, JobId([1; 16])).await, End::Done);
    until_released(&lab.machine).await;
    let job = JobId([1; 16]);
    assert_eq!(output_of(&home, job).await, (1, "hi".to_owned()));
    drop(home);
    let again = lab.home();
    assert!(again.watch(job).is_none());
    assert_eq!(end_of(&again, job).await, End::Done);
    assert_eq!(output_of(&again, job).await, (1, "hi".to_owned()));
}

#[tokio::test]
async fn a_run_whose_stream_broke_is_asked_for_and_collected() {
    let lab = Lab::new();
    let home = lab.home();
    meet(&home);
    lab.machine.cuts.store(true, Ordering::Relaxed);
    home.submit(None, vec![job(1)]).await.unwrap();
    assert_eq!(end_of(&home, JobId([1; 16])).await, End::Done);
    assert_eq!(output_of(&home, JobId([1; 16])).await, (1, "hi".to_owned()));
}

#[tokio::test]
async fn a_home_that_is_stopped_while_a_run_is_away_finds_it_again() {
    let lab = Lab::new();
    let home = lab.home();
    meet(&home);
    lab.machine.cuts.store(true, Ordering::Relaxed);
    home.submit(None, vec![job(1)]).await.unwrap();
    lab.machine.away.store(true, Ordering::Relaxed);
    drop(home);
    lab.machine.away.store(false, Ordering::Relaxed);
    // What it is called is known before it says so itself.
    let again = lab.home();
    again.call(facts().place, "attic");
    again.machine(Event::Reached { place: facts().place });
    assert_eq!(end_of(&again, JobId([1; 16])).await, End::Done);
    let told = again.ended(JobId([1; 16])).unwrap().unwrap();
    assert_eq!((told.place.as_deref(), told.attempt), (Some("attic"), 1));
    let recorded = lab.store().job(JobId([1; 16]), crate::store::jobs::Role::Sent).unwrap().unwrap();
    assert_eq!(recorded.peer.map(|peer| peer.name).as_deref(), Some("attic"));
}

#[tokio::test]
async fn what_was_accepted_twice_is_one_job() {
    let lab = Lab::new();
    let home = lab.home();
    home.submit(None, vec![job(1)]).await.unwrap();
    home.submit(None, vec![job(1)]).await.unwrap();
    assert_eq!(home.open_jobs(10).1, 1);
    drop(home);
    assert_eq!(lab.home().open_jobs(10).1, 1);
}

#[tokio::test]
async fn what_a_second_run_says_after_the_job_has_ended_changes_nothing() {
    let lab = Lab::new();
    let home = lab.home();
    meet(&home);
    let id = JobId([1; 16]);
    home.submit(None, vec![job(1)]).await.unwrap();
    assert_eq!(end_of(&home, id).await, End::Done);
    // It was raced, and both came to their end at nearly the same time.
    let recorder = Recorder::new(&lab.dir.path().join("second"));
    let said = Frame { tag: Tag::STDOUT, payload: Bytes::from_static(b"ho") };
    FrameWriter::new(recorder.writer()).send(said).await.unwrap();
    let (run, outcome) = (RunId { job: id, attempt: 2 }, Outcome::Exited(1));
    let report = Report { outcome: outcome.clone(), fuel_used: 5, wall_ms: 1, memory_peak_bytes: 0 };
    let left = Left { recorded: recorder.finish().unwrap(), report, receipt: None };
    let event = Event::RunEnded { place: facts().place, run, outcome, wall_ms: 1, fuel: 5 };
    home.say(event, With::Left(run, Box::new(left))).await;
    // Twice: what came before the second question is written by then.
    home.why(id).await;
    home.why(id).await;
    assert_eq!(output_of(&home, id).await, (1, "hi".to_owned()));
    assert_eq!(end_of(&home, id).await, End::Done);
}
