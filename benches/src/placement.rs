//! What deciding costs a home: a hundred thousand jobs over a thousand machines, from their acceptance to their ends, and one
//! end and the start that follows it with queues of different length. Only the decisions are timed; no run takes place, and
//! nothing is written down.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use potluck_node::identity::NodeId;
use potluck_node::state::containers::Offer;
use potluck_node::state::home::Home;
use potluck_node::state::home::run::RunId;
use potluck_node::state::home::saved::Saved;
use potluck_node::state::home::spec::{BatchId, BatchSpec, Input, JobSpec, Kind, OnFailure, Priority, Submitter};
use potluck_node::state::home::words::{Effect, Event};
use potluck_node::state::needs::Requirements;
use potluck_node::state::now::{Mono, Now, Wall};
use potluck_node::state::placement::gpu::GpuFacts;
use potluck_node::state::placement::machine::{Lends, MachineFacts};
use potluck_node::state::placement::{Engine, Place};
use potluck_node::wire::JobId;
use potluck_runtime::{Digest, Outcome};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

const MACHINES: u64 = 1_000;
const PLACES: u32 = 4;
const JOBS: u64 = 100_000;

fn id_bytes<const N: usize>(number: u64) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(ms) }
}

/// Machines of four kinds.
fn facts(number: u64) -> MachineFacts {
    let gpu = GpuFacts { name: "RTX 3060".to_owned(), memory_bytes: None };
    MachineFacts {
        place: Place::Peer(NodeId::from_bytes(id_bytes(number))),
        name: format!("node{number}"),
        os: if number.is_multiple_of(4) { "macos" } else { "linux" }.parse().ok(),
        arch: "x86_64".parse().ok(),
        cores: 8,
        memory_bytes: 8 << 30,
        memory_free_bytes: 4 << 30,
        load_milli: 100,
        gpus: if number.is_multiple_of(10) { vec![gpu] } else { Vec::new() },
        docker: Some(Offer { answers: true, images: Vec::new(), gives_gpus: true }),
        tags: [].into(),
        engine: Engine::Fit,
        lends: Lends::Now,
        places: PLACES,
        round_trip_ms: 1,
    }
}

/// A home that reaches them all.
fn home() -> Home {
    let mut home = Home::new(now(0));
    for number in 0..MACHINES {
        let facts = facts(number);
        let place = facts.place;
        black_box(home.handle(now(0), Event::Seen { facts }));
        black_box(home.handle(now(0), Event::Reached { place }));
    }
    home
}

/// Jobs of four submitters, with four kinds of needs.
fn jobs(count: u64, batch: Option<BatchId>) -> Vec<JobSpec> {
    let kinds = ["os=linux", "cpu=2", "gpu", "mem=1G"].map(|text| {
        let needs = text.parse().expect("these are needs");
        Arc::new(Requirements { needs, ..Requirements::default() })
    });
    let names = ["ann", "bob", "eve", "joe"].map(Submitter::named);
    let table = Digest::of(b"a table that all of them read");
    let job = |number: u64| {
        let kind = usize::try_from(number % 4).expect("it is small");
        let own = Digest::of(&number.to_be_bytes());
        JobSpec {
            id: JobId(id_bytes(number)),
            submitter: names[kind].clone(),
            batch,
            priority: Priority(0),
            kind: Kind::default(),
            requirements: kinds[usize::try_from(number / 4 % 4).expect("it is small")].clone(),
            inputs: [Input { digest: table, size: 1 << 24 }, Input { digest: own, size: 1 << 10 }].into(),
            retries: 2,
            queue_timeout_ms: None,
            wall_ms: None,
            submitted: Wall(0),
        }
    };
    (0..count).map(job).collect()
}

/// Adds the runs that were started.
fn started(effects: Vec<Effect>, running: &mut VecDeque<(Place, RunId)>) {
    for effect in effects {
        if let Effect::Start { place, run, .. } = effect {
            running.push_back((place, run));
        }
    }
}

/// The run that has been longest with its machine ends, and the next is given out.
fn end_one(home: &mut Home, running: &mut VecDeque<(Place, RunId)>, at_ms: u64) -> bool {
    let Some((place, run)) = running.pop_front() else { return false };
    let outcome = Outcome::Exited(0);
    let effects = home.handle(now(at_ms), Event::RunEnded { place, run, outcome, wall_ms: 200, fuel: 200_000 });
    started(effects, running);
    true
}

/// All of them, from acceptance to end.
fn drain(mut home: Home, jobs: Vec<JobSpec>) -> u64 {
    let mut running = VecDeque::new();
    started(home.handle(now(0), Event::Submitted { batch: None, jobs }), &mut running);
    let mut ended = 0;
    while end_one(&mut home, &mut running, ended / 20) {
        ended += 1;
    }
    assert!(home.is_empty(), "{} jobs are left", home.len());
    ended
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("home");
    group.sample_size(10).throughput(Throughput::Elements(JOBS));
    group.bench_function("100,000 jobs over 1,000 machines, accepted to ended", |bencher| {
        bencher.iter_batched(|| (home(), jobs(JOBS, None)), |(home, jobs)| drain(home, jobs), BatchSize::PerIteration);
    });
    group.bench_function("100,000 jobs accepted, 4,000 of them placed", |bencher| {
        let submit = |(mut home, jobs): (Home, Vec<JobSpec>)| {
            let effects = home.handle(now(0), Event::Submitted { batch: None, jobs });
            (home, effects)
        };
        bencher.iter_batched(|| (home(), jobs(JOBS, None)), submit, BatchSize::PerIteration);
    });
    let batch = BatchSpec { id: BatchId(JobId([9; 16])), jobs_max: None, on_failure: OnFailure::KeepGoing };
    let mut saved = Saved::default();
    let submitted = Event::Submitted { batch: Some(batch.clone()), jobs: jobs(JOBS, Some(batch.id)) };
    for effect in home().handle(now(0), submitted) {
        if let Effect::Persist(record) = effect {
            saved.apply(record).expect("records follow from each other");
        }
    }
    group.bench_function("100,000 jobs of a map found again after a restart", |bencher| {
        bencher.iter(|| black_box(Home::restored(&saved, now(0))));
    });
    group.finish();
}

fn one(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("home, one end and the next start");
    group.throughput(Throughput::Elements(1));
    for waiting in [1_000, 10_000, 100_000] {
        // As many more as end while it is measured come in the same moment, so the queue stays as long.
        let mut home = home();
        let mut running = VecDeque::new();
        let total = waiting + MACHINES * u64::from(PLACES);
        started(home.handle(now(0), Event::Submitted { batch: None, jobs: jobs(total, None) }), &mut running);
        let mut next = total;
        let spare = jobs(4, None);
        group.bench_function(format!("{waiting} waiting"), |bencher| {
            bencher.iter(|| {
                let like = &spare[usize::try_from(next % 4).expect("it is small")];
                let job = JobSpec { id: JobId(id_bytes(next)), ..like.clone() };
                next += 1;
                started(home.handle(now(next / 20), Event::Submitted { batch: None, jobs: vec![job] }), &mut running);
                end_one(&mut home, &mut running, next / 20)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole, one);
criterion_main!(benches);
