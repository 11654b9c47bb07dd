//! The store as a whole.

use super::*;

mod cut;

pub(crate) mod disk;

mod power_cut;

mod damage;

mod earlier;

mod full_disk;

/// A store on a disk that can be full.
pub(crate) fn store_on(disk: &'static disk::Disk, dir: &Path) -> JobStore {
    JobStore::open_at(Place::with_vfs(dir, disk.name(), 1000), Kept::EVERYTHING).unwrap()
}

/// Notes on a disk that remembers that its directory was synced.
pub(super) fn dir_synced(vfs: Option<&'static str>) {
    if let Some(disk) = vfs.and_then(disk::Disk::find) {
        disk.dir_synced();
    }
}

/// The id of the job with this number.
pub(super) fn id_of(number: u32) -> JobId {
    let digest = potluck_runtime::Digest::of(&number.to_le_bytes());
    JobId(digest.as_bytes()[..16].try_into().unwrap())
}

/// Waits for what another thread does, without a runtime.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A directory whose syncs cost nothing, where there is one.
fn memory_dir() -> PathBuf {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() }
}

#[test]
fn changes_by_many_at_once_and_from_two_openings_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let stores =
        [JobStore::open(dir.path(), Kept::EVERYTHING).unwrap(), JobStore::open(dir.path(), Kept::EVERYTHING).unwrap()];
    std::thread::scope(|scope| {
        for part in 0..8u32 {
            let store = &stores[part as usize % 2];
            scope.spawn(move || {
                for number in part * 50..(part + 1) * 50 {
                    let job = JobRecord::begun(id_of(number), Role::Sent, "soup", &[], 1);
                    block_on(store.synced(vec![Change::Job(Box::new(job))])).unwrap();
                }
            });
        }
    });
    assert!((0..400).all(|number| stores[0].job(id_of(number), Role::Sent).unwrap().is_some()));
}

#[test]
fn a_job_is_told_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let mut job = JobRecord::begun(id_of(1), Role::Ran, "söup.py", &["-x".to_owned()], 17);
    job.peer = Some(OtherEnd { id: crate::identity::NodeId::from_bytes([7; 32]), name: "ann".to_owned() });
    job.digest = Some(potluck_runtime::Digest::of(b"soup"));
    job.started_ms = Some(18);
    job.fuel = u64::MAX;
    job.task = Some((id_of(2), u32::MAX));
    job.priority = -3;
    job.submitter = "bob".to_owned();
    job.keep_until_ms = Some(99);
    let job = job.ended(End::lost("the machine vanished"), 20);
    block_on(store.synced(vec![Change::Job(Box::new(job.clone()))])).unwrap();
    let told = store.job(job.id, Role::Ran).unwrap().unwrap();
    assert_eq!(told, JobRecord { fuel: i64::MAX as u64, ..job });
    assert_eq!(store.job(id_of(1), Role::Sent).unwrap(), None);
}

#[test]
fn a_job_that_is_removed_takes_all_that_is_its_along() {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let (id, role) = (id_of(1), Role::Sent);
    let job = JobRecord::begun(id, role, "soup", &[], 1);
    let request = Change::Request { id, role, bytes: vec![1] };
    let event = Change::Event { job: id, bytes: vec![2] };
    block_on(store.synced(vec![Change::Job(Box::new(job)), request, event])).unwrap();
    assert_eq!(store.request(id, role).unwrap(), Some(vec![1]));
    block_on(store.synced(vec![Change::Remove { id, role }])).unwrap();
    assert_eq!((store.job(id, role).unwrap(), store.request(id, role).unwrap()), (None, None));
    store.each_event(|_, _| panic!("an event is left")).unwrap();
}

