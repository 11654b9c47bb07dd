//! What becomes of jobs when programs, workers, machines and homes fail.

use super::*;

#[test]
fn a_programs_own_failure_is_its_end() {
    let mut bench = Bench::new(&[(peer(1), 4), (peer(2), 4)]);
    bench.submit((1..=3).map(job).collect());
    let outcomes = [Outcome::Exited(3), Outcome::Trapped("unreachable".into())];
    for ((place, run), outcome) in bench.started().into_iter().zip(outcomes) {
        bench.hears(Event::RunEnded { place, run, outcome: outcome.clone(), wall_ms: 5, fuel: 5 });
        let ended = Some(End::Failed(Failure::Outcome(outcome)));
        assert_eq!(bench.saved.jobs[&run.job].end.as_ref().map(|(end, _)| end.clone()), ended);
    }
    assert!(bench.started().is_empty());
    let (place, last) = bench.home.runs_of(job_id(3)).pop().map(|(run, place)| (place, run)).unwrap();
    bench.hears(Event::RunRefused { place, run: last, why: Refusal::Nowhere("it is no program".into()) });
    assert!(matches!(bench.end_of(3), Some(End::Failed(Failure::Refused(why))) if why.contains("no program")));
}

#[test]
fn a_run_that_vanished_is_retried_elsewhere_first_and_so_often_as_it_may() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![job(1)]);
    let mut places = Vec::new();
    while let Some((place, run)) = bench.started().pop() {
        places.push(place);
        bench.hears(Event::RunAccepted { place, run });
        // It does not know of it any more.
        bench.passes(ATTACH_INTERVAL_MS, &[peer(1), peer(2)]);
        let ask = bench.home.machines[bench.home.machines.find(place).unwrap()].asked.unwrap().0;
        bench.now_ms += 1;
        bench.hears(Event::Inventory { place, ask, runs: vec![] });
    }
    assert_eq!(places, [peer(1), peer(2), peer(1)]);
    let Some(End::Lost(LostWhy::Vanished { runs: 3, last })) = bench.end_of(1) else { panic!("{:?}", bench.end_of(1)) };
    assert!(last.contains("node1 does not know of it"), "{last}");
}

#[test]
fn a_lease_that_ended_starts_the_job_elsewhere_and_the_first_result_counts_once() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![job(1)]);
    bench.hears(Event::RunStarted { place: peer(1), run: run(1, 1) });
    bench.started();
    bench.passes(LEASE_MS, &[peer(2)]);
    assert!(bench.started().is_empty(), "not before the lease is over");
    bench.passes(SWEEP_MS, &[peer(2)]);
    assert_eq!(bench.started(), [(peer(2), run(1, 2))]);
    assert_eq!(bench.home.runs_of(job_id(1)).len(), 2);
    // The first comes back with its result.
    bench.ends(peer(1), run(1, 1), 0, 20_000);
    assert_eq!(bench.end_of(1), Some(End::Done));
    let released: Vec<_> = bench.effects.iter().filter(|effect| matches!(effect, Effect::Release { .. })).collect();
    assert_eq!(released.len(), 2, "{released:?}");
    let ended = bench.effects.iter().position(|effect| matches!(effect, Effect::Persist(Record::End { .. })));
    let first = bench.effects.iter().position(|effect| matches!(effect, Effect::Release { .. }));
    assert!(ended < first, "its end is written down before anything of it goes");
    // What the second says changes nothing, and is released again.
    bench.ends(peer(2), run(1, 2), 0, 9);
    assert_eq!(bench.effects.first(), Some(&Effect::Release { place: peer(2), run: run(1, 2) }));
    assert_eq!(bench.saved.jobs[&job_id(1)].end, Some((End::Done, Some(run(1, 1)))));
}

#[test]
fn the_lease_of_an_idle_machine_begins_with_its_first_run() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.passes(10 * LEASE_MS, &[]);
    bench.submit(vec![job(1)]);
    bench.passes(LEASE_MS, &[]);
    assert_eq!(bench.started(), [(peer(1), run(1, 1))]);
    bench.passes(SWEEP_MS, &[]);
    assert_eq!(bench.started(), [(peer(2), run(1, 2))]);
}

