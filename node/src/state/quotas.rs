//! What one peer may take of this machine at once and in a day, and the sentence for one who wants more. The owner's word on
//! a peer counts before the owner's word on everyone, and that before the default.

use crate::defaults::{FUEL_PER_DAY_MAX, QUEUE_PER_PEER_MAX, STORED_BYTES_PER_PEER_MAX};
use crate::identity::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What the owner has decided; absent means what holds for everyone, or the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Jobs and turns that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
    /// Jobs and turns that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// Bytes on disk: inputs that are kept, and sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// Fuel in 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel_per_day: Option<u64>,
}

/// All the owner has decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    /// For every peer of which nothing is said.
    #[serde(default)]
    pub everyone: Quota,
    /// For single peers.
    #[serde(default)]
    pub peers: BTreeMap<NodeId, Quota>,
}

/// What holds for one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Jobs and turns that run at once.
    pub jobs: u32,
    /// Jobs and turns that wait.
    pub queue: u32,
    /// Bytes on disk.
    pub stored_bytes: u64,
    /// Fuel in 24 hours.
    pub fuel_per_day: u64,
}

impl Quotas {
    /// What holds for a peer of a node that runs `places` jobs of peers at once: unless the owner says otherwise one place
    /// stays for the others.
    #[must_use]
    pub fn of(&self, peer: &NodeId, places: u32) -> Allowance {
        let own = self.peers.get(peer).copied().unwrap_or_default();
        let all = self.everyone;
        Allowance {
            jobs: own.jobs.or(all.jobs).unwrap_or_else(|| places.saturating_sub(1).max(1)),
            queue: own.queue.or(all.queue).unwrap_or(QUEUE_PER_PEER_MAX),
            stored_bytes: own.stored_bytes.or(all.stored_bytes).unwrap_or(STORED_BYTES_PER_PEER_MAX),
            fuel_per_day: own.fuel_per_day.or(all.fuel_per_day).unwrap_or(FUEL_PER_DAY_MAX),
        }
    }

    /// Changes what is said of a peer, or of everyone; a peer of which nothing is said any more is forgotten.
    pub fn change(&mut self, peer: Option<NodeId>, change: impl FnOnce(&mut Quota)) {
        let Some(peer) = peer else { return change(&mut self.everyone) };
        let quota = self.peers.entry(peer).or_default();
        change(quota);
        if *quota == Quota::default() {
            self.peers.remove(&peer);
        }
    }
}

/// A quota that does not allow what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaHit {
    /// As many wait as may.
    Queue {
        /// How many wait.
        used: u32,
        /// How many may.
        allowed: u32,
    },
    /// What is kept here leaves no room.
    Stored {
        /// Bytes that are kept and cannot go.
        used: u64,
        /// Bytes that may be.
        allowed: u64,
        /// Bytes more that are asked for.
        asked: u64,
    },
    /// What all peers together keep here leaves no room.
    Disk {
        /// Bytes that are kept and cannot go.
        used: u64,
        /// Bytes that may be.
        allowed: u64,
        /// Bytes more that are asked for.
        asked: u64,
    },
    /// The day's fuel is used up, or what is left is less than a job may use.
    Fuel {
        /// What was used in 24 hours, with what runs now may use.
        used: u64,
        /// How much may be.
        allowed: u64,
        /// What the job may use.
        asked: u64,
        /// Hours until some of it counts no more.
        hours: u64,
    },
}

