//! What `top --json` says.

use super::screen::Sight;
use crate::commands::share::LendsObject;
use crate::commands::status::NodeObject;
use potluck_node::wire::{JobHere, JobState, PeerState};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct TopObject {
    me: NodeObject,
    lends: LendsObject,
    jobs: Vec<JobObject>,
    peers: Vec<PeerObject>,
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
