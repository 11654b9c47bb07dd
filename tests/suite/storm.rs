//! A storm: three hosts of real networks, and a map that goes on through it. Nodes are killed, that of the map's home among them,
//! cables are pulled and plugged in again, and the command itself is killed and run again, at moments nobody chose. When it is
//! over, every task has its result once, every job has one end, and nothing is left anywhere.
//!
//! It is over after half a minute, or after `POTLUCK_STORM_SECONDS`, which also says how many tasks there are.
//! `POTLUCK_STORM_SEED` repeats an order of strikes, though not how the machine interleaves them.

mod account;
mod load;
pub(crate) mod weather;

use crate::chaos::assert_nothing_unfinished;
use crate::random::{Random, number_in, seed};
use crate::sight::is_at_rest;
use load::Load;
use potluck_tests::{DEADLINE, Home, holds_within, in_lab, until};
use std::time::{Duration, Instant};
use weather::{Weather, hosts_of_a_group};

/// How long it blows where no time is given.
const SECONDS: u64 = 35;
/// Tasks for each second of it: more than are done meanwhile, so that all of it is felt.
const TASKS_PER_SECOND: u64 = 17;
/// Of so many tasks one is Python's.
const PYTHON_OF: u64 = 50;

#[test]
fn whatever_becomes_of_nodes_cables_and_commands_each_task_has_its_result_once() {
    in_lab("storm::whatever_becomes_of_nodes_cables_and_commands_each_task_has_its_result_once", |lab| {
        let seed = seed("POTLUCK_STORM_SEED");
        let seconds = number_in("POTLUCK_STORM_SECONDS").unwrap_or(SECONDS);
        let homes = hosts_of_a_group(lab, 3);
        let tasks = seconds * TASKS_PER_SECOND;
        let mut load = Load::new(&homes[0], seed, tasks - tasks / PYTHON_OF, tasks / PYTHON_OF);
        let mut weather = Weather::over(lab, &homes, Random::of(seed, 0));
        load.start();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            weather.strike(&mut load);
        }
        eprintln!("{weather}\n{} tasks, {load}", load.tasks());
        weather.clear_up();
        let rounds = load.finish();
        eprintln!("all is done after {rounds} rounds, {:?} after the beginning", start.elapsed());
        eprintln!("{} jobs had more than one run", account::assert_each_once(&load));
        homes.iter().for_each(assert_at_rest);
        weather.end();
        homes.iter().for_each(assert_nothing_unfinished);
        homes.iter().for_each(Home::assert_nothing_left);
    });
}

/// The node keeps nothing of any run: neither a process, nor a directory, nor anything that was said.
#[track_caller]
fn assert_at_rest(home: &Home) {
    until("nothing of any run is left at the node", || is_at_rest(home).then_some(()));
    let mut kept = Vec::new();
    let let_go = holds_within(DEADLINE, || {
        kept = account::kept_at(home);
        kept.is_empty()
    });
    assert!(let_go, "kept at {} for nobody: {kept:#?}", home.root().display());
}