#[test]
fn a_machine_that_is_heard_in_time_keeps_its_run() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit(vec![job(1)]);
    bench.passes(LEASE_MS + SWEEP_MS, &[]);
    assert_eq!(bench.home.waiting(), 1, "it waits for another machine");
    bench.hears(Event::Heard { place: peer(1) });
    assert_eq!(bench.home.waiting(), 0);
    assert_eq!(bench.started(), [(peer(1), run(1, 1))]);
    bench.ends(peer(1), run(1, 1), 0, 9);
    assert_eq!(bench.end_of(1), Some(End::Done));
}

#[test]
fn a_job_without_retries_waits_for_its_silent_machine_and_is_lost_when_that_is_given_up() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![JobSpec { retries: 0, ..job(1) }]);
    bench.started();
    bench.passes(ABSENCE_MS, &[peer(2)]);
    assert_eq!((bench.end_of(1), bench.started().len()), (None, 0));
    bench.passes(SWEEP_MS, &[peer(2)]);
    let Some(End::Lost(why)) = bench.end_of(1) else { panic!("{:?}", bench.end_of(1)) };
    assert!(why.to_string().contains("node1 was not heard from for 601 s"), "{why}");
}

#[test]
fn what_takes_its_worker_down_is_poison_after_three_times_however_many_retries_it_has() {
    let all = [(peer(1), 1), (peer(2), 1), (peer(3), 1), (peer(4), 1)];
    let mut bench = Bench::new(&all);
    bench.submit(vec![JobSpec { retries: 100, ..job(1) }]);
    let mut places = Vec::new();
    while let Some((place, run)) = bench.started().pop() {
        places.push(place);
        bench.hears(Event::RunEnded { place, run, outcome: Outcome::Lost("killed".into()), wall_ms: 0, fuel: 0 });
    }
    assert_eq!(places, [peer(1), peer(2), peer(3)], "each time another machine");
    let Some(End::Lost(why @ LostWhy::Poison { times: 3, .. })) = bench.end_of(1) else {
        panic!("{:?}", bench.end_of(1))
    };
    assert!(why.to_string().contains("node3 went down with it: killed"), "{why}");
}

#[test]
fn a_machine_where_things_go_down_is_left_alone_for_longer_each_time() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit((1..=3).map(|number| JobSpec { retries: 0, ..job(number) }).collect());
    let mut begun = Vec::new();
    for _ in 0..40 {
        for (place, run) in bench.started() {
            begun.push(bench.now_ms);
            bench.hears(Event::RunLost { place, run, why: "killed".into() });
        }
        bench.now_ms += 100;
        bench.hears(Event::Heard { place: peer(1) });
    }
    assert_eq!(begun, [0, 500, 1_500]);
}

#[test]
fn a_run_that_goes_on_long_after_its_time_was_over_is_given_up_and_released() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![JobSpec { wall_ms: Some(5_000), retries: 0, ..job(1) }, job(2)]);
    let both = bench.started();
    for (place, run) in &both {
        bench.hears(Event::RunStarted { place: *place, run: *run });
    }
    bench.passes(OVERDUE_MS + 10_000, &[peer(1), peer(2)]);
    assert_eq!(bench.end_of(1), None, "not before");
    bench.passes(SWEEP_MS, &[]);
    let Some(End::Lost(LostWhy::Vanished { runs: 1, last })) = bench.end_of(1) else { panic!("{:?}", bench.end_of(1)) };
    assert!(last.contains("did not end it when its time was over"), "{last}");
    let (place, run) = both.into_iter().find(|(_, run)| run.job == job_id(1)).unwrap();
    assert!(bench.effects.contains(&Effect::Release { place, run }), "{:?}", bench.effects);
    assert_eq!(bench.end_of(2), None, "a run whose time is not known is waited for");
}

#[test]
fn who_takes_the_machine_back_costs_the_job_no_retry() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![JobSpec { retries: 0, ..job(1) }]);
    bench.hears(Event::RunEvicted { place: peer(1), run: run(1, 1), retry_after_ms: 60_000 });
    bench.hears(Event::RunEvicted { place: peer(2), run: run(1, 2), retry_after_ms: 60_000 });
    assert_eq!(bench.started().last(), Some(&(peer(2), run(1, 2))));
    assert_eq!(bench.home.waiting(), 1);
    let lines = bench.home.why(bench.now(), job_id(1));
    assert!(matches!(&lines[0].reason, Reason::AskedToWait { seconds: 60, .. }), "{lines:?}");
    bench.passes(60_000, &[peer(1), peer(2)]);
    assert_eq!(bench.started(), [(peer(1), run(1, 3))]);
}

