//! What is accepted and what is not, how long it waits, and what is said of why.

use super::*;

#[test]
fn what_is_accepted_is_written_down_before_and_twice_is_once() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit(vec![job(1), job(1), job(2)]);
    let accepted = bench.effects.iter().position(|effect| matches!(effect, Effect::Accepted { .. })).unwrap();
    let written = |effect: &Effect| matches!(effect, Effect::Persist(Record::Job(_)));
    assert_eq!(bench.effects[..accepted].iter().filter(|effect| written(effect)).count(), 2);
    bench.submit(vec![job(2)]);
    assert!(!bench.effects.iter().any(written));
    assert!(matches!(&bench.effects[0], Effect::Accepted { jobs } if jobs == &[job_id(2)]));
    assert_eq!(bench.home.len(), 2);
}

#[test]
fn too_many_are_refused_with_the_cure_and_leave_nothing_behind() {
    let mut bench = Bench::new(&[]);
    let other = JobSpec { batch: Some(BatchId(job_id(5))), ..job(1) };
    bench.submit(vec![other]);
    assert!(matches!(&bench.effects[0], Effect::NotAccepted { why, .. } if why.contains("another map")));
    let picky = |number: u64| {
        let tag = format!("tag=t{number}").parse::<Needs>().unwrap();
        JobSpec { requirements: Arc::new(Requirements { needs: tag, ..Requirements::default() }), ..job(number) }
    };
    bench.submit((0..5_000).map(picky).collect());
    assert!(matches!(&bench.effects[0], Effect::NotAccepted { why, .. } if why.contains("4096 different")));
    assert!(bench.home.is_empty() && bench.saved.jobs.is_empty());
    bench.submit((0..4_000).map(picky).collect());
    assert_eq!(bench.home.len(), 4_000);
}

#[test]
fn who_waits_too_long_is_told_what_stood_in_the_way() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1), (peer(3), 1)]);
    let needs: Needs = "gpu".parse().unwrap();
    let requirements = Arc::new(Requirements { needs, ..Requirements::default() });
    bench.submit(vec![JobSpec { requirements, queue_timeout_ms: Some(5_000), ..job(1) }]);
    bench.hears(Event::Gone { place: peer(3) });
    bench.passes(4_000, &[]);
    assert_eq!(bench.end_of(1), None);
    bench.passes(2_000, &[]);
    let end = bench.end_of(1).unwrap().to_string();
    assert_eq!(end, "lost: no machine fitted within 5 s (3 machines: has no GPU that it can see)");
}

#[test]
fn a_wait_goes_on_while_the_home_is_stopped() {
    let mut bench = Bench::new(&[]);
    bench.submit(vec![JobSpec { queue_timeout_ms: Some(60_000), ..job(1) }]);
    bench.now_ms = 59_000;
    bench.restart();
    assert_eq!(bench.home.len(), 1);
    bench.passes(2_000, &[]);
    assert!(bench.end_of(1).unwrap().to_string().contains("no machine is known"));
}

#[test]
fn each_machine_has_one_reason_and_what_would_change_it() {
    let mut bench = Bench::new(&[(Place::Here, 1), (peer(1), 1), (peer(2), 1), (peer(3), 1)]);
    let mac = MachineFacts { os: "macos".parse().ok(), ..facts(peer(4), 1) };
    let closed = MachineFacts { lends: Lends::Not("lends from 22:00".into()), ..facts(peer(5), 1) };
    bench.joins(mac);
    bench.joins(closed);
    bench.hears(Event::Gone { place: peer(2) });
    bench.hears(Event::Paused { paused: true });
    let requirements = Requirements {
        needs: "os=linux".parse().unwrap(),
        avoid: vec![Who::Machine(peer(3))],
        ..Requirements::default()
    };
    let requirements = Arc::new(requirements);
    let wanted = |number| JobSpec { requirements: requirements.clone(), ..job(number) };
    bench.submit(vec![wanted(1), wanted(2)]);
    let lines: Vec<String> = bench.home.why(bench.now(), job_id(2)).iter().map(ToString::to_string).collect();
    let expected = [
        "here: its owner has paused it (`potluck resume` lends it again)",
        "node1: all of its places (1) are taken (it gets one when a run there ends; `potluck share` there gives more places)",
        "node2: cannot be reached; it was last heard 0 s ago (start it, or connect it to the network; `potluck peers` shows when it is back)",
        "node3: is to be avoided, and others fit (leave it out of `--avoid`)",
        "node4: runs macos, and the job needs linux (leave `os=linux` out of `--need`)",
        "node5: does not lend itself now: lends from 22:00 (its owner decides with `potluck share` there)",
    ];
    assert_eq!(lines, expected);
    let first = bench.home.why(bench.now(), job_id(1));
    assert_eq!(first[1].reason, Reason::HasIt);
}

