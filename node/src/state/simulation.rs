//! Many nodes as machines, under one seed: homes and runners with what they have written down, a network that loses, delays,
//! doubles and parts, crashes between any two effects, clocks that are hours off. After every step it is checked that nothing
//! is lost, nothing ends twice, nothing is stuck and no owner's limit is passed.
//!
//! A seed that fails prints one line that runs it again, made as small as a few tries can. `POTLUCK_SIM_SCHEDULES` says how many
//! seeds are tried, from `POTLUCK_SIM_FIRST`; `POTLUCK_SIM_SEED` runs one; `POTLUCK_SIM_NODES`, `_JOBS` and `_FAULTS` give sizes.

mod chance;

mod plan;

mod runner;

mod world;

mod network;

mod faults;

mod checks;

mod sabotage;

use plan::Plan;
use sabotage::Sabotage;
use std::collections::BTreeMap;
use world::World;

/// Seeds of an ordinary run of the tests.
const SCHEDULES: u64 = 150;

/// What a schedule came to: how often each thing was met.
#[derive(Clone, Debug, Default)]
pub(super) struct Report(BTreeMap<&'static str, u64>);

impl Report {
    pub(super) fn met(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| *self.0.entry(what).or_default() += count);
    }
}

/// What a storm must show, or it is no test.
const MUST_BE_MET: [&str; 20] = [
    "attach",
    "cancelled",
    "cancelled by its map",
    "clock",
    "crash",
    "cut",
    "done",
    "failed",
    "given back",
    "lost: no machine",
    "lost: poison",
    "lost: vanished",
    "node down",
    "paused",
    "peer removed",
    "race",
    "refused",
    "second run won",
    "start again",
    "withdraw",
];

fn run(plan: &Plan) -> Result<Report, String> {
    World::new(plan.clone()).run()
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The smallest plan that fails as well: fewer faults, fewer jobs, fewer nodes, as long as that helps.
fn smaller(plan: &Plan, why: String) -> (Plan, String) {
    let (mut best, mut why) = (plan.clone(), why);
    loop {
        let Plan { faults, jobs, nodes, .. } = best;
        let fewer = |count: usize| [count / 2, count * 3 / 4, count.saturating_sub(1)];
        let tries = fewer(faults).map(|faults| Plan { faults, ..best.clone() }).into_iter();
        let tries = tries.chain(fewer(jobs).map(|jobs| Plan { jobs, ..best.clone() }));
        let tries = tries.chain(fewer(nodes).map(|nodes| Plan { nodes, ..best.clone() }));
        let is_smaller = |plan: &Plan| plan.jobs >= 1 && plan.nodes >= 2 && plan.size() < best.size();
        let found = tries.filter(is_smaller).find_map(|plan| run(&plan).err().map(|why| (plan, why)));
        match found {
            Some(found) => (best, why) = found,
            None => return (best, why),
        }
    }
}

fn fail(plan: &Plan, why: String) -> ! {
    let (Plan { seed, nodes, jobs, faults, .. }, why) = smaller(plan, why);
    panic!(
        "{why}\nPOTLUCK_SIM_SEED={seed} POTLUCK_SIM_NODES={nodes} POTLUCK_SIM_JOBS={jobs} POTLUCK_SIM_FAULTS={faults} cargo \
         nextest run --release --workspace --locked --lib -E 'package(potluck-node) & test(every_schedule)'"
    );
}

#[test]
fn every_schedule_of_crashes_loss_and_partitions_keeps_the_promise() {
    let size = |name| number(name).map(|size| usize::try_from(size).expect("a size is small"));
    let (nodes, jobs, faults) = (size("POTLUCK_SIM_NODES"), size("POTLUCK_SIM_JOBS"), size("POTLUCK_SIM_FAULTS"));
    let plan = |seed| {
        let plan = Plan::faulty(seed);
        Plan {
            nodes: nodes.unwrap_or(plan.nodes),
            jobs: jobs.unwrap_or(plan.jobs),
            faults: faults.unwrap_or(plan.faults),
            ..plan
        }
    };
    if let Some(seed) = number("POTLUCK_SIM_SEED") {
        match run(&plan(seed)) {
            Err(why) => panic!("{why}"),
            Ok(report) => return eprintln!("{report:?}"),
        }
    }
    let schedules = number("POTLUCK_SIM_SCHEDULES").unwrap_or(SCHEDULES);
    let first = number("POTLUCK_SIM_FIRST").unwrap_or(1);
    let mut all = Report::default();
    for seed in first..first + schedules {
        match run(&plan(seed)) {
            Err(why) => fail(&plan(seed), why),
            Ok(report) => all.add(&report),
        }
    }
    eprintln!("{schedules} schedules: {:?}", all.0);
    let missing: Vec<_> = MUST_BE_MET.iter().filter(|what| !all.0.contains_key(**what)).collect();
    assert!(missing.is_empty(), "no schedule has shown {missing:?}");
}

#[test]
fn without_faults_every_job_ends_as_its_program_does() {
    for seed in 1..=20 {
        let plan = Plan::calm(seed);
        match run(&plan) {
            Err(why) => panic!("seed {seed}: {why}"),
            Ok(report) => assert!(!report.0.keys().any(|what| what.starts_with("lost")), "seed {seed}: {report:?}"),
        }
    }
}

/// Whatever is broken on purpose is found out.
#[test]
fn every_sabotage_is_caught() {
    for sabotage in Sabotage::ALL {
        let caught = (1..=60).find_map(|seed| {
            let plan = Plan { sabotage: Some(sabotage), ..Plan::faulty(seed) };
            run(&plan).err().map(|why| (seed, why))
        });
        let (seed, why) = caught.unwrap_or_else(|| panic!("{sabotage:?} was not caught"));
        eprintln!("{sabotage:?}: seed {seed}: {}", why.lines().take(2).collect::<Vec<_>>().join(" "));
    }
}

#[test]
fn a_schedule_that_fails_is_made_small() {
    let plan = Plan { sabotage: Some(Sabotage::StartBeforePersist), ..Plan::faulty(1) };
    let why = run(&plan).expect_err("it is caught");
    let (small, why) = smaller(&plan, why);
    assert_eq!(small.size(), (0, 1, 2), "{why}");
    assert_eq!(run(&small).err(), Some(why), "and fails in the same way each time");
}