#[test]
fn what_machines_take_and_break_off_is_given_up_some_day_and_who_takes_it_back_is_not_counted() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![JobSpec { retries: 0, ..job(1) }]);
    let mut places = Vec::new();
    for _ in 0..1000 {
        for (place, run) in bench.started() {
            bench.hears(Event::RunAccepted { place, run });
            if run.attempt % 2 == 0 {
                bench.hears(Event::RunEvicted { place, run, retry_after_ms: 1 });
                continue;
            }
            places.push(place);
            let why = Refusal::NotNow { why: "its disk is full".into(), retry_after_ms: 1 };
            bench.hears(Event::RunRefused { place, run, why });
            if places.len() == 3 {
                bench.restart();
                bench.joins(facts(peer(1), 1));
                bench.joins(facts(peer(2), 1));
            }
        }
        bench.passes(SWEEP_MS, &[peer(1), peer(2)]);
    }
    assert_eq!((places[0], places.len()), (peer(1), BROKEN_OFF_MAX as usize));
    assert_ne!(places[0], places[1], "another machine is tried first");
    let Some(End::Lost(why @ LostWhy::BrokenOff { times: BROKEN_OFF_MAX, .. })) = bench.end_of(1) else {
        panic!("{:?}", bench.end_of(1))
    };
    assert!(why.to_string().contains("did not go on with it: its disk is full"), "{why}");
}

#[test]
fn a_run_that_is_refused_when_its_turn_has_come_is_not_kept_there() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    let place = peer(1);
    // It keeps nothing, as it says when it is asked first.
    bench.passes(ATTACH_INTERVAL_MS, &[place]);
    let asked = |bench: &Bench| bench.home.machines[bench.home.machines.find(place).unwrap()].asked.unwrap().0;
    bench.hears(Event::Inventory { place, ask: asked(&bench), runs: vec![] });
    bench.submit(vec![job(1)]);
    let first = run(1, 1);
    bench.hears(Event::RunAccepted { place, run: first });
    let why = Refusal::NotNow { why: "its disk is full".into(), retry_after_ms: 3_600_000 };
    bench.hears(Event::RunRefused { place, run: first, why });
    let before = asked(&bench);
    bench.passes(2 * ATTACH_INTERVAL_MS, &[place]);
    assert!(asked(&bench) > before, "it is asked what it keeps, though it has no run");
    bench.hears(Event::Inventory { place, ask: asked(&bench), runs: vec![(first, Kept::Ended)] });
    assert!(bench.effects.contains(&Effect::Release { place, run: first }), "{:?}", bench.effects);
}

#[test]
fn a_machine_that_refuses_a_job_for_good_is_not_asked_again() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![job(1)]);
    bench.hears(Event::RunRefused {
        place: peer(1),
        run: run(1, 1),
        why: Refusal::NotHere("more than it lends".into()),
    });
    bench.hears(Event::RunRefused {
        place: peer(2),
        run: run(1, 2),
        why: Refusal::NotHere("more than it lends".into()),
    });
    assert_eq!(bench.started().len(), 2);
    bench.passes(60_000, &[peer(1), peer(2)]);
    assert!(bench.started().is_empty());
    assert!(bench.home.why(bench.now(), job_id(1)).iter().all(|line| matches!(line.reason, Reason::Refused(_))));
    // It keeps knowing that.
    bench.restart();
    bench.joins(facts(peer(1), 1));
    assert!(bench.started().is_empty());
}

