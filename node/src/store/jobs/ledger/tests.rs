use super::super::tests::{block_on, id_of};
use super::super::{Change, End, Kept, OtherEnd};
use super::*;

fn open(dir: &std::path::Path) -> JobStore {
    JobStore::open(dir, Kept::EVERYTHING).unwrap()
}

fn job(number: u32, role: Role, day: u64, fuel: u64) -> JobRecord {
    let mut job = JobRecord::begun(id_of(number), role, "soup.py", &[], day * DAY_MS);
    job.peer = Some(OtherEnd { id: NodeId::from_bytes([7; 32]), name: format!("attic{day}") });
    job.started_ms = Some(day * DAY_MS);
    job.fuel = fuel;
    job.wall_ms = 3;
    job.ended(End::Exited(0), day * DAY_MS + 5)
}

fn write(store: &JobStore, changes: Vec<Change>) {
    block_on(store.synced(changes)).unwrap();
}

fn kept(wrong: Option<&str>) -> KeptReceipt {
    KeptReceipt { receipt: Receipt { body: vec![1, 2], signature: [3; 64] }, wrong: wrong.map(str::to_owned) }
}

#[test]
fn each_job_is_counted_once_and_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let running = JobRecord { end: None, ended_ms: None, ..job(1, Role::Sent, 10, 0) };
    write(&store, vec![Change::Job(Box::new(running))]);
    assert!(store.ledger(None).unwrap().is_empty(), "a job that has not ended");
    for _ in 0..3 {
        write(&store, vec![Change::Job(Box::new(job(1, Role::Sent, 10, 100)))]);
    }
    let refused = JobRecord { started_ms: None, ..job(2, Role::Sent, 10, 9) };
    let here = JobRecord { peer: None, ..job(3, Role::Sent, 10, 9) };
    write(&store, vec![Change::Job(Box::new(refused)), Change::Job(Box::new(here))]);
    write(&store, vec![Change::Job(Box::new(job(4, Role::Ran, 12, 40)))]);
    write(&store, vec![Change::Remove { id: id_of(1), role: Role::Sent }]);
    let one = |jobs, fuel| Work { jobs, fuel, wall_ms: 3 * jobs, ..Work::default() };
    let account = store.ledger(None).unwrap().remove(0);
    assert_eq!((account.for_us, account.for_them), (one(1, 100), one(1, 40)));
    assert_eq!(account.name, "attic12", "the name it has now");
    let later = store.ledger(Some(11 * DAY_MS)).unwrap().remove(0);
    assert_eq!((later.for_us, later.for_them), (Work::default(), one(1, 40)));
    assert!(store.ledger(Some(13 * DAY_MS)).unwrap().is_empty());
}

#[test]
fn receipts_are_kept_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (number, wrong) in [(1, None), (2, Some("its output is another than arrived")), (1, Some("late"))] {
        let receipt = Change::Receipt { job: id_of(number), role: Role::Sent, kept: Box::new(kept(wrong)) };
        write(&store, vec![Change::Job(Box::new(job(number, Role::Sent, 10, 1))), receipt]);
    }
    write(&store, vec![Change::Job(Box::new(job(3, Role::Sent, 10, 1)))]);
    let work = store.ledger(None).unwrap().remove(0).for_us;
    assert_eq!((work.jobs, work.receipts, work.wrong_receipts), (3, 2, 1));
    assert_eq!(store.receipt(id_of(1), Role::Sent).unwrap(), Some(kept(None)));
    assert_eq!(store.receipt(id_of(3), Role::Sent).unwrap(), None);
    write(&store, vec![Change::Remove { id: id_of(1), role: Role::Sent }]);
    assert_eq!(store.receipt(id_of(1), Role::Sent).unwrap(), None);
}

#[test]
fn a_peer_that_claims_all_the_fuel_there_is_does_not_break_the_sums() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..2000 {
        let greedy = JobRecord { wall_ms: u64::MAX, ..job(number, Role::Sent, u64::from(number % 2), u64::MAX) };
        write(&store, vec![Change::Job(Box::new(greedy))]);
    }
    let work = store.ledger(None).unwrap().remove(0).for_us;
    assert_eq!(work.jobs, 2000);
    assert!(work.fuel > u64::MAX / 4096 && work.wall_ms > 0, "{work:?}");
}
