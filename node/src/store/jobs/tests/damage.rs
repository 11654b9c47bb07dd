//! A damaged file is noticed, put aside and never a wrong answer.

use super::super::*;
use super::cut::Dice;
use super::{block_on, id_of};
use std::fs;

const JOBS: u32 = 400;

fn request_of(job: u32) -> Vec<u8> {
    job.to_le_bytes().into_iter().cycle().take(50 + (job as usize * 31) % 700).collect()
}

/// A store that was closed after it was given some jobs.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(super::memory_dir()).unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let changes = (0..JOBS).flat_map(|job| {
        let (id, role) = (id_of(job), Role::Sent);
        let record = JobRecord::begun(id, role, "soup.wasm", &["--with".to_owned(), "salt".to_owned()], u64::from(job));
        let request = Change::Request { id, role, bytes: request_of(job) };
        [Change::Job(Box::new(record)), request, Change::Event { job: id, bytes: request_of(job) }]
    });
    block_on(store.synced(changes.collect())).unwrap();
    drop(store);
    assert!(!dir.path().join("jobs.db-wal").exists(), "a store that was closed leaves no log");
    dir
}

/// The jobs that are there, each checked to be what was written, or the failure that was told.
fn readable(store: &JobStore) -> Result<u32, StoreError> {
    let mut there = 0;
    for job in 0..JOBS {
        if store.job(id_of(job), Role::Sent)?.is_some() {
            there += 1;
        }
        if let Some(request) = store.request(id_of(job), Role::Sent)? {
            assert_eq!(request, request_of(job), "job {job} is told wrong");
        }
    }
    store.each_event(|_, _| {})?;
    Ok(there)
}

fn works(store: &JobStore) {
    let late = JobRecord::begun(id_of(9000), Role::Ran, "late", &[], 1);
    block_on(store.synced(vec![Change::Job(Box::new(late.clone()))])).unwrap();
    assert_eq!(store.job(late.id, Role::Ran).unwrap(), Some(late));
}

#[test]
fn flipped_bytes_are_never_a_wrong_request_and_never_the_end_of_the_store() {
    let whole = filled();
    let bytes = fs::read(whole.path().join("jobs.db")).unwrap();
    let (mut put_aside, mut unnoticed) = (0, 0);
    for seed in 0..120 {
        let mut dice = Dice(seed);
        let mut damaged = bytes.clone();
        for _ in 0..1 + dice.below(40) {
            let at = dice.below(damaged.len());
            damaged[at] ^= 1 << dice.below(8);
        }
        let dir = tempfile::tempdir_in(super::memory_dir()).unwrap();
        fs::write(dir.path().join("jobs.db"), &damaged).unwrap();
        // What opens it first may notice, or what reads it; whoever opens it then finds it mended.
        let first = JobStore::open(dir.path(), Kept::EVERYTHING);
        let noticed = match &first {
            Ok(store) => readable(store).is_err() || !store.check().unwrap().is_empty(),
            Err(StoreError::Damaged { .. }) => true,
            // The number of the version was hit: refused, and left alone.
            Err(StoreError::Later { .. }) => continue,
            Err(error) => panic!("seed {seed}: {error:?}"),
        };
        drop(first);
        let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(noticed, store.rescued().is_some(), "seed {seed}");
        if let Some(rescued) = store.rescued() {
            put_aside += 1;
            assert!(rescued.aside.exists() && store.check().unwrap().is_empty(), "seed {seed}");
        } else {
            unnoticed += 1;
        }
        readable(&store).unwrap();
        works(&store);
    }
    assert!(put_aside > 60, "{put_aside} put aside, {unnoticed} unnoticed");
}

#[test]
fn a_broken_page_costs_the_jobs_on_it_and_no_others() {
    let dir = filled();
    let path = dir.path().join("jobs.db");
    let mut bytes = fs::read(&path).unwrap();
    // The last page of jobs: their first is the root now, and has old rows on it.
    let holds_jobs = |page: &[u8]| page.windows(9).filter(|at| at == b"soup.wasm").count() > 10;
    let page = bytes.chunks(4096).rposition(holds_jobs).unwrap();
    bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    assert!(!store.check().unwrap().is_empty());
    drop(store);
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let rescued = store.rescued().unwrap();
    assert!(rescued.gaps > 0 && rescued.jobs < u64::from(JOBS), "{rescued:?}");
    assert!(rescued.jobs > u64::from(JOBS) * 3 / 4, "{rescued:?}");
    assert_eq!(u64::from(readable(&store).unwrap()), rescued.jobs);
    works(&store);
}

#[test]
fn a_file_that_is_no_database_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("jobs.db"), b"soup".repeat(5000)).unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let rescued = store.rescued().unwrap();
    assert_eq!((rescued.jobs, fs::read(&rescued.aside).unwrap()), (0, b"soup".repeat(5000)));
    works(&store);
}

#[test]
fn a_file_that_is_in_use_is_not_put_aside() {
    let dir = filled();
    let first = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    first.inner.place.suspect();
    let second = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    assert!(second.rescued().is_none());
    works(&first);
    assert_eq!(second.job(id_of(9000), Role::Ran).unwrap().unwrap().program, "late");
    drop((first, second));
    let third = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    assert!(third.rescued().is_none(), "a suspicion that was wrong is dropped");
    assert_eq!(readable(&third).unwrap(), JOBS);
}

#[test]
fn a_file_of_a_later_version_is_refused_and_left_alone() {
    let dir = filled();
    let path = dir.path().join("jobs.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let error = JobStore::open(dir.path(), Kept::EVERYTHING).err().unwrap();
    assert!(error.to_string().contains("later version of Potluck (file version 99)"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}