#[test]
fn what_is_to_be_avoided_serves_when_nobody_else_fits() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    let avoid = Arc::new(Requirements { avoid: vec![Who::Machine(peer(1))], ..Requirements::default() });
    bench.submit(vec![JobSpec { requirements: avoid, ..job(1) }]);
    assert_eq!(bench.started(), [(peer(1), run(1, 1))]);
}

#[test]
fn who_pauses_this_machine_gets_no_more_of_its_homes_jobs() {
    let mut bench = Bench::new(&[(Place::Here, 4)]);
    bench.hears(Event::Paused { paused: true });
    bench.submit(vec![job(1)]);
    assert!(bench.started().is_empty());
    bench.hears(Event::Paused { paused: false });
    assert_eq!(bench.started(), [(Place::Here, run(1, 1))]);
    // What the owner ended goes on here as soon as they are through.
    bench.hears(Event::Paused { paused: true });
    bench.hears(Event::RunEvicted { place: Place::Here, run: run(1, 1), retry_after_ms: 3_600_000 });
    bench.hears(Event::Paused { paused: false });
    assert_eq!(bench.started(), [(Place::Here, run(1, 2))]);
}

#[test]
fn nobody_is_woken_for_nothing() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    let asks = |bench: &Bench| bench.effects.iter().any(|effect| matches!(effect, Effect::WakeAt(_)));
    let (ask, _) = bench.home.machines[0].asked.unwrap();
    bench.now_ms = 10;
    bench.hears(Event::Inventory { place: peer(1), ask, runs: vec![] });
    bench.passes(5_000, &[]);
    assert!(!asks(&bench), "{:?}", bench.effects);
    bench.submit(vec![job(1)]);
    assert!(asks(&bench));
}

#[test]
fn a_rehearsal_says_where_a_job_would_go_and_leaves_nothing_behind() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.joins(with_gpu(facts(peer(3), 1)));
    let wanting = |needs: &str, avoid: Vec<Who>| {
        let needs = needs.parse().unwrap();
        JobSpec { requirements: Arc::new(Requirements { needs, avoid, ..Requirements::default() }), ..job(7) }
    };
    let now = bench.now();
    let told = |bench: &mut Bench, spec| {
        let rehearsal = bench.home.rehearse(now, spec);
        bench.home.is_sound(now).unwrap();
        assert!(bench.home.is_empty() && !bench.home.has(job_id(7)));
        (rehearsal.goes_to, rehearsal.lines.len())
    };
    assert_eq!(told(&mut bench, wanting("cpu=1,gpu", Vec::new())), (Some("node3".to_owned()), 2));
    assert_eq!(told(&mut bench, wanting("cpu=1", vec![Who::Machine(peer(1))])), (Some("node2".to_owned()), 1));
    assert_eq!(told(&mut bench, wanting("tag=nowhere", Vec::new())), (None, 3));
    // Where it would go is where it goes.
    bench.submit(vec![wanting("cpu=1", vec![Who::Machine(peer(1))])]);
    assert_eq!(bench.started(), [(peer(2), run(7, 1))]);
    let full = bench.home.rehearse(now, JobSpec { requirements: wanting("cpu=1,gpu", vec![]).requirements, ..job(8) });
    assert_eq!(full.goes_to.as_deref(), Some("node3"));
}
