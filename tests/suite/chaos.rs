//! Chaos: while several people's jobs run on two nodes, workers, sweepers, commands and whole nodes are killed at moments
//! nobody chose. Every job ends as it should or with a failure that has a name; afterwards no process and no directory is
//! left, and both nodes do honest work.
//!
//! It is over after some dozens of kills, or after `POTLUCK_CHAOS_SECONDS`. `POTLUCK_CHAOS_SEED` repeats an order of kills and
//! of jobs, though not how the machine interleaves them.

mod jobs;
mod killer;
mod tally;

use crate::random::{Random, number_in, seed};
use crate::sessions::listed;
use crate::sight::is_at_rest;
use jobs::Submitter;
use killer::Killer;
use potluck_tests::{Home, guest, join, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tally::Tally;

/// How many processes are killed where no time is given.
const KILLS: u64 = 60;
/// The two machines that lend themselves.
const LENDERS: [&str; 2] = ["attic", "barn"];
/// People without a node, each of whom has one job after the other.
const SUBMITTERS: u64 = 3;

#[test]
fn whoever_is_killed_at_whatever_moment_no_job_hangs_and_nothing_is_left() {
    let seed = seed("POTLUCK_CHAOS_SEED");
    let time = number_in("POTLUCK_CHAOS_SECONDS").map(Duration::from_secs);
    let lenders = LENDERS.map(|name| Home::with_python().named(name));
    let submitters: Vec<Home> = (0..SUBMITTERS).map(|_| Home::with_python()).collect();
    let mut killer = Killer::new(&lenders, Random::of(seed, 0));
    for submitter in &submitters {
        killer.nodes().for_each(|node| join(node, submitter));
    }
    let (over, tally) = (AtomicBool::new(false), Tally::default());
    thread::scope(|scope| {
        let guests = submitters.iter().map(|home| Submitter::guest(home, &LENDERS));
        let owners = lenders.iter().map(Submitter::owner);
        for (number, submitter) in guests.chain(owners).enumerate() {
            let (over, tally, random) = (&over, &tally, Random::of(seed, 1 + number as u64));
            scope.spawn(move || submitter.submit_until(over, random, tally));
        }
        let _over = Over(&over);
        let start = Instant::now();
        let goes_on = |kills: u64| time.map_or(kills < KILLS, |time| start.elapsed() < time);
        while goes_on(killer.kills()) && !over.load(Ordering::Relaxed) {
            killer.strike();
        }
    });
    eprintln!("{killer}\n{tally}");
    killer.nodes().for_each(|node| assert_works(node.home(), &submitters[0]));
    killer.stop();
    lenders.iter().for_each(assert_nothing_unfinished);
    lenders.iter().chain(&submitters).for_each(Home::assert_nothing_left);
}

/// The node answers, ends the sessions that are still there, has no trace of any job, and runs another.
#[track_caller]
fn assert_works(home: &Home, other: &Home) {
    home.potluck(["status"]).finish().expect(0);
    for session in listed(home) {
        let id = session["session"].as_str().or(session["id"].as_str()).expect("a session has an id").to_owned();
        home.potluck(["session", "stop", &id]).finish().expect(0);
    }
    until("nothing of any job is left at the node", || is_at_rest(home).then_some(()));
    let name = home.potluck(["whoami", "--json"]).finish().expect(0).json()["name"].as_str().map(str::to_owned);
    let name = name.expect("a node has a name");
    for (submitter, place) in [(home, "local"), (other, name.as_str())] {
        // It may have started a moment ago, and is first to be found again.
        until("an honest job runs", || {
            let finished = submitter.run(["--on", place]).arg(guest("weave")).arg("1").finish();
            (finished.code() == 0).then(|| assert_eq!(finished.out(), "0\n"))
        });
    }
}

/// The node, which was started again since it was killed last, has removed what it was in the middle of writing.
#[track_caller]
pub(crate) fn assert_nothing_unfinished(home: &Home) {
    let data = home.config().join("data");
    let entries = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    for dir in ["mounts", "sessions"] {
        assert_eq!(entries(&data.join(dir)), Vec::<PathBuf>::new(), "{dir}");
    }
    let is_unfinished = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(".tmp") || name.contains("partial")
    };
    let left: Vec<PathBuf> = entries(&data).into_iter().filter(is_unfinished).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// Says that it is over, also when whoever holds it panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
