//! What a seed stands for: how many nodes, what they are, what they are given to do, and how bad the weather is.

use super::chance::Chance;
use super::sabotage::Sabotage;
use crate::identity::NodeId;
use crate::state::home::spec::{BatchId, BatchSpec, Input, JobSpec, Kind, OnFailure, Priority, Submitter};
use crate::state::needs::Requirements;
use crate::state::now::Wall;
use crate::wire::JobId;
use potluck_runtime::Digest;
use std::sync::Arc;

/// A schedule.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) jobs: usize,
    /// How long things go wrong.
    pub(super) storm_ms: u64,
    /// Of a thousand messages so many are lost, or doubled.
    pub(super) lossy_permille: u64,
    /// Of a thousand effects so many are the last before a crash.
    pub(super) crash_permille: u64,
    /// Faults in the storm.
    pub(super) faults: usize,
    pub(super) sabotage: Option<Sabotage>,
}

/// What a job does wherever it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Exits(i32),
    KillsItsWorker,
    KillsItsNode,
}

/// A job, and what it does.
#[derive(Clone, Debug)]
pub(super) struct SimJob {
    pub(super) spec: JobSpec,
    pub(super) does: Does,
    pub(super) takes_ms: u64,
    /// Its home told its submitter that it is accepted.
    pub(super) accepted: bool,
    /// Somebody wanted no more of it.
    pub(super) may_be_cancelled: bool,
    /// It is cancelled when another of its map fails.
    pub(super) stops_with_its_map: bool,
}

/// Jobs that are given at once.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    pub(super) home: usize,
    pub(super) at: u64,
    pub(super) batch: Option<BatchSpec>,
    pub(super) jobs: Vec<JobId>,
}

impl Plan {
    /// Weather of a bad day.
    pub(super) fn faulty(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let jobs = usize::try_from(chance.spread(20, 1_000)).expect("it is small");
        Self {
            seed,
            nodes: 50,
            jobs,
            storm_ms: chance.spread(20_000, 300_000),
            lossy_permille: [0, 5, 50, 200][chance.index(4)],
            crash_permille: [0, 1, 5][chance.index(3)],
            faults: chance.index(60),
            sabotage: None,
        }
    }

    /// A good day.
    pub(super) fn calm(seed: u64) -> Self {
        Self { nodes: 8, lossy_permille: 0, crash_permille: 0, faults: 0, ..Self::faulty(seed) }
    }

    /// How much there is to look at when it fails.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.faults, self.jobs, self.nodes)
    }

    pub(super) fn is_calm(&self) -> bool {
        (self.lossy_permille, self.crash_permille, self.faults) == (0, 0, 0)
    }

    /// Nodes that are given jobs: one in sixteen, and one at least.
    pub(super) fn homes(&self) -> usize {
        (self.nodes / 16).max(1)
    }
}

/// The id of a node by its number.
pub(super) fn node_id(index: usize) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(index as u64).to_be_bytes());
    NodeId::from_bytes(bytes)
}

/// Its number again.
pub(super) fn node_index(id: &NodeId) -> usize {
    let bytes: [u8; 8] = id.as_bytes()[..8].try_into().expect("an id has more than eight bytes");
    usize::try_from(u64::from_be_bytes(bytes)).expect("it was a number of a node")
}

fn job_id(number: usize) -> JobId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    JobId(bytes)
}

/// What is given to whom, and when.
pub(super) fn work(plan: &Plan, chance: &mut Chance) -> (Vec<SimJob>, Vec<Submission>) {
    let (mut jobs, mut submissions): (Vec<SimJob>, Vec<Submission>) = (Vec::new(), Vec::new());
    let needs = ["", "cpu=2", "os=linux", "tag=fast", "os=macos", "mem=2G,os=linux"];
    let needs = needs.map(|text| {
        let mut requirements = Requirements::default();
        if !text.is_empty() {
            requirements.needs.add(text).expect("these are needs");
        }
        Arc::new(requirements)
    });
    while jobs.len() < plan.jobs {
        let home = chance.index(plan.homes());
        let is_map = chance.permille(400);
        let count = if is_map { chance.between(2, 60) } else { 1 };
        let count = usize::try_from(count).expect("it is small").min(plan.jobs - jobs.len());
        let on_failure = if chance.permille(200) { OnFailure::StopTheRest } else { OnFailure::KeepGoing };
        let jobs_max = chance.permille(200).then(|| u32::try_from(chance.between(1, 8)).expect("it is small"));
        let id = BatchId(job_id(1_000_000 + submissions.len()));
        let batch = is_map.then_some(BatchSpec { id, jobs_max, on_failure });
        let task_ms = chance.spread(1, 20_000);
        let requirements = needs[chance.index(needs.len())].clone();
        let submitter = Submitter::named(["ann", "bob", "eve"][chance.index(3)]);
        let priority = Priority(i8::try_from(chance.below(3)).expect("it is small") - 1);
        let mut ids = Vec::new();
        for _ in 0..count {
            let does = match chance.below(40) {
                0 if !plan.is_calm() => Does::KillsItsWorker,
                1 if !plan.is_calm() && chance.permille(200) => Does::KillsItsNode,
                2 | 3 => Does::Exits(3),
                _ => Does::Exits(0),
            };
            let spec = JobSpec {
                id: job_id(jobs.len()),
                submitter: submitter.clone(),
                batch: batch.as_ref().map(|batch| batch.id),
                priority,
                requirements: requirements.clone(),
                kind: Kind::default(),
                inputs: [Input {
                    digest: Digest::of(&[u8::try_from(chance.below(20)).expect("it is small")]),
                    size: 1 << 20,
                }]
                .into(),
                retries: u32::try_from(chance.below(4)).expect("it is small"),
                queue_timeout_ms: (chance.permille(50) && !plan.is_calm()).then(|| chance.spread(1_000, 60_000)),
                wall_ms: None,
                submitted: Wall(0),
            };
            let takes_ms = chance.between(task_ms / 2 + 1, task_ms + 1) * if chance.permille(20) { 10 } else { 1 };
            let stops_with_its_map = on_failure == OnFailure::StopTheRest && is_map;
            ids.push(spec.id);
            let (accepted, may_be_cancelled) = (false, false);
            jobs.push(SimJob { spec, does, takes_ms, accepted, may_be_cancelled, stops_with_its_map });
        }
        let at = chance.below(plan.storm_ms * 3 / 4);
        submissions.push(Submission { home, at, batch, jobs: ids });
    }
    (jobs, submissions)
}
