//! The messages about what a machine lends now: what it says of that to everybody, and what its owner sees and decides.

use super::message::JobId;
use crate::identity::NodeId;
use potluck_runtime::GuestProgress;
use serde::{Deserialize, Serialize};

/// What a machine lends now, as it tells its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lends {
    /// Jobs of peers at once; none while it lends nothing.
    pub places: u32,
    /// Why it lends nothing: a stable word for programs, such as `paused`.
    pub closed: Option<String>,
    /// What it lends and why, as the rest of a sentence that begins with its name.
    pub text: String,
    /// In how many seconds it is worth asking again, where that is known.
    pub again_s: Option<u64>,
}

/// `OWNER_PAUSE`: lend nothing from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseFor {
    /// For how long; without it, until it is said otherwise.
    pub seconds: Option<u64>,
}

/// `OWNER_END_JOB`: this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndJob {
    /// Its number in [`JobsHere`].
    pub number: u64,
}

/// `SHARING_IS`: what is lent now, and what that is decided by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharingNow {
    /// To those of whom nothing else is said.
    pub lends: Lends,
    /// Cores that peers' jobs may use; nothing said is all.
    pub cores: Option<u32>,
    /// Bytes of memory that all of them together may ask for.
    pub memory_bytes: Option<u64>,
    /// Seconds without input of the owner; nothing where nobody looks, or can.
    pub away_s: Option<u64>,
    /// By which means that is seen.
    pub away_by: Vec<String>,
    /// Whether the machine runs on battery.
    pub on_battery: bool,
    /// Thousandths of cores that others use; nothing where nobody looks, or can.
    pub others_milli: Option<u32>,
    /// Degrees Celsius; nothing where nobody looks, or can.
    pub temperature: Option<u32>,
    /// To peers with rules of their own.
    pub peers: Vec<PeerLent>,
    /// Jobs of peers that were ended by this request.
    pub ended: u32,
    /// Jobs of peers that waited and were sent away by it.
    pub sent_away: u32,
    /// Runs of this machine's own queue that it ended: their jobs go elsewhere, or wait.
    #[serde(default)]
    pub own: u32,
    /// Sessions of peers that it put to disk.
    pub saved: u32,
    /// What of the decision is not kept over a restart, as a sentence.
    pub warning: Option<String>,
}

/// What one peer is lent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLent {
    /// Who.
    pub peer: NodeId,
    /// Why nothing is, as a word.
    pub closed: Option<String>,
}

/// `JOBS_ARE`: the jobs that are here, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsHere {
    /// The jobs.
    pub jobs: Vec<JobHere>,
}

/// One job that is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHere {
    /// Its number on this node, by which it can be ended.
    pub number: u64,
    /// Its id, or its session's.
    pub job: JobId,
    /// Whose it is; none when it is the owner's.
    pub peer: Option<NodeId>,
    /// What they are called.
    pub who: String,
    /// What runs: a program, or a session's turn.
    pub what: String,
    /// What it does.
    pub state: JobState,
    /// When it came, in seconds since 1970.
    pub since_unix: u64,
    /// Bytes of memory it may ask for.
    pub memory_bytes_max: u64,
    /// Fuel it may use.
    pub fuel_max: u64,
    /// Milliseconds it may take.
    pub wall_ms_max: u64,
    /// Milliseconds of a core that its worker has used, once it has one. A worker may have served the same peer before.
    pub cpu_ms: Option<u64>,
    /// Bytes of memory that its worker has for itself now.
    pub memory_bytes: Option<u64>,
    /// What its guest has said last of how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<GuestProgress>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for a place.
    Waiting,
    /// Its inputs or its code are made ready.
    Preparing,
    /// Its guest runs.
    Running,
}
