//! A home and machines that do as they are told in the test: what is heard, kept, asked again and given up.

use super::*;
use crate::state::home::end::{End, LostWhy};
use crate::state::home::spec::{Kind, OnFailure, Priority, Submitter};
use crate::state::home::words::Kept;
use crate::state::needs::Requirements;
use crate::state::now::Wall;
use crate::state::placement::Engine;
use crate::state::placement::machine::{Lends, MachineFacts};
use crate::store::jobs::tests::disk::Disk;
use crate::store::jobs::tests::store_on;
use crate::store::jobs::{Change, Role};
use crate::store::recording::Recorder;
use crate::wire::{
    CollectRun, Ended, Fault, FaultCode, Frame, FrameReader, FrameWriter, JobAt, JobProgram, KeepRun, Need, RunList,
    RunState, SubmitJob, Tag, WhichRun,
};
use bytes::Bytes;
use potluck_runtime::{Digest, Limits, Outcome, Report};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const PATIENCE: Duration = Duration::from_secs(20);

/// A machine that keeps runs, says "hi" in each, and can be cut off.
#[derive(Default)]
struct Machine {
    kept: Mutex<HashMap<RunId, Kept>>,
    /// What it says of every run it has taken, instead of an end.
    fault: Option<FaultCode>,
    /// How every run ends; well, unless it is said.
    outcome: Option<Outcome>,
    /// Bytes that every run prints after its first word.
    prints: usize,
    /// So many runs that it takes are given back, and nobody is told who asks for all it keeps.
    gives_back: AtomicUsize,
    /// Streams end after the run was accepted.
    cuts: AtomicBool,
    /// Nobody gets a stream.
    away: AtomicBool,
    /// How often it was given a run, and asked for all it keeps.
    given: AtomicUsize,
    listed: AtomicUsize,
    /// How often whoever gave it a run left before it had it.
    broken_off: AtomicUsize,
    /// What it is given waits until here are permits.
    slow: Option<tokio::sync::Semaphore>,
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
                self.given.fetch_add(1, Ordering::Relaxed);
                if let Some(slow) = &self.slow {
                    tokio::select! {
                        may = slow.acquire() => may.unwrap().forget(),
                        heard = stream.reader.next() => {
                            assert!(!matches!(heard, Ok(Some(_))), "nothing is to be sent yet");
                            self.broken_off.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                    }
                }
                stream.writer.send_message(Tag::NEED, &Need { digests: vec![] }).await.unwrap();
                assert_eq!(stream.reader.expect_any().await.unwrap().tag, Tag::BLOBS_END);
                let less = |left: usize| left.checked_sub(1);
                if self.gives_back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                    self.kept.lock().unwrap().insert(run, Kept::Running);
                    stream.writer.send_empty(Tag::RUN_KEPT).await.unwrap();
                    let back = RunState { run: run.into(), kept: Some(Kept::Evicted) };
                    stream.writer.send_message(Tag::RUN_IS, &back).await.unwrap();
                    return drop(stream.writer.finish().await);
                }
                self.kept.lock().unwrap().insert(run, Kept::Ended);
                stream.writer.send_empty(Tag::RUN_KEPT).await.unwrap();
                if !self.cuts.load(Ordering::Relaxed) {
                    self.say(0, &mut stream.writer).await;
                }
            }
            Tag::RUN_COLLECT => {
                let collect: CollectRun = first.decode().unwrap();
                self.say(collect.from, &mut stream.writer).await;
            }
            Tag::RUN_LIST => {
                self.listed.fetch_add(1, Ordering::Relaxed);
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

    /// The recording of every run, from a byte on.
    async fn say(&self, from: u64, writer: &mut FrameWriter) {
        let outcome = self.outcome.clone().unwrap_or(Outcome::Exited(0));
        let report = Report { outcome, fuel_used: 5, wall_ms: 1, memory_peak_bytes: 0 };
        let ended = Frame::message(Tag::ENDED, &Ended { report, left_behind: vec![], result: None, receipt: None });
        let failed = |code| Frame::message(Tag::FAULT, &Fault::new(code, "so it is").again_in(Some(0)));
        let frames = [
            Frame::empty(Tag::STARTED),
            Frame { tag: Tag::STDOUT, payload: Bytes::from_static(b"hi") },
            // A kind of event that is not known yet.
            Frame::message(Tag::GUEST_SAYS, &BTreeMap::from([("later", 1)])),
            Frame { tag: Tag::STDERR, payload: vec![b'.'; self.prints].into() },
            self.fault.map_or(ended, failed),
        ];
        let mut at = 0;
        for frame in frames {
            let len = (crate::wire::HEADER_LEN + frame.payload.len()) as u64;
            // Whoever has heard enough is gone.
            if at >= from && writer.send(frame).await.is_err() {
                return;
            }
            at += len;
        }
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
        kind: Kind::default(),
        inputs: [].into(),
        retries: 2,
        queue_timeout_ms: None,
        wall_ms: None,
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
        events: false,
        requires: vec![],
        packages: vec![],
    };
    (spec, Asked { submit: request, submitter: "ann".into(), priority: 0, task: None, wanted: Wanted::default() })
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
        gpus: Vec::new(),
        docker: None,
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
    keep: Keep,
    /// Where its records lie, if that may be full.
    disk: Option<&'static Disk>,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("recordings")).unwrap();
        let keep = Keep { time: Duration::from_secs(60), bytes_max: 1 << 30 };
        Self { dir, machine: Arc::default(), keep, disk: None }
    }

    /// Files of recordings.
    fn recordings(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("recordings")).unwrap().count()
    }

    fn store(&self) -> JobStore {
        JobStore::open(self.dir.path(), crate::store::jobs::Kept::EVERYTHING).unwrap()
    }

    fn home(&self) -> JobHome {
        JobHome::open(HomeConfig {
            node: crate::identity::Identity::from_seed(&[7; 32]).id(),
            store: self.disk.map_or_else(|| self.store(), |disk| store_on(disk, self.dir.path())),
            keep: self.keep,
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
    until(|| machine.kept.lock().unwrap().is_empty()).await;
}

/// Waits until this is so.
async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.unwrap();
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
async fn a_run_that_is_being_given_is_not_given_again_by_a_machine_that_does_not_keep_it_yet() {
    let machine = Machine { slow: Some(tokio::sync::Semaphore::new(0)), ..Machine::default() };
    let lab = Lab { machine: Arc::new(machine), ..Lab::new() };
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    until(|| lab.machine.given.load(Ordering::Relaxed) == 1).await;
    for questions in 1..=3 {
        home.machine(Event::Reached { place: facts().place });
        until(|| lab.machine.listed.load(Ordering::Relaxed) > questions).await;
        home.why(JobId([1; 16])).await;
    }
    lab.machine.slow.as_ref().unwrap().add_permits(8);
    assert_eq!(end_of(&home, JobId([1; 16])).await, End::Done);
    assert_eq!(lab.machine.given.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_run_that_nobody_wants_any_more_is_not_given_to_its_end() {
    let machine = Machine { slow: Some(tokio::sync::Semaphore::new(0)), ..Machine::default() };
    let lab = Lab { machine: Arc::new(machine), ..Lab::new() };
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    until(|| lab.machine.given.load(Ordering::Relaxed) == 1).await;
    home.cancel(&[JobId([1; 16])], None).await.unwrap();
    until(|| lab.machine.broken_off.load(Ordering::Relaxed) == 1).await;
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
async fn a_run_that_is_given_back_runs_again_without_being_asked_for() {
    let lab = Lab::new();
    let home = lab.home();
    meet(&home);
    lab.machine.gives_back.store(1, Ordering::Relaxed);
    home.submit(None, vec![job(1)]).await.unwrap();
    assert_eq!(end_of(&home, JobId([1; 16])).await, End::Done);
    assert_eq!(output_of(&home, JobId([1; 16])).await, (2, "hi".to_owned()));
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
    assert_eq!(home.open_jobs(10).count, 1);
    drop(home);
    assert_eq!(lab.home().open_jobs(10).count, 1);
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
    let left = Left { recorded: recorder.finish().unwrap(), report, result: None, receipt: None };
    let event = Event::RunEnded { place: facts().place, run, outcome, wall_ms: 1, fuel: 5 };
    home.say(event, With::Left(run, Box::new(left))).await;
    // Twice: what came before the second question is written by then.
    home.why(id).await;
    home.why(id).await;
    assert_eq!(output_of(&home, id).await, (1, "hi".to_owned()));
    assert_eq!(end_of(&home, id).await, End::Done);
}

#[tokio::test]
async fn a_job_that_machines_take_and_fail_with_is_sent_nowhere_else_after_three_times() {
    let machine = Machine { fault: Some(FaultCode::INTERNAL), ..Machine::default() };
    let lab = Lab { machine: Arc::new(machine), ..Lab::new() };
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    let End::Lost(LostWhy::Poison { times: 3, last }) = end_of(&home, JobId([1; 16])).await else { panic!() };
    assert!(last.contains("so it is"), "{last}");
}

/// More than a row of the store holds.
const LONG: usize = crate::store::recording::INLINE_LEN_MAX + 1;

#[tokio::test]
async fn what_runs_said_that_decided_nothing_is_freed_while_their_job_goes_on() {
    let machine = Machine { fault: Some(FaultCode::TAKEN_BACK), prints: LONG, ..Machine::default() };
    let lab = Lab { machine: Arc::new(machine), ..Lab::new() };
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    until(|| lab.machine.given.load(Ordering::Relaxed) >= 4).await;
    // Of the fourth, and of the third if that is about to go.
    until(|| lab.recordings() <= 1).await;
    home.cancel(&[JobId([1; 16])], None).await.unwrap();
    until(|| lab.recordings() == 0).await;
}

#[tokio::test]
async fn of_a_job_that_was_lost_the_last_that_was_heard_is_kept() {
    let machine = Machine { outcome: Some(Outcome::Lost("killed".into())), prints: LONG, ..Machine::default() };
    let lab = Lab { machine: Arc::new(machine), ..Lab::new() };
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    assert!(matches!(end_of(&home, JobId([1; 16])).await, End::Lost(LostWhy::Poison { times: 3, .. })));
    assert_eq!(output_of(&home, JobId([1; 16])).await, (3, "hi".to_owned()));
    until(|| lab.recordings() == 1).await;
}

#[tokio::test]
async fn what_is_not_to_be_kept_any_more_is_freed_and_its_job_stays_known() {
    let machine = Machine { prints: LONG, ..Machine::default() };
    let lab = Lab { machine: Arc::new(machine), ..Lab::new() };
    let home = lab.home();
    meet(&home);
    for number in 1..=3 {
        home.submit(None, vec![job(number)]).await.unwrap();
        assert_eq!(end_of(&home, JobId([number; 16])).await, End::Done);
    }
    // One was forgotten with `rm`: its file is of no use.
    let forgotten = Change::Remove { id: JobId([3; 16]), role: Role::Sent };
    lab.store().synced(vec![forgotten]).await.unwrap();
    let clock = Clock::system();
    let sweep = |bytes_max| sweeper::sweep(&home.shared, Keep { bytes_max, ..lab.keep }, clock);
    sweep(1 << 30).await.unwrap();
    assert_eq!(lab.recordings(), 2);
    sweep(LONG as u64).await.unwrap();
    assert_eq!(lab.recordings(), 1);
    let (first, second) = (JobId([1; 16]), JobId([2; 16]));
    assert!(home.output_is_gone(first).unwrap() && home.follow(first, None).is_none());
    assert_eq!(end_of(&home, first).await, End::Done);
    assert_eq!(output_of(&home, second).await, (1, "hi".to_owned()), "the last is kept however long it is");
}

#[tokio::test]
async fn the_output_of_a_job_is_kept_for_as_long_as_the_owner_says() {
    let lab = Lab { keep: Keep { time: Duration::ZERO, bytes_max: 1 << 30 }, ..Lab::new() };
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    assert_eq!(end_of(&home, JobId([1; 16])).await, End::Done);
    sweeper::sweep(&home.shared, lab.keep, Clock::system()).await.unwrap();
    assert!(home.output_is_gone(JobId([1; 16])).unwrap());
}

#[tokio::test]
async fn whatever_a_machine_says_of_a_run_can_be_told() {
    let why = "\u{1b}[2J".repeat(100_000);
    let machine = Machine { outcome: Some(Outcome::Trapped(why)), ..Machine::default() };
    let lab = Lab { machine: Arc::new(machine), ..Lab::new() };
    let home = lab.home();
    meet(&home);
    home.submit(None, vec![job(1)]).await.unwrap();
    end_of(&home, JobId([1; 16])).await;
    let told = crate::wire::encode(&home.ended(JobId([1; 16])).unwrap().unwrap());
    assert!(told.len() < 1024 && !told.contains(&0x1b), "{}", told.len());
    let recorded = lab.store().job(JobId([1; 16]), Role::Sent).unwrap().unwrap();
    assert!(format!("{:?}", recorded.end).len() < 1024, "{:?}", recorded.end);
}

#[tokio::test]
async fn what_is_answered_to_be_cancelled_does_not_come_back() {
    let lab = Lab::new();
    let home = lab.home();
    let jobs = [JobId([1; 16]), JobId([2; 16])];
    home.submit(None, vec![job(1), job(2)]).await.unwrap();
    home.cancel(&jobs, None).await.unwrap();
    let recorded = |id| lab.store().job(id, Role::Sent).unwrap().unwrap();
    assert!(jobs.iter().all(|id| recorded(*id).end.is_some()));
}

#[tokio::test]
async fn a_job_that_is_given_twice_at_once_is_accepted_once_and_begun() {
    let lab = Lab::new();
    let home = lab.home();
    // Refused, were it new: a job without a map that names one.
    let (spec, asked) = job(1);
    let other = (JobSpec { batch: Some(BatchId(JobId([9; 16]))), ..spec }, asked);
    let both = tokio::join!(home.submit(None, vec![job(1)]), home.submit(None, vec![other]));
    assert_eq!(both, (Ok(()), Ok(())));
    meet(&home);
    assert_eq!(end_of(&home, JobId([1; 16])).await, End::Done);
    assert_eq!(lab.machine.given.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_gives_a_job_to_a_home_whose_disk_is_full_is_told_and_the_others_go_on() {
    let disk = Disk::named("home");
    let lab = Lab { disk: Some(disk), ..Lab::new() };
    let home = lab.home();
    home.submit(None, vec![job(1)]).await.unwrap();
    disk.fill(true);
    let batch = BatchSpec { id: BatchId(JobId([9; 16])), jobs_max: None, on_failure: OnFailure::KeepGoing };
    let (spec, asked) = job(2);
    let task = (JobSpec { batch: Some(batch.id), ..spec }, Asked { task: Some((batch.id.0, 0)), ..asked });
    let why = home.submit(Some(batch.clone()), vec![task.clone()]).await.unwrap_err();
    assert!(why.contains("is full") && why.contains("cache gc"), "{why}");
    assert_eq!(home.open_jobs(10).count, 1);
    assert!(home.watch(JobId([2; 16])).is_none());
    disk.fill(false);
    meet(&home);
    assert_eq!(end_of(&home, JobId([1; 16])).await, End::Done);
    // It can be given again, map and all, and nothing of the first time is left.
    home.submit(Some(batch), vec![task]).await.unwrap();
    assert_eq!(end_of(&home, JobId([2; 16])).await, End::Done);
    let told = home.ended(JobId([2; 16])).unwrap().unwrap();
    assert_eq!(told.attempt, 1);
}