#[test]
fn jobs_are_found_by_any_beginning_that_is_theirs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let id = |third: u8| JobId([0xab, 0xcd, 0xef, third, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let put = |id: JobId| Change::Job(Box::new(JobRecord::begun(id, Role::Sent, "soup", &[], 1)));
    block_on(store.synced(vec![put(id(1)), put(id(2)), put(JobId([0x77; 16]))])).unwrap();
    assert_eq!(store.find("7").unwrap(), JobId([0x77; 16]));
    assert_eq!(store.find(&id(2).to_string()).unwrap(), id(2));
    let ambiguous = store.find("ABC").unwrap_err().to_string();
    assert!(ambiguous.contains("abcdef01 (soup), abcdef02 (soup); give more"), "{ambiguous}");
    assert!(matches!(store.find("12"), Err(IdError::Unknown(_))));
    assert!(matches!(store.find("-"), Err(IdError::NotHex(_))));
    assert_eq!(store.shortened(JobId([0x77; 16])).unwrap(), "777777");
    assert_eq!(store.shortened(id(1)).unwrap(), "abcdef01");
}

#[test]
fn runs_that_are_kept_are_found_by_any_beginning_of_their_jobs_ids() {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let id = |number: u8| JobId([0xa0 + number; 16]);
    let kept = |job: u8, home: u8| {
        let key = RecordingKey { job: id(job), role: Role::Ran, home: [home; 32], attempt: 1 };
        Change::KeptRun(Box::new(KeptRunRow { key, state: 0, since_ms: 1, request: Some(vec![home]) }))
    };
    block_on(store.synced(vec![kept(1, 1), kept(1, 2), kept(2, 1)])).unwrap();
    assert_eq!((store.kept_jobs("A").unwrap(), store.kept_jobs("a2").unwrap()), (vec![id(1), id(2)], vec![id(2)]));
    assert!(store.kept_jobs("-").unwrap().is_empty() && store.kept_jobs("").unwrap().is_empty());
    let runs = store.kept_runs_of(id(1)).unwrap();
    assert_eq!(runs.iter().map(|run| run.request.as_deref()).collect::<Vec<_>>(), [Some(&[1][..]), Some(&[2])]);
}

#[test]
fn what_commands_leave_is_known_to_whoever_opens_the_store_next() {
    let dir = tempfile::tempdir().unwrap();
    let left = |number: u32| {
        let job = JobRecord::begun(id_of(number), Role::Sent, "soup", &[], 1).ended(End::Exited(0), 2);
        JobStore::leave(dir.path(), &Spooled { job, receipt: None }, Kept::EVERYTHING).unwrap();
    };
    left(1);
    assert!(!dir.path().join("jobs.db").exists(), "no database is opened for one command");
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    assert!(store.job(id_of(1), Role::Sent).unwrap().is_some());
    drop(store);
    (2..3000).for_each(left);
    assert!(dir.path().join("jobs.spool").metadata().unwrap().len() < 600_000, "the spool is taken in when it is full");
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    assert!((1..3000).all(|number| store.job(id_of(number), Role::Sent).unwrap().is_some()));
}

#[test]
fn what_a_job_has_come_to_is_known_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let result = potluck_runtime::JsonText::parse("{\"mean\":4.5}".to_owned()).unwrap();
    let job = JobRecord { result: Some(result), ..JobRecord::begun(JobId([1; 16]), Role::Sent, "a.py", &[], 5) };
    let job = job.ended(End::Exited(0), 7);
    block_on(store.synced(vec![Change::Job(Box::new(job.clone()))])).unwrap();
    assert_eq!(store.job(job.id, Role::Sent).unwrap(), Some(job.clone()));
    // Also of a job that a command ran by itself, however long it is.
    let long = potluck_runtime::JsonText::parse(format!("\"{}\"", "x".repeat(60_000))).unwrap();
    let left = JobRecord { id: JobId([2; 16]), result: Some(long), ..job };
    JobStore::leave(dir.path(), &Spooled { job: left.clone(), receipt: None }, Kept::EVERYTHING).unwrap();
    drop(store);
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    assert_eq!(store.job(left.id, Role::Sent).unwrap(), Some(left));
}
