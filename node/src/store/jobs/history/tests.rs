use super::super::tests::{block_on, id_of};
use super::super::{Change, Kept, OtherEnd};
use super::*;

fn job(number: u32, role: Role, peer: Option<u8>, end: Option<End>) -> JobRecord {
    let mut job = JobRecord::begun(id_of(number), role, "soup.py", &[], u64::from(number));
    job.peer = peer.map(|byte| OtherEnd { id: NodeId::from_bytes([byte; 32]), name: format!("peer{byte}") });
    job.started_ms = Some(1);
    job.fuel = u64::from(number) * 10;
    job.wall_ms = u64::from(number);
    match end {
        Some(end) => job.ended(end, 1000),
        None => job,
    }
}

fn store(jobs: Vec<JobRecord>) -> (tempfile::TempDir, JobStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let changes = jobs.into_iter().map(|job| Change::Job(Box::new(job))).collect();
    block_on(store.synced(changes)).unwrap();
    (dir, store)
}

fn some() -> (tempfile::TempDir, JobStore) {
    store(vec![
        job(1, Role::Sent, Some(1), Some(End::Exited(0))),
        job(2, Role::Sent, Some(2), Some(End::Exited(3))),
        job(3, Role::Ran, Some(1), Some(End::lost("gone"))),
        job(4, Role::Sent, None, Some(End::Exited(0))),
        job(5, Role::Sent, None, None),
    ])
}

fn numbers(store: &JobStore, filter: &Filter) -> Vec<u64> {
    store.history(filter).unwrap().into_iter().map(|listed| listed.job.submitted_ms).collect()
}

#[test]
fn jobs_are_listed_newest_first_as_far_as_they_are_meant() {
    let (_dir, store) = some();
    let all = Filter::default();
    assert_eq!(numbers(&store, &all), [5, 4, 3, 2, 1]);
    assert_eq!(numbers(&store, &Filter { limit: Some(2), ..all.clone() }), [5, 4]);
    assert_eq!(numbers(&store, &Filter { since_ms: Some(2), before_ms: Some(4), ..all.clone() }), [3, 2]);
    assert_eq!(numbers(&store, &Filter { failed: true, ..all.clone() }), [3, 2]);
    assert_eq!(numbers(&store, &Filter { role: Some(Role::Ran), ..all.clone() }), [3]);
    assert_eq!(numbers(&store, &Filter { here: true, ..all.clone() }), [5, 4]);
    let peers = store.peers_called("peer1").unwrap();
    assert_eq!(numbers(&store, &Filter { peers: Some(peers.clone()), ..all }), [3, 1]);
    assert_eq!(store.peers_called(&peers[0].to_string()[..8]).unwrap(), peers);
    assert_eq!(store.peers_called("nobody").unwrap(), []);
}

#[test]
fn what_jobs_came_to_is_read_where_it_is_wanted_alone() {
    let result = potluck_runtime::JsonText::parse("[1]".to_owned()).ok();
    let record = JobRecord { result: result.clone(), ..job(1, Role::Sent, None, Some(End::Exited(0))) };
    let (_dir, store) = store(vec![record]);
    let read = |results| store.history(&Filter { results, ..Filter::default() }).unwrap()[0].job.result.clone();
    assert_eq!((read(true), read(false)), (result, None));
}

#[test]
fn sums_and_medians_are_those_of_the_jobs_that_are_meant() {
    let (_dir, store) = some();
    let Statistics { all, kinds } = store.statistics(&Filter::default()).unwrap();
    assert_eq!((all.jobs, all.fuel, all.wall_ms), (5, 150, 15));
    assert_eq!((all.fuel_median, all.wall_ms_median), (20, 2), "of the four that ended");
    assert_eq!(all.ends, BTreeMap::from([("done", 2), ("failed", 1), ("lost", 1), ("running", 1)]));
    let first = &kinds[0];
    assert_eq!((first.0.peer.as_ref(), first.1.jobs, first.1.fuel), (None, 2, 90));
    assert_eq!(kinds.iter().map(|(_, totals)| totals.jobs).sum::<u64>(), 5);
}

#[test]
fn the_one_in_the_middle_is_found() {
    for (mut numbers, middle) in [(vec![], 0), (vec![7], 7), (vec![9, 1], 1), (vec![5, 9, 1], 5)] {
        assert_eq!(median(&mut numbers), middle, "{numbers:?}");
    }
}

#[test]
fn ended_jobs_beyond_the_bound_go_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let now = crate::clock::Clock::system().unix_now_ms();
    let kept = Kept { jobs_max: 10, age_max: std::time::Duration::from_secs(3600) };
    let store = JobStore::open(dir.path(), kept).unwrap();
    let ended = |number: u32, at: u64| {
        let mut job = job(number, Role::Sent, None, None);
        job.submitted_ms = at;
        job.ended(End::Exited(0), at)
    };
    let mut fetched_later = ended(1, 1);
    fetched_later.keep_until_ms = Some(now + 1_000_000);
    let mut jobs = vec![fetched_later, ended(2, now - 7_200_000), job(3, Role::Sent, None, None)];
    jobs.extend((0..1000u32).map(|number| ended(10 + number, now - 10_000 + u64::from(number))));
    let changes: Vec<_> = jobs.into_iter().map(|job| Change::Job(Box::new(job))).collect();
    block_on(store.synced(changes)).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    // What was only just written goes some time after it was.
    while store.ids(&Filter::default()).unwrap().len() > 12 {
        assert!(std::time::Instant::now() < deadline, "{} are left", store.ids(&Filter::default()).unwrap().len());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let left = store.ids(&Filter::default()).unwrap();
    let has = |number: u32| left.contains(&(id_of(number), Role::Sent));
    assert!(has(1) && has(3) && !has(2) && !has(10) && has(1009), "{}", left.len());
}

#[test]
fn what_was_given_to_this_home_is_bounded_as_well_once_its_keeping_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open(dir.path(), Kept::EVERYTHING).unwrap();
    let ended = |number: u32, keep_until_ms: u64| {
        let job = job(number, Role::Sent, None, None).ended(End::Exited(0), u64::from(number));
        Change::Job(Box::new(JobRecord { keep_until_ms: Some(keep_until_ms), ..job }))
    };
    let mut changes: Vec<_> = (1..=20).map(|number| ended(number, 1_000)).collect();
    changes.extend((21..=23).map(|number| ended(number, 9_000)));
    block_on(store.synced(changes)).unwrap();
    let left = |now_ms| {
        block_on(store.synced(vec![Change::Prune { jobs_max: 7, ended_before_ms: 0, now_ms }])).unwrap();
        store.ids(&Filter::default()).unwrap().len()
    };
    assert_eq!(left(1_000), 23, "all are kept for somebody");
    assert_eq!(left(2_000), 7);
    assert_eq!(left(10_000), 7);
}
