//! What `top --json` says.

use super::screen::{HomeJob, Sight};
use crate::commands::share::LendsObject;
use crate::commands::status::NodeObject;
use potluck_node::wire::{JobHere, JobState, PeerState};
use potluck_runtime::GuestProgress;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct TopObject {
    me: NodeObject,
    lends: LendsObject,
    jobs: Vec<JobObject>,
    home_jobs: HomeObject,
    peers: Vec<PeerObject>,
}

/// This machine's own queue.
#[derive(Serialize)]
struct HomeObject {
    /// Jobs that have not ended.
    count: u64,
    /// How many of them wait.
    waiting: u64,
    /// The first of the others.
    with_machines: Vec<HomeJobObject>,
}

#[derive(Serialize)]
struct HomeJobObject {
    id: String,
    program: String,
    state: &'static str,
    place: Option<String>,
    attempt: u32,
    progress: Option<GuestProgress>,
}

#[derive(Serialize)]
struct JobObject {
    number: u64,
    id: String,
    /// Absent of the owner's own.
    peer: Option<String>,
    who: String,
    what: String,
    state: JobState,
    since_unix: u64,
    cpu_ms: Option<u64>,
    memory_bytes: Option<u64>,
    memory_bytes_max: u64,
    fuel_max: u64,
    wall_ms_max: u64,
    progress: Option<GuestProgress>,
}

#[derive(Serialize)]
struct PeerObject {
    id: String,
    name: String,
    online: bool,
    info: Option<NodeObject>,
}

impl TopObject {
    pub(super) fn new(sight: &Sight) -> Self {
        Self {
            me: NodeObject::new(&sight.list.me, true),
            lends: LendsObject::new(&sight.sharing.lends),
            jobs: sight.jobs.iter().map(JobObject::new).collect(),
            home_jobs: HomeObject {
                count: sight.home.count,
                waiting: sight.home.waiting,
                with_machines: sight.home.with_machines.iter().map(HomeJobObject::new).collect(),
            },
            peers: sight.list.peers.iter().map(PeerObject::new).collect(),
        }
    }
}

impl JobObject {
    fn new(job: &JobHere) -> Self {
        Self {
            number: job.number,
            id: job.job.to_string(),
            peer: job.peer.map(|peer| peer.to_string()),
            who: job.who.clone(),
            what: job.what.clone(),
            state: job.state,
            since_unix: job.since_unix,
            cpu_ms: job.cpu_ms,
            memory_bytes: job.memory_bytes,
            memory_bytes_max: job.memory_bytes_max,
            fuel_max: job.fuel_max,
            wall_ms_max: job.wall_ms_max,
            progress: job.progress.clone(),
        }
    }
}

impl HomeJobObject {
    fn new(job: &HomeJob) -> Self {
        Self {
            id: job.id.clone(),
            program: job.program.clone(),
            state: job.standing.word(),
            place: job.place.clone(),
            attempt: job.attempt,
            progress: job.progress.clone(),
        }
    }
}

impl PeerObject {
    fn new(peer: &PeerState) -> Self {
        Self {
            id: peer.id.to_string(),
            name: peer.name.clone(),
            online: peer.online,
            info: peer.info.as_ref().map(|info| NodeObject::new(info, peer.online)),
        }
    }
}
