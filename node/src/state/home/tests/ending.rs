//! Jobs whose guests are asked to end.

use super::*;

/// A home with a job that runs at this machine, which was asked to end.
fn asked() -> (Bench, RunId) {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit(vec![job(1)]);
    bench.hears(Event::RunStarted { place: peer(1), run: run(1, 1) });
    cancel(&mut bench, Cancel::Ask);
    (bench, run(1, 1))
}

fn cancel(bench: &mut Bench, how: Cancel) {
    bench.hears(Event::Cancelled { job: job_id(1), how });
}

fn winner(bench: &Bench) -> Option<Option<RunId>> {
    bench.saved.jobs[&job_id(1)].end.as_ref().map(|(_, winner)| *winner)
}

#[test]
fn a_guest_that_runs_is_asked_and_what_it_leaves_is_the_jobs_whatever_it_says() {
    for outcome in [Outcome::Cancelled, Outcome::Exited(0), Outcome::Exited(3)] {
        let (mut bench, run) = asked();
        let is_record = |effect: &Effect| matches!(effect, Effect::Persist(Record::Ending { .. }));
        assert!(is_record(&bench.effects[0]), "written down before anybody is told: {:?}", bench.effects);
        assert_eq!(bench.effects[1], Effect::AskToEnd { place: peer(1), run });
        assert_eq!(bench.end_of(1), None);
        bench.hears(Event::RunEnded { place: peer(1), run, outcome, wall_ms: 5, fuel: 5 });
        assert_eq!((bench.end_of(1), winner(&bench)), (Some(End::Cancelled), Some(Some(run))));
    }
}

#[test]
fn whoever_asks_twice_or_will_not_wait_ends_it_at_once() {
    for how in [Cancel::Ask, Cancel::Now] {
        let (mut bench, run) = asked();
        cancel(&mut bench, how);
        assert_eq!((bench.end_of(1), winner(&bench)), (Some(End::Cancelled), Some(None)));
        assert!(bench.effects.contains(&Effect::Release { place: peer(1), run }), "{:?}", bench.effects);
    }
}

#[test]
fn what_does_not_run_or_cannot_be_asked_is_ended_at_once() {
    let mut waits = Bench::new(&[]);
    waits.submit(vec![job(1)]);
    cancel(&mut waits, Cancel::Ask);
    let mut offered = Bench::new(&[(peer(1), 1)]);
    offered.submit(vec![job(1)]);
    cancel(&mut offered, Cancel::Ask);
    let mut gone = Bench::new(&[(peer(1), 1)]);
    gone.submit(vec![job(1)]);
    gone.hears(Event::RunStarted { place: peer(1), run: run(1, 1) });
    gone.hears(Event::Gone { place: peer(1) });
    cancel(&mut gone, Cancel::Ask);
    for bench in [waits, offered, gone] {
        assert_eq!(bench.end_of(1), Some(End::Cancelled));
    }
}

#[test]
fn one_that_is_lost_or_taken_back_meanwhile_is_not_run_again() {
    let (place, run) = (peer(1), run(1, 1));
    for event in [
        Event::RunLost { place, run, why: "it fell over".into() },
        Event::RunEvicted { place, run, retry_after_ms: 10 },
        Event::RunRefused { place, run, why: Refusal::Withdrawn },
        Event::Removed { place },
    ] {
        let (mut bench, _) = asked();
        bench.joins(facts(peer(2), 1));
        bench.started();
        bench.hears(event);
        assert_eq!((bench.end_of(1), bench.started()), (Some(End::Cancelled), vec![]));
    }
}

#[test]
fn it_ends_also_when_nothing_is_heard_and_when_its_home_was_stopped() {
    let (mut bench, _) = asked();
    bench.passes(ENDING_MS - 2_000, &[peer(1)]);
    assert_eq!(bench.end_of(1), None);
    bench.passes(4_000, &[peer(1)]);
    assert_eq!(bench.end_of(1), Some(End::Cancelled));
    let (mut silent, _) = asked();
    silent.passes(LEASE_MS + 2 * SWEEP_MS, &[]);
    assert_eq!(silent.end_of(1), Some(End::Cancelled));
    let (mut stopped, _) = asked();
    stopped.restart();
    assert_eq!(stopped.end_of(1), Some(End::Cancelled));
    assert!(stopped.home.is_empty());
}
