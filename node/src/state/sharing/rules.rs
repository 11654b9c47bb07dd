//! What the owner has decided of lending: when, and how much. Three of the owner's settings stand in `config.toml` and keep
//! their meaning there (whether to lend at all, jobs at once, memory of one job); the rest is here.

use super::hours::Hours;
use crate::identity::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long nobody has touched the machine when its owner counts as away, unless decided otherwise.
pub const IDLE_AFTER_S: u64 = 5 * 60;
/// How long what runs may go on when less is lent than before, unless decided otherwise: a short job ends by itself.
pub const GRACE_S: u64 = 10;

/// All the owner has decided beside the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// When to lend.
    pub when: When,
    /// In which hours.
    #[serde(skip_serializing_if = "Hours::is_any")]
    pub hours: Hours,
    /// After how many seconds without input the owner counts as away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_after_s: Option<u64>,
    /// How long what runs may go on when less is lent than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u64>,
    /// Thousandths of cores that others than our workers may use; beyond, nothing is lent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_max_milli: Option<u32>,
    /// Degrees Celsius; beyond, nothing is lent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_max: Option<u32>,
    /// Bytes that all peers together may keep on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// What is lent at most.
    #[serde(skip_serializing_if = "Amounts::is_empty")]
    pub at_most: Amounts,
    /// What is lent at most while the owner is active.
    #[serde(skip_serializing_if = "Amounts::is_empty")]
    pub active: Amounts,
    /// What is lent at most on battery; where nothing is said, nothing is lent.
    #[serde(skip_serializing_if = "Amounts::is_empty")]
    pub battery: Amounts,
    /// The machine is the owner's alone for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// What holds for single peers instead.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<NodeId, PeerRules>,
}

/// When to lend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Whatever the owner does.
    #[default]
    Always,
    /// While the owner is away.
    Idle,
    /// Not at all.
    Never,
}

/// How much is lent; absent means that nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    /// Jobs and turns at once. What is lent at most is said by the setting `jobs_max` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
    /// Cores that all of them together may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Bytes of memory that all of them together may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// The machine is the owner's alone, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Since when, in seconds since 1970.
    pub since_unix: u64,
    /// Until when; without it, until the owner says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix: Option<u64>,
}

/// What holds for one peer instead of what holds for all. How many jobs it may run at once, keep waiting and so on is said by
/// its quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerRules {
    /// When to lend to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// In which hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Bytes of memory one job of it may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_memory_bytes: Option<u64>,
}

/// What the settings of the owner of this machine allow peers. The owner's own jobs are bound by their limits alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether peers may run jobs here at all.
    pub lend: bool,
    /// Jobs of peers that run at once.
    pub jobs_max: u32,
    /// Bytes of memory one job of a peer may ask for.
    pub job_memory_bytes_max: Option<u64>,
}

impl Amounts {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Rules {
    /// After how many seconds without input the owner counts as away.
    #[must_use]
    pub fn idle_after_s(&self) -> u64 {
        self.idle_after_s.unwrap_or(IDLE_AFTER_S)
    }

    /// How long what runs may go on when less is lent than before.
    #[must_use]
    pub fn grace_s(&self) -> u64 {
        self.grace_s.unwrap_or(GRACE_S)
    }

    /// What is said of a peer alone.
    #[must_use]
    pub fn of(&self, peer: &NodeId) -> Option<&PeerRules> {
        self.peers.get(peer)
    }

    /// Whether it matters what the owner does.
    #[must_use]
    pub fn mind_the_owner(&self) -> bool {
        let idle = |when: When| when == When::Idle;
        idle(self.when) || !self.active.is_empty() || self.peers.values().any(|peer| peer.when.is_some_and(idle))
    }

    /// Changes what is said of a peer; one of which nothing is said any more is forgotten.
    pub fn change_peer(&mut self, peer: NodeId, change: impl FnOnce(&mut PeerRules)) {
        let rules = self.peers.entry(peer).or_default();
        change(rules);
        if *rules == PeerRules::default() {
            self.peers.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_survives_its_file_and_a_word_that_is_unknown_does_not_pass() {
        let ann = NodeId::from_bytes([1; 32]);
        let mut rules = Rules {
            when: When::Idle,
            hours: "Mon 22:00-07:00".parse().unwrap(),
            idle_after_s: Some(60),
            grace_s: Some(0),
            load_max_milli: Some(1500),
            temperature_max: Some(80),
            disk_bytes: Some(1 << 40),
            at_most: Amounts { jobs: None, cores: Some(2), memory_bytes: Some(1 << 30) },
            active: Amounts { jobs: Some(1), ..Amounts::default() },
            battery: Amounts { jobs: Some(0), ..Amounts::default() },
            pause: Some(Pause { since_unix: 5, until_unix: Some(9) }),
            ..Rules::default()
        };
        rules.change_peer(ann, |peer| (peer.when, peer.job_memory_bytes) = (Some(When::Never), Some(7)));
        let text = toml::to_string(&rules).unwrap();
        assert_eq!(toml::from_str::<Rules>(&text).unwrap(), rules, "{text}");
        rules.change_peer(ann, |peer| *peer = PeerRules::default());
        assert!(rules.peers.is_empty() && rules.of(&ann).is_none());
        for wrong in ["whne = 1", "when = \"often\"", "hours = \"night\"", "[active]\njosb = 1"] {
            assert!(toml::from_str::<Rules>(wrong).is_err(), "{wrong}");
        }
        assert_eq!(toml::from_str::<Rules>("").unwrap(), Rules::default());
    }

    #[test]
    fn the_owner_is_looked_at_only_where_a_rule_asks() {
        let mut rules = Rules::default();
        assert!(!rules.mind_the_owner());
        rules.change_peer(NodeId::from_bytes([1; 32]), |peer| peer.when = Some(When::Idle));
        assert!(rules.mind_the_owner());
        assert!(
            Rules { active: Amounts { cores: Some(1), ..Amounts::default() }, ..Rules::default() }.mind_the_owner()
        );
    }
}
