//! What is lent, in JSON.

use super::docker::DockerObject;
use potluck_node::client::Sharing;
use potluck_node::state::sharing::rules::{Amounts, Rules, When};
use potluck_node::wire::{Lends, SharingNow};
use serde::Serialize;

/// What `share --json` says; `pause` and `resume` say the same.
#[derive(Serialize)]
pub(in crate::commands) struct SharingObject {
    name: String,
    running: bool,
    now: NowObject,
    rules: RulesObject,
    docker: DockerObject,
    peers: Vec<PeerObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<DoneObject>,
}

/// What a node lends, in JSON.
#[derive(Serialize)]
pub(in crate::commands) struct LendsObject {
    places: u32,
    closed: Option<String>,
    text: String,
    again_s: Option<u64>,
}

#[derive(Serialize)]
struct NowObject {
    #[serde(flatten)]
    lends: LendsObject,
    cores: Option<u32>,
    memory_bytes: Option<u64>,
    owner_away_s: Option<u64>,
    owner_seen_by: Vec<String>,
    on_battery: bool,
    others_cores: Option<f64>,
    temperature: Option<u32>,
}

#[derive(Serialize)]
struct RulesObject {
    when: When,
    hours: String,
    jobs: u32,
    cores: Option<u32>,
    memory_bytes: Option<u64>,
    job_memory_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    idle_after_s: u64,
    grace_s: u64,
    load_cores: Option<f64>,
    temperature: Option<u32>,
    while_active: Amounts,
    while_battery: Amounts,
    paused_since_unix: Option<u64>,
    paused_until_unix: Option<u64>,
}

#[derive(Serialize)]
struct PeerObject {
    id: String,
    name: String,
    when: Option<When>,
    hours: Option<String>,
    job_memory_bytes: Option<u64>,
    closed: Option<String>,
}

#[derive(Serialize)]
struct DoneObject {
    jobs_ended: u32,
    jobs_sent_away: u32,
    own_jobs_ended: u32,
    sessions_saved: u32,
}

impl LendsObject {
    pub(in crate::commands) fn new(lends: &Lends) -> Self {
        let Lends { places, closed, text, again_s } = lends.clone();
        Self { places, closed, text, again_s }
    }
}

impl SharingObject {
    pub(in crate::commands) fn new(sharing: &Sharing) -> Self {
        let now = &sharing.now;
        let peers = sharing.peer_names.iter().zip(&sharing.rules.peers).map(|(name, (id, own))| PeerObject {
            id: id.to_string(),
            name: name.clone(),
            when: own.when,
            hours: own.hours.as_ref().map(ToString::to_string),
            job_memory_bytes: own.job_memory_bytes,
            closed: now.peers.iter().find(|lent| lent.peer == *id).and_then(|lent| lent.closed.clone()),
        });
        Self {
            name: sharing.name.clone(),
            running: sharing.running,
            now: NowObject::new(now),
            rules: RulesObject::new(sharing, &sharing.rules),
            docker: DockerObject::new(&sharing.docker),
            peers: peers.collect(),
            done: None,
        }
    }

    /// The same with what a pause has done.
    pub(in crate::commands) fn of_pause(sharing: &Sharing) -> Self {
        let SharingNow { ended, sent_away, own, saved, .. } = sharing.now;
        let done =
            DoneObject { jobs_ended: ended, jobs_sent_away: sent_away, own_jobs_ended: own, sessions_saved: saved };
        Self { done: Some(done), ..Self::new(sharing) }
    }
}

impl NowObject {
    fn new(now: &SharingNow) -> Self {
        Self {
            lends: LendsObject::new(&now.lends),
            cores: now.cores,
            memory_bytes: now.memory_bytes,
            owner_away_s: now.away_s,
            owner_seen_by: now.away_by.clone(),
            on_battery: now.on_battery,
            others_cores: now.others_milli.map(cores),
            temperature: now.temperature,
        }
    }
}

impl RulesObject {
    fn new(sharing: &Sharing, rules: &Rules) -> Self {
        Self {
            when: if sharing.config.lend { rules.when } else { When::Never },
            hours: rules.hours.to_string(),
            jobs: sharing.config.jobs_max,
            cores: rules.at_most.cores,
            memory_bytes: rules.at_most.memory_bytes,
            job_memory_bytes: sharing.config.job_memory_bytes_max,
            disk_bytes: rules.disk_bytes,
            idle_after_s: rules.idle_after_s(),
            grace_s: rules.grace_s(),
            load_cores: rules.load_max_milli.map(cores),
            temperature: rules.temperature_max,
            while_active: rules.active,
            while_battery: rules.battery,
            paused_since_unix: rules.pause.map(|pause| pause.since_unix),
            paused_until_unix: rules.pause.and_then(|pause| pause.until_unix),
        }
    }
}

fn cores(milli: u32) -> f64 {
    f64::from(milli) / 1000.0
}
