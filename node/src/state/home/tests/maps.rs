//! Maps: their limits, their stragglers, and what one failure does to the others.

use super::*;

fn map(jobs_max: Option<u32>, on_failure: OnFailure) -> BatchSpec {
    BatchSpec { id: BatchId(job_id(9_999)), jobs_max, on_failure }
}

fn task(number: u64) -> JobSpec {
    JobSpec { batch: Some(BatchId(job_id(9_999))), ..job(number) }
}

#[test]
fn a_map_has_no_more_with_machines_than_it_may() {
    let mut bench = Bench::new(&[(peer(1), 8)]);
    let batch = Some(map(Some(3), OnFailure::KeepGoing));
    bench.hears(Event::Submitted { batch, jobs: (0..10).map(task).collect() });
    assert_eq!(bench.started().len(), 3);
    assert!(bench.home.why(bench.now(), job_id(9)).iter().all(|line| line.reason == Reason::MapLimit { jobs_max: 3 }));
    bench.ends(peer(1), run(0, 1), 0, 500);
    assert_eq!(bench.started(), [(peer(1), run(3, 1))]);
}

#[test]
fn one_that_fails_stops_those_that_wait_or_none() {
    for (on_failure, cancelled) in [(OnFailure::StopTheRest, 7), (OnFailure::KeepGoing, 0)] {
        let mut bench = Bench::new(&[(peer(1), 2)]);
        bench.hears(Event::Submitted { batch: Some(map(None, on_failure)), jobs: (0..9).map(task).collect() });
        bench.ends(peer(1), run(0, 1), 1, 500);
        let count = (0..9).filter(|number| bench.end_of(*number) == Some(End::Cancelled)).count();
        assert_eq!(count, cancelled, "{on_failure:?}");
        assert_eq!(bench.end_of(1), None, "what runs goes on");
    }
}

#[test]
fn a_straggler_is_raced_once_and_the_first_result_counts() {
    let mut bench = Bench::new(&[(peer(1), 4), (peer(2), 4)]);
    bench.hears(Event::Submitted { batch: Some(map(None, OnFailure::KeepGoing)), jobs: (0..8).map(task).collect() });
    let started = bench.started();
    for (place, run) in &started {
        bench.hears(Event::RunStarted { place: *place, run: *run });
    }
    bench.now_ms = 1_000;
    let (slow_place, slow) = started[0];
    for (place, run) in &started[1..] {
        bench.ends(*place, *run, 0, 1_000);
    }
    bench.passes(2_000, &[peer(1), peer(2)]);
    assert!(bench.started().is_empty(), "three times the median is not over");
    bench.passes(2_000, &[peer(1), peer(2)]);
    let raced = bench.started();
    let other = if slow_place == peer(1) { peer(2) } else { peer(1) };
    assert_eq!(raced, [(other, RunId { attempt: 2, ..slow })]);
    bench.hears(Event::RunStarted { place: raced[0].0, run: raced[0].1 });
    bench.passes(60_000, &[peer(1), peer(2)]);
    assert!(bench.started().is_empty(), "one race is all");
    bench.ends(raced[0].0, raced[0].1, 0, 1_000);
    assert_eq!(bench.end_of(0), Some(End::Done));
    assert!(bench.effects.contains(&Effect::Release { place: slow_place, run: slow }));
    assert!(bench.home.is_empty());
}

#[test]
fn what_waits_at_a_slow_machine_is_asked_back_when_another_has_a_place() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit((0..2).map(job).collect());
    bench.ends(peer(1), run(0, 1), 0, 1);
    bench.submit((2..7).map(job).collect());
    let with_it = bench.started();
    assert_eq!(with_it.len(), 2 + 5, "short tasks run ahead: {with_it:?}");
    for (place, run) in &with_it[1..] {
        bench.hears(Event::RunAccepted { place: *place, run: *run });
    }
    bench.hears(Event::RunStarted { place: peer(1), run: run(1, 1) });
    bench.joins(facts(peer(2), 2));
    bench.passes(3_000, &[peer(1), peer(2)]);
    // As many as the other has places, one in each sweep.
    let [(place, back), ..] = bench.asked_back[..] else { panic!("{with_it:?}") };
    assert_eq!((bench.asked_back.len(), place), (2, peer(1)));
    bench.hears(Event::RunRefused { place, run: back, why: Refusal::Withdrawn });
    assert_eq!(bench.started(), [(peer(2), RunId { attempt: 2, ..back })]);
}

#[test]
fn a_map_that_is_cancelled_ends_all_of_it() {
    let mut bench = Bench::new(&[(peer(1), 2)]);
    let batch = map(None, OnFailure::KeepGoing);
    bench.hears(Event::Submitted { batch: Some(batch.clone()), jobs: (0..5).map(task).collect() });
    bench.hears(Event::BatchCancelled { batch: batch.id, how: Cancel::Now });
    assert!((0..5).all(|number| bench.end_of(number) == Some(End::Cancelled)));
    assert_eq!(bench.effects.iter().filter(|effect| matches!(effect, Effect::Release { .. })).count(), 2);
    assert!(bench.home.is_empty());
}
