//! Who is served before whom.

use super::*;

/// Two submitters and four places; each job of `ann` takes as long as `ann_ms` says. Returns what each had of the machines
/// by the end, in milliseconds of one place, and checks the difference after every end.
fn serve(
    ann_ms: impl Fn(u64) -> u64,
    bob_ms: impl Fn(u64) -> u64,
    bob_comes_at: u64,
    until: u64,
    bound: u64,
) -> (u64, u64) {
    let mut bench = Bench::new(&[(peer(1), 2), (peer(2), 2)]);
    bench.checked = false;
    let jobs_of = |name: &str, from: u64| {
        let mine = |number| JobSpec { submitter: Submitter::named(name), ..job(number) };
        (from..from + 20_000).map(mine).collect::<Vec<_>>()
    };
    bench.submit(jobs_of("ann", 0));
    let mut running: std::collections::BTreeSet<(u64, u64, u64, Place, RunId)> = std::collections::BTreeSet::new();
    let (mut had, mut common) = ((0u64, 0u64), None);
    loop {
        for (place, run) in bench.started() {
            let number = u64::from_be_bytes(run.job.0[..8].try_into().unwrap());
            let ms = if number < 1_000_000 { ann_ms(number) } else { bob_ms(number) };
            running.insert((bench.now_ms + ms, number, ms, place, run));
        }
        if common.is_none() && bench.now_ms >= bob_comes_at {
            bench.submit(jobs_of("bob", 1_000_000));
            common = Some(had);
            continue;
        }
        let Some((at, number, ms, place, run)) = running.pop_first() else { panic!("nobody runs") };
        bench.now_ms = at;
        if at >= until {
            let (ann, bob) = common.unwrap();
            return (had.0 - ann, had.1 - bob);
        }
        bench.hears(Event::RunStarted { place, run });
        bench.ends(place, run, 0, ms);
        if number < 1_000_000 {
            had.0 += ms
        } else {
            had.1 += ms
        }
        if let Some((ann, bob)) = common {
            let apart = (had.0 - ann).abs_diff(had.1 - bob);
            assert!(apart <= bound, "{apart} ms apart at {at}");
        }
    }
}

#[test]
fn two_who_wait_get_the_same_time_however_long_their_jobs_are() {
    // What each is ahead by at most: what newcomers are credited, and what runs on all places at once.
    let bound = super::share::CREDIT_MS + 4 * 5_000;
    let (ann, bob) = serve(|_| 100, |_| 5_000, 0, 600_000, bound);
    assert!(ann.abs_diff(bob) < ann / 10, "{ann} and {bob}");
    let mut chance = 1u64;
    let mut random = move |_| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        1 + (chance >> 33) % 5_000
    };
    let times: Vec<u64> = (0..50_000).map(&mut random).collect();
    let time = |number: u64| times[usize::try_from(number % 50_000).unwrap()];
    let (ann, bob) = serve(time, |number| time(number + 7), 0, 600_000, bound);
    assert!(ann.abs_diff(bob) < ann / 10, "{ann} and {bob}");
}

#[test]
fn who_comes_late_waits_for_nobody_who_had_much_and_shuts_nobody_out() {
    let bound = super::share::CREDIT_MS + 4 * 1_000;
    let (ann, bob) = serve(|_| 1_000, |_| 1_000, 1_200_000, 1_800_000, bound);
    // Four places for ten minutes.
    assert!(ann > 900_000 && bob > 1_200_000, "{ann} and {bob}");
}

#[test]
fn the_more_urgent_goes_first_and_the_less_urgent_is_not_left_for_ever() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    let urgent = |number, priority| JobSpec { priority: Priority(priority), ..job(number) };
    bench.submit(vec![urgent(1, 0), urgent(2, -1), urgent(3, 1), urgent(4, 0)]);
    // The first was given out at once with the others in view.
    let mut order = Vec::new();
    for _ in 0..4 {
        let (place, run) = bench.started().pop().unwrap();
        order.push(u64::from_be_bytes(run.job.0[..8].try_into().unwrap()));
        bench.now_ms += 1_000;
        bench.ends(place, run, 0, 1_000);
    }
    assert_eq!(order, [3, 1, 4, 2]);
    // A stream of urgent jobs that never ends.
    bench.submit(vec![urgent(5, -1)]);
    let (place, first) = bench.started().pop().unwrap();
    bench.submit(vec![urgent(6, -1)]);
    let mut running = (place, first);
    for number in 100..140 {
        bench.submit(vec![urgent(number, 1)]);
        bench.now_ms += 1_000;
        bench.ends(running.0, running.1, 0, 1_000);
        running = bench.started().pop().unwrap();
        if running.1.job == job_id(6) {
            return;
        }
    }
    panic!("the less urgent job was never begun");
}

