//! A disk that is full for a while.

use super::super::*;
use super::disk::Disk;
use super::{block_on, id_of};
use std::time::{Duration, Instant};

fn job(number: u32, program: &str) -> Change {
    Change::Job(Box::new(JobRecord::begun(id_of(number), Role::Sent, program, &[], 1)))
}

#[test]
fn a_full_disk_is_told_by_name_and_costs_nothing_that_was_accepted() {
    let disk = Disk::named("full");
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open_at(Place::with_vfs(dir.path(), disk.name(), 1000), Kept::EVERYTHING).unwrap();
    block_on(store.synced(vec![job(1, "accepted")])).unwrap();
    disk.fill(true);
    let error = block_on(store.synced(vec![job(2, "refused"), job(3, "refused")])).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("jobs.db is full") && text.contains("potluck cache gc"), "{text}");
    // What nobody waits for is kept until it can be written.
    store.recorded(vec![job(4, "later")]).unwrap();
    let again = block_on(store.synced(vec![job(5, "refused")])).unwrap_err();
    assert!(matches!(again, StoreError::Full { .. }), "{again:?}");
    disk.fill(false);
    block_on(store.synced(vec![job(6, "accepted")])).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.job(id_of(4), Role::Sent).unwrap().is_none() {
        assert!(Instant::now() < deadline, "what was recorded is not written");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(store);
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let known = |number: u32| store.job(id_of(number), Role::Sent).unwrap().map(|job| job.program);
    let known: Vec<_> = (1..=6).map(known).collect();
    let accepted = || Some("accepted".to_owned());
    assert_eq!(known, [accepted(), None, None, Some("later".to_owned()), None, accepted()]);
}

#[test]
fn what_waits_for_a_full_disk_is_bounded() {
    let disk = Disk::named("fuller");
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open_at(Place::with_vfs(dir.path(), disk.name(), 1000), Kept::EVERYTHING).unwrap();
    disk.fill(true);
    let refused = (0..100_000).find_map(|number| store.recorded(vec![job(number, "later")]).err().map(|e| (number, e)));
    let (number, error) = refused.unwrap();
    assert!(matches!(error, StoreError::Backlog { .. }) && (1000..10_000).contains(&number), "{number}: {error}");
    disk.fill(false);
}