impl QuotaHit {
    /// The sentence for the peer; `node` is the lender's label.
    #[must_use]
    pub fn sentence(&self, node: &str) -> String {
        let owner = |option: &str| format!("the owner of {node} can allow more with `potluck quota PEER {option}`");
        match *self {
            Self::Queue { used, allowed } => format!(
                "quota of waiting jobs: {used} of {allowed} that one peer may have on {node} are used; wait for some to \
                 end, or {}",
                owner("--queue N")
            ),
            Self::Stored { used, allowed, asked } => format!(
                "quota of stored bytes: {} of {} that one peer may keep on {node} are used, and {} more are asked for; \
                 end sessions there with `potluck session stop`, or {}",
                Bytes(used),
                Bytes(allowed),
                Bytes(asked),
                owner("--stored SIZE")
            ),
            Self::Disk { used, allowed, asked } => format!(
                "disk that is lent: {} of {} that all peers together may keep on {node} are used, and {} more are asked for; \
                 wait until others need less, or the owner of {node} can lend more with `potluck share --disk SIZE`",
                Bytes(used),
                Bytes(allowed),
                Bytes(asked),
            ),
            Self::Fuel { used, allowed, asked, hours } if used < allowed => format!(
                "quota of fuel: {used} of {allowed} that one peer may use in a day on {node} are used or promised, and the \
                 job may use {asked}; run it with `--fuel {}`, wait {hours} h, or {}",
                allowed - used,
                owner("--fuel-per-day FUEL")
            ),
            Self::Fuel { used, allowed, hours, .. } => format!(
                "quota of fuel: {used} of {allowed} that one peer may use in a day on {node} are used; some of it comes \
                 back within {hours} h, or {}",
                owner("--fuel-per-day FUEL")
            ),
        }
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 10 << 20 { write!(f, "{} KiB", self.0.div_ceil(1024)) } else { write!(f, "{} MiB", self.0 >> 20) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: NodeId = NodeId::from_bytes([1; 32]);
    const BOB: NodeId = NodeId::from_bytes([2; 32]);

    #[test]
    fn a_peers_own_quota_counts_before_everyones_and_that_before_the_default() {
        let mut quotas = Quotas::default();
        assert_eq!(quotas.of(&ANN, 4).jobs, 3);
        assert_eq!(quotas.of(&ANN, 1).jobs, 1);
        quotas.change(None, |quota| quota.jobs = Some(2));
        quotas.change(Some(ANN), |quota| (quota.jobs, quota.queue) = (Some(7), Some(0)));
        assert_eq!((quotas.of(&ANN, 4).jobs, quotas.of(&ANN, 4).queue), (7, 0));
        assert_eq!((quotas.of(&BOB, 4).jobs, quotas.of(&BOB, 4).queue), (2, QUEUE_PER_PEER_MAX));
        quotas.change(Some(ANN), |quota| *quota = Quota::default());
        assert!(quotas.peers.is_empty());
    }

    #[test]
    fn what_was_decided_survives_its_file() {
        let mut quotas = Quotas::default();
        quotas.change(Some(BOB), |quota| quota.fuel_per_day = Some(5));
        let text = toml::to_string(&quotas).unwrap();
        assert_eq!(toml::from_str::<Quotas>(&text).unwrap(), quotas);
        assert!(toml::from_str::<Quotas>("[everyone]\njosb = 1\n").is_err());
    }

    #[test]
    fn every_sentence_names_quota_used_allowed_and_cure() {
        let hits = [
            (QuotaHit::Queue { used: 64, allowed: 64 }, ["waiting jobs", "64 of 64", "--queue"]),
            (
                QuotaHit::Stored { used: 5 << 20, allowed: 20 << 20, asked: 1 },
                ["stored", "5120 KiB of 20 MiB", "--stored"],
            ),
            (QuotaHit::Fuel { used: 7, allowed: 10, asked: 9, hours: 3 }, ["fuel", "7 of 10", "--fuel 3"]),
            (QuotaHit::Fuel { used: 10, allowed: 10, asked: 9, hours: 3 }, ["fuel", "10 of 10", "within 3 h"]),
        ];
        let disk = QuotaHit::Disk { used: 20 << 20, allowed: 20 << 20, asked: 1 }.sentence("attic");
        assert!(disk.contains("20 MiB of 20 MiB") && disk.contains("potluck share --disk"), "{disk}");
        for (hit, words) in hits {
            let text = hit.sentence("attic");
            assert!(words.iter().chain(&["quota", "attic", "potluck quota"]).all(|word| text.contains(word)), "{text}");
        }
    }
}