#[test]
fn a_machine_that_never_takes_one_job_is_not_asked_for_the_others_of_its_kind() {
    let mut bench = Bench::new(&[(peer(1), 4), (peer(2), 1)]);
    bench.checked = false;
    bench.submit((0..500).map(job).collect());
    let refuse = |bench: &mut Bench| {
        let mut asked = 0;
        for _ in 0..10 {
            for (place, run) in bench.started().into_iter().filter(|(place, _)| *place == peer(1)) {
                asked += 1;
                bench.hears(Event::RunRefused { place, run, why: Refusal::NotHere("it has no Python".into()) });
            }
        }
        asked
    };
    assert_eq!(refuse(&mut bench), 4, "as many as it had places for");
    assert_eq!(bench.home.lanes.len(), 1 + 4, "and no more wait by themselves");
    let lines = bench.home.why(bench.now(), job_id(400));
    assert!(matches!(&lines[0].reason, Reason::Refused(why) if why == "it has no Python"), "{lines:?}");
    // What it says of itself meanwhile changes nothing, and others are its.
    bench.hears(Event::Seen { facts: MachineFacts { load_milli: 70, ..facts(peer(1), 4) } });
    assert!(bench.started().is_empty());
    bench.submit(vec![JobSpec { kind: Kind::of(Some("python"), &[], 1), ..job(600) }]);
    assert_eq!(bench.started(), [(peer(1), run(600, 1))]);
    // When it comes anew, or some time has passed, it is asked again.
    bench.hears(Event::Reached { place: peer(1) });
    assert_eq!(refuse(&mut bench), 3);
    bench.passes(11 * 60_000, &[peer(1), peer(2)]);
    assert_eq!(refuse(&mut bench), 3);
}

#[test]
fn a_home_that_was_stopped_asks_for_its_runs_and_gives_out_no_number_twice() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit((1..=3).map(job).collect());
    bench.hears(Event::RunAccepted { place: peer(1), run: run(1, 1) });
    bench.started();
    bench.restart();
    assert_eq!((bench.home.len(), bench.home.waiting()), (3, 1));
    bench.joins(facts(peer(1), 1));
    let Some(Effect::Attach { ask, .. }) = bench.effects.iter().find(|e| matches!(e, Effect::Attach { .. })).cloned()
    else {
        panic!("{:?}", bench.effects)
    };
    let stray = RunId { job: job_id(77), attempt: 1 };
    bench.hears(Event::Inventory { place: peer(1), ask, runs: vec![(run(1, 1), Kept::Ended), (stray, Kept::Ended)] });
    assert!(bench.effects.contains(&Effect::Collect { place: peer(1), run: run(1, 1) }), "{:?}", bench.effects);
    assert!(bench.effects.contains(&Effect::Release { place: peer(1), run: stray }), "{:?}", bench.effects);
    bench.ends(peer(1), run(1, 1), 0, 5);
    assert_eq!(bench.started(), [(peer(1), run(3, 1))]);
    // The other machine never had what was about to be given to it: it is given it again, as the same run.
    bench.joins(facts(peer(2), 1));
    let Some(Effect::Attach { ask, .. }) = bench.effects.iter().find(|e| matches!(e, Effect::Attach { .. })).cloned()
    else {
        panic!("{:?}", bench.effects)
    };
    bench.hears(Event::Inventory { place: peer(2), ask, runs: vec![] });
    assert_eq!(bench.started(), [(peer(2), run(2, 1))]);
}

#[test]
fn a_peer_that_is_put_out_gives_its_jobs_back_at_once() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![job(1)]);
    bench.hears(Event::Removed { place: peer(1) });
    assert_eq!(bench.started(), [(peer(1), run(1, 1)), (peer(2), run(1, 2))]);
    assert!(bench.home.why(bench.now(), job_id(1)).iter().all(|line| line.place != peer(1)));
}

#[test]
fn an_answer_to_an_earlier_question_takes_nothing_away() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit(vec![job(1)]);
    bench.hears(Event::RunAccepted { place: peer(1), run: run(1, 1) });
    let (asked, _) = bench.home.machines[0].asked.unwrap();
    bench.now_ms += 10;
    bench.hears(Event::Inventory { place: peer(1), ask: asked - 1, runs: vec![] });
    assert_eq!(bench.home.runs_of(job_id(1)).len(), 1);
}

#[test]
fn what_was_given_after_a_machine_was_asked_is_not_given_again_by_its_answer() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    let (asked, _) = bench.home.machines[0].asked.unwrap();
    bench.now_ms += 10;
    bench.submit(vec![job(1)]);
    assert_eq!(bench.started(), [(peer(1), run(1, 1))]);
    bench.hears(Event::Inventory { place: peer(1), ask: asked, runs: vec![] });
    assert!(bench.started().is_empty());
    // An answer to a later question says that it has not come there.
    bench.passes(ATTACH_INTERVAL_MS, &[peer(1)]);
    let (asked, _) = bench.home.machines[0].asked.unwrap();
    bench.hears(Event::Inventory { place: peer(1), ask: asked, runs: vec![] });
    assert_eq!(bench.started(), [(peer(1), run(1, 1))]);
}