#[test]
fn a_job_that_fits_nobody_is_in_nobodys_way() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    let needs: Needs = "gpu".parse().unwrap();
    let picky = Arc::new(Requirements { needs, ..Requirements::default() });
    bench.submit(
        (0..50).map(|number| JobSpec { requirements: picky.clone(), priority: Priority(5), ..job(number) }).collect(),
    );
    bench.submit(vec![job(100)]);
    assert_eq!(bench.started(), [(peer(1), run(100, 1))]);
    // One that has what they need comes, and they go there.
    bench.joins(with_gpu(facts(peer(2), 2)));
    assert_eq!(bench.started(), [(peer(2), run(0, 1)), (peer(2), run(1, 1))]);
}

#[test]
fn a_job_goes_to_whoever_frees_up_first() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit((1..=3).map(job).collect());
    assert_eq!(bench.started(), [(peer(1), run(1, 1)), (peer(2), run(2, 1))]);
    bench.now_ms = 10_000;
    bench.ends(peer(2), run(2, 1), 0, 10_000);
    assert_eq!(bench.started(), [(peer(2), run(3, 1))]);
}

#[test]
fn a_machine_gets_ahead_of_its_places_as_many_short_tasks_as_a_round_trip_is_long() {
    let mut bench = Bench::new(&[(peer(1), 2)]);
    bench.submit((0..1_000).map(job).collect());
    let first = bench.started();
    assert_eq!(first.len(), 2);
    let with_it = |bench: &Bench| (0..1_000).filter(|number| !bench.home.runs_of(job_id(*number)).is_empty()).count();
    for (place, run) in first {
        bench.now_ms += 1;
        bench.ends(place, run, 0, 1);
    }
    // A turnaround of 5 ms is five tasks of 1 ms, on each of two places.
    assert_eq!(with_it(&bench), 2 + 2 * 5);
    let next: Vec<_> = bench.started();
    for (place, run) in next {
        bench.now_ms += 60_000;
        bench.ends(place, run, 0, 60_000);
    }
    assert_eq!(with_it(&bench), 2, "long tasks are bound one at a time");
}

#[test]
fn no_machine_is_given_more_than_it_lets_wait() {
    let mut bench = Bench::new(&[(peer(1), 16)]);
    bench.checked = false;
    bench.submit((0..3_000).map(job).collect());
    for _ in 0..10 {
        for (place, run) in bench.started() {
            bench.hears(Event::RunAccepted { place, run });
            bench.hears(Event::RunStarted { place, run });
            bench.now_ms += 50;
            bench.ends(place, run, 0, 1);
        }
    }
    let with_it = |bench: &Bench| (0..3_000).filter(|number| !bench.home.runs_of(job_id(*number)).is_empty()).count();
    let waiting_max = crate::defaults::QUEUE_PER_PEER_MAX as usize / 2;
    assert_eq!(with_it(&bench), 16 + waiting_max);
    // However many places it says it has.
    bench.joins(facts(peer(2), u32::MAX));
    assert_eq!(with_it(&bench), 16 + waiting_max + crate::state::runs::RUNS_PER_HOME_MAX);
}

#[test]
fn a_machine_that_takes_long_beside_its_tasks_gets_further_ahead() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit((0..1_000).map(job).collect());
    let [(place, run)] = bench.started()[..] else { panic!("it has one place") };
    bench.now_ms += 20;
    bench.hears(Event::RunAccepted { place, run });
    // What it waits there is no reason to have more wait.
    bench.now_ms += 500;
    bench.hears(Event::RunStarted { place, run });
    bench.now_ms += 10 + 20;
    bench.ends(place, run, 0, 10);
    assert_eq!(bench.started().len(), 1 + 40 / 10);
}

#[test]
fn what_is_preferred_faster_or_has_the_bytes_comes_first() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1), (peer(3), 1)]);
    let input = Input { digest: Digest::of(b"a table"), size: 1 << 30 };
    let with = |number| JobSpec { inputs: [input].into(), ..job(number) };
    let prefer = Arc::new(Requirements { prefer: vec![Who::Machine(peer(3))], ..Requirements::default() });
    bench.submit(vec![JobSpec { requirements: prefer, ..with(1) }]);
    assert_eq!(bench.started(), [(peer(3), run(1, 1))]);
    bench.ends(peer(3), run(1, 1), 0, 1_000);
    bench.submit(vec![with(2)]);
    assert_eq!(bench.started(), [(peer(3), run(2, 1))], "it has the table");
    // Of a lane's next few the one goes there whose bytes are there.
    bench.submit(vec![job(3), job(4)]);
    bench.started();
    let other = Input { digest: Digest::of(b"another table"), size: 1 << 30 };
    bench.submit(vec![JobSpec { inputs: [other].into(), ..job(5) }, with(6)]);
    bench.ends(peer(3), run(2, 1), 0, 1_000);
    assert_eq!(bench.started(), [(peer(3), run(6, 1))]);
}

#[test]
fn this_machine_comes_first_but_for_a_place_that_its_owner_keeps() {
    let mut bench = Bench::new(&[(Place::Here, 2), (peer(1), 2)]);
    bench.submit((1..=4).map(job).collect());
    let places: Vec<Place> = bench.started().into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, [Place::Here, peer(1), peer(1), Place::Here]);
}
