//! Files of earlier versions, kept as they were written.

use super::super::*;

/// The store of a file that was kept, which every version has: the same six jobs.
fn brought_up_to_date(file: &[u8]) -> (tempfile::TempDir, JobStore) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jobs.db"), file).unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    assert!(store.rescued().is_none() && store.check().unwrap().is_empty());
    let role = |number: u8| if number.is_multiple_of(2) { Role::Ran } else { Role::Sent };
    for number in 1..=6u8 {
        let id = JobId([number; 16]);
        let job = store.job(id, role(number)).unwrap().unwrap();
        assert_eq!((job.program, job.fuel), (format!("job{number}.py"), u64::from(number) * 1000));
        assert_eq!(store.request(id, role(number)).unwrap(), Some(vec![number; 20]));
    }
    let lost = store.job(JobId([3; 16]), Role::Sent).unwrap().unwrap();
    assert_eq!(lost.end, Some(End::Lost("it vanished".to_owned())));
    let mut events = Vec::new();
    store.each_event(|job, bytes| events.push((job.0[0], bytes.to_vec()))).unwrap();
    assert_eq!(events, (1..=6).map(|number| (number, vec![number])).collect::<Vec<_>>());
    // The book of work begins with what is known: 1 and 3 were run there, 2 and 4 here; 5 had no other end, 6 has not ended.
    let accounts = store.ledger(None).unwrap();
    let work: Vec<_> =
        accounts.iter().map(|account| (&*account.name, account.for_us.fuel, account.for_them.fuel)).collect();
    assert_eq!(work, [("peer0", 0, 6000), ("peer1", 4000, 0)]);
    (dir, store)
}

#[test]
fn a_file_of_version_1_is_brought_up_to_date_and_loses_nothing() {
    brought_up_to_date(include_bytes!("kept/version-1.db"));
}

#[test]
fn a_file_of_version_2_is_brought_up_to_date_and_loses_nothing() {
    let (_dir, store) = brought_up_to_date(include_bytes!("kept/version-2.db"));
    let job = JobId([3; 16]);
    let kept = store.receipt(job, Role::Sent).unwrap().unwrap();
    assert_eq!((&*kept.receipt.body, kept.receipt.signature), (&b"said"[..], [7; 64]));
    assert_eq!(kept.wrong.as_deref(), Some("it is of another job"));
    assert_eq!((store.told(job).unwrap(), store.kept_runs().unwrap().len()), (None, 0));
}

#[test]
fn a_file_of_version_3_is_brought_up_to_date_and_loses_nothing() {
    let (_dir, store) = brought_up_to_date(include_bytes!("kept/version-3.db"));
    assert_eq!(store.job(JobId([3; 16]), Role::Sent).unwrap().unwrap().result, None);
}
