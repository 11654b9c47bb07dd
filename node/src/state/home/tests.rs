use super::end::{Failure, LostWhy};
use super::saved::Saved;
use super::spec::{BatchId, BatchSpec, Input, JobSpec, Kind, OnFailure, Priority, Submitter};
use super::words::{Cancel, Kept, Refusal};
use super::*;
use crate::identity::NodeId;
use crate::state::containers::Offer;
use crate::state::home::end::End;
use crate::state::needs::{Needs, Requirements, Who};
use crate::state::now::Wall;
use crate::state::placement::Engine;
use crate::state::placement::fit::Reason;
use crate::state::placement::gpu::GpuFacts;
use crate::state::placement::machine::{Lends, MachineFacts};
use potluck_runtime::{Digest, Outcome};
use std::sync::Arc;

mod checkpoints;

mod ending;

mod fairness;

mod failures;

mod maps;

mod waiting;

/// A home, its records, and what it was last told to do.
struct Bench {
    home: Home,
    saved: Saved,
    now_ms: u64,
    effects: Vec<Effect>,
    started: Vec<(Place, RunId)>,
    asked_back: Vec<(Place, RunId)>,
    /// Of the runs that were started, those that go on from somewhere.
    restored: Vec<(RunId, Option<Input>)>,
    /// Whether it is looked at whole after every event; too dear with thousands of jobs.
    checked: bool,
}

fn peer(number: u8) -> Place {
    Place::Peer(NodeId::from_bytes([number; 32]))
}

fn job_id(number: u64) -> JobId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    JobId(bytes)
}

fn run(number: u64, attempt: u32) -> RunId {
    RunId { job: job_id(number), attempt }
}

fn job(number: u64) -> JobSpec {
    JobSpec {
        id: job_id(number),
        submitter: Submitter::named("ann"),
        batch: None,
        priority: Priority(0),
        requirements: Arc::default(),
        kind: Kind::default(),
        inputs: [].into(),
        retries: 2,
        queue_timeout_ms: None,
        wall_ms: None,
        submitted: Wall(0),
    }
}

fn facts(place: Place, places: u32) -> MachineFacts {
    MachineFacts {
        place,
        name: match place {
            Place::Here => "here".to_owned(),
            Place::Peer(id) => format!("node{}", id.as_bytes()[0]),
        },
        os: "linux".parse().ok(),
        arch: "x86_64".parse().ok(),
        cores: 4,
        memory_bytes: 4 << 30,
        memory_free_bytes: 4 << 30,
        load_milli: 0,
        gpus: Vec::new(),
        docker: None,
        tags: [].into(),
        engine: Engine::Fit,
        lends: Lends::Now,
        places,
        round_trip_ms: 1,
    }
}

/// The machine with a graphics processor that it gives to jobs.
fn with_gpu(facts: MachineFacts) -> MachineFacts {
    let gpus = vec![GpuFacts { name: "RTX 3060".to_owned(), memory_bytes: Some(12 << 30) }];
    MachineFacts { gpus, docker: Some(Offer { gives_gpus: true, ..Offer::default() }), ..facts }
}

impl Bench {
    /// A home that reaches these machines, with so many places each.
    fn new(machines: &[(Place, u32)]) -> Self {
        let home = Home::new(Now { mono: Mono(0), wall: Wall(0) });
        let (saved, effects, started, asked_back, restored) = Default::default();
        let mut bench = Self { home, saved, now_ms: 0, effects, started, asked_back, restored, checked: true };
        for (place, places) in machines {
            bench.joins(facts(*place, *places));
        }
        bench
    }

    fn joins(&mut self, facts: MachineFacts) {
        let place = facts.place;
        self.hears(Event::Seen { facts });
        self.hears(Event::Reached { place });
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.now_ms), wall: Wall(self.now_ms) }
    }

    fn hears(&mut self, event: Event) {
        let effects = self.home.handle(self.now(), event);
        self.keep(effects);
        if self.checked {
            self.home.is_sound(self.now()).unwrap();
        }
    }

    fn keep(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::Persist(record) => self.saved.apply(record.clone()).unwrap(),
                Effect::Start { place, run, restore } if restore.is_some() => {
                    self.restored.push((*run, *restore));
                    self.started.push((*place, *run));
                }
                Effect::Start { place, run, .. } => self.started.push((*place, *run)),
                Effect::Withdraw { place, run } => self.asked_back.push((*place, *run)),
                _ => {}
            }
        }
        self.effects = effects;
    }

    fn submit(&mut self, jobs: Vec<JobSpec>) {
        self.hears(Event::Submitted { batch: None, jobs });
    }

    /// The runs that were started since it was last asked.
    fn started(&mut self) -> Vec<(Place, RunId)> {
        std::mem::take(&mut self.started)
    }

    fn ends(&mut self, place: Place, run: RunId, code: i32, wall_ms: u64) {
        self.hears(Event::RunEnded { place, run, outcome: Outcome::Exited(code), wall_ms, fuel: wall_ms * 1000 });
    }

    /// Lets time pass, a sweep at a time; these machines are heard all the while.
    fn passes(&mut self, ms: u64, alive: &[Place]) {
        let until = self.now_ms + ms;
        while self.now_ms < until {
            self.now_ms = until.min(self.now_ms + SWEEP_MS);
            for place in alive {
                self.hears(Event::Heard { place: *place });
            }
            self.hears(Event::Tick);
        }
    }

    fn end_of(&self, number: u64) -> Option<End> {
        self.saved.jobs[&job_id(number)].end.as_ref().map(|(end, _)| end.clone())
    }

    /// Stops the home and starts it again from its records.
    fn restart(&mut self) {
        let (home, effects) = Home::restored(&self.saved, self.now());
        self.home = home;
        self.keep(effects);
        self.home.is_sound(self.now()).unwrap();
    }
}
