//! Accepted jobs survive a power cut at any moment, whatever part of the writes after the last sync reached the disk.

use super::super::*;
use super::cut::{Dice, State, Unsynced};
use super::disk::Disk;
use super::{block_on, id_of};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// Jobs of one life, each of which changes some times.
const JOBS: u32 = 96;
const VERSIONS: u32 = 4;
/// Pages of the log after which it is taken into the file: often, so that cuts fall into that as well.
const LOG_PAGES: u32 = 40;

/// How the program makes changes, and when it believes in them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    AfterSync,
    /// On purpose wrong.
    AtOnce,
}

/// What the job asks for in this version: long enough to cross pages.
fn request_of(job: u32, version: u32) -> Vec<u8> {
    let seed = (job * VERSIONS + version).to_le_bytes();
    seed.into_iter().cycle().take(300 + (job as usize * 97) % 5000).collect()
}

fn changes_of(job: u32, version: u32) -> Vec<Change> {
    let (id, role) = (id_of(job), Role::Sent);
    let mut record = JobRecord::begun(id, role, "soup.wasm", &[], 1);
    record.attempts = version;
    let run = RunRecord {
        job: id,
        role,
        attempt: version,
        peer: None,
        accepted_ms: 1,
        started_ms: None,
        ended_ms: None,
        end: None,
        fuel: 0,
    };
    vec![
        Change::Job(Box::new(record)),
        Change::Request { id, role, bytes: request_of(job, version) },
        Change::Run(Box::new(run)),
        Change::Event { job: id, bytes: version.to_le_bytes().to_vec() },
    ]
}

/// A life of the store: many callers at once, closed and opened again in between.
fn live(disk: &'static Disk, promise: Promise) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::with_vfs(dir.path(), disk.name(), LOG_PAGES);
    for part in 0..3 {
        let store = JobStore::open_at(place.clone(), Kept::EVERYTHING).unwrap();
        let next = AtomicU32::new(JOBS / 3 * part);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    loop {
                        let job = next.fetch_add(1, Ordering::Relaxed);
                        if job >= JOBS / 3 * (part + 1) {
                            return;
                        }
                        for version in 1..=VERSIONS {
                            match promise {
                                Promise::AfterSync => block_on(store.synced(changes_of(job, version))).unwrap(),
                                Promise::AtOnce => store.recorded(changes_of(job, version)).unwrap(),
                            }
                            disk.told(job, version);
                        }
                        // Something nobody waits for, between what is waited for.
                        let other = JobRecord::begun(id_of(1000 + job), Role::Ran, "other", &[], 1);
                        store.recorded(vec![Change::Job(Box::new(other))]).unwrap();
                    }
                });
            }
        });
    }
}

/// What is missing after a cut, or wrong; `None` if all is as it was promised.
fn broken_promise(state: &State, unsynced: Unsynced, dice: &mut Dice) -> Option<String> {
    let dir = tempfile::tempdir_in(super::memory_dir()).unwrap();
    state.cut(unsynced, dice, dir.path());
    let store = match JobStore::open(dir.path(), Kept::EVERYTHING) {
        Ok(store) => store,
        Err(error) => return Some(format!("it does not open: {error}")),
    };
    if let Some(rescued) = store.rescued() {
        return Some(format!("it was damaged: {rescued:?}"));
    }
    let faults = store.check().unwrap();
    if !faults.is_empty() {
        return Some(format!("it is not whole: {faults:?}"));
    }
    let mut events: HashMap<JobId, u32> = HashMap::new();
    let mut out_of_order = None;
    let told = store.each_event(|job, bytes| {
        let version = u32::from_le_bytes(bytes.try_into().unwrap());
        if events.insert(job, version).unwrap_or(0) + 1 != version {
            out_of_order = Some(format!("event {version} of {job} does not follow from the one before"));
        }
    });
    told.unwrap();
    out_of_order.or_else(|| (0..JOBS).find_map(|job| missing(&store, state, &events, job)))
}

fn missing(store: &JobStore, state: &State, events: &HashMap<JobId, u32>, job: u32) -> Option<String> {
    let id = id_of(job);
    let told = state.told.get(&job).copied().unwrap_or(0);
    let known = store.job(id, Role::Sent).unwrap().map_or(0, |record| record.attempts);
    if known < told {
        return Some(format!("job {job} was promised in version {told} and is there in {known}"));
    }
    let request = store.request(id, Role::Sent).unwrap();
    let runs = store.runs(id, Role::Sent).unwrap().len();
    let whole = match known {
        0 => request.is_none() && runs == 0 && !events.contains_key(&id),
        known => request == Some(request_of(job, known)) && runs == known as usize && events.get(&id) == Some(&known),
    };
    (!whole).then(|| format!("job {job} is there in version {known} and not all of it is"))
}

/// Cuts the power `cuts` times, each at another moment; returns the first broken promise.
fn cut_often(disk: &Disk, cuts: usize, seed: u64) -> Result<usize, String> {
    let history = disk.history();
    let mut dice = Dice(seed);
    let mut moments: Vec<usize> = (0..cuts).map(|_| dice.below(history.len() + 1)).collect();
    moments.sort_unstable();
    let (mut state, mut at) = (State::default(), 0);
    for moment in moments {
        history[at..moment].iter().for_each(|op| state.step(op));
        at = moment;
        let chance = (0..2).map(|_| Unsynced::Chance);
        for unsynced in [Unsynced::Lost, Unsynced::Kept].into_iter().chain(chance) {
            if let Some(broken) = broken_promise(&state, unsynced, &mut dice) {
                return Err(format!("cut before operation {moment} of {}, {unsynced:?}: {broken}", history.len()));
            }
        }
    }
    Ok(cuts * 4)
}

#[test]
fn every_accepted_job_survives_a_power_cut_at_any_moment() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seed, cuts) = (number("POTLUCK_POWER_SEED", 5), number("POTLUCK_POWER_CUTS", 150));
    let disk = Disk::named("power");
    live(disk, Promise::AfterSync);
    let checked = cut_often(disk, usize::try_from(cuts).unwrap(), seed);
    let checked = checked.unwrap_or_else(|broken| panic!("POTLUCK_POWER_SEED={seed}: {broken}"));
    eprintln!("{checked} states after power cuts, of {} operations", disk.history().len());
}

#[test]
fn power_cuts_find_a_store_that_promises_before_it_syncs() {
    let disk = Disk::named("hasty");
    live(disk, Promise::AtOnce);
    let broken = cut_often(disk, 150, 5).unwrap_err();
    assert!(broken.contains("was promised"), "{broken}");
}
