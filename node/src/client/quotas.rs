//! Peers' quotas as their owner sees and changes them. A change is written down here and heeded by the daemon at once; what
//! was used is the daemon's to say, and without one nothing is in use but what was used before.

use super::Client;
use super::daemon::ask_daemon;
use super::network::{ClientError, KnownPeers, book, decoded};
use crate::identity::NodeId;
use crate::service::quotas::{Accounts, quotas_record};
use crate::service::sharing::quota;
use crate::service::stored::StoredBytes;
use crate::service::{HOLDERS_DIR, blobs_in};
use crate::state::quotas::Quota;
use crate::wire::{Frame, PeerQuota, QuotaList, Tag};
use std::collections::BTreeSet;

/// What is to be different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaChange {
    /// Forget what was said before.
    pub reset: bool,
    /// Jobs and turns that run at once.
    pub jobs: Option<u32>,
    /// Jobs and turns that wait.
    pub queue: Option<u32>,
    /// Bytes on disk.
    pub stored_bytes: Option<u64>,
    /// Fuel in 24 hours.
    pub fuel_per_day: Option<u64>,
}

impl QuotaChange {
    fn apply(&self, quota: &mut Quota) {
        if self.reset {
            *quota = Quota::default();
        }
        quota.jobs = self.jobs.or(quota.jobs);
        quota.queue = self.queue.or(quota.queue);
        quota.stored_bytes = self.stored_bytes.or(quota.stored_bytes);
        quota.fuel_per_day = self.fuel_per_day.or(quota.fuel_per_day);
    }
}

impl Client {
    /// Changes what a peer may use, by its name or id, or every peer that has no quota of its own.
    ///
    /// # Errors
    /// [`ClientError`] when nobody is meant, or the file cannot be written.
    pub async fn change_quota(&self, peer: Option<&str>, change: &QuotaChange) -> Result<(), ClientError> {
        // The file's numbers end here.
        let too_large =
            [change.stored_bytes, change.fuel_per_day].into_iter().flatten().any(|n| i64::try_from(n).is_err());
        if too_large {
            return Err(ClientError::Failed(format!("a quota is at most {}", i64::MAX)));
        }
        if change.jobs == Some(0) {
            let text = "a quota of no jobs is none; `potluck config set lend false` closes this machine to all, \
                        `potluck peers rm PEER` to one";
            return Err(ClientError::Failed(text.to_owned()));
        }
        let peer = self.meant(peer).await?;
        self.paths().create().map_err(|error| ClientError::local("cannot use the data directory", error))?;
        quotas_record(&self.paths().data_dir).update(|quotas| quotas.change(peer, |quota| change.apply(quota)))?;
        Ok(())
    }

    /// What holds for everyone, and for each peer, or for the one that is named, with its label.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quotas(&self, peer: Option<&str>) -> Result<(PeerQuota, Vec<(String, PeerQuota)>), ClientError> {
        let meant = self.meant(peer).await?;
        let list = self.quota_list().await?;
        let nobody = NodeId::from_bytes([0; 32]);
        let everyone =
            list.everyone.ok_or_else(|| ClientError::Failed("the node says nothing of quotas".to_owned()))?;
        let book = book(self.paths())?;
        let mut ids: BTreeSet<NodeId> = book.peers().map(|entry| entry.id).collect();
        ids.extend(list.peers.iter().map(|quota| quota.peer));
        ids.retain(|id| *id != nobody && meant.is_none_or(|meant| meant == *id));
        let line = |id: NodeId| {
            let found = list.peers.iter().find(|quota| quota.peer == id).cloned();
            let name = book.peer(&id).map_or_else(|| id.short(), |entry| super::label(&entry.name, id));
            (name, found.unwrap_or_else(|| PeerQuota { peer: id, ..everyone.clone() }))
        };
        let lines = ids.into_iter().map(line).collect();
        Ok((everyone, lines))
    }

    async fn quota_list(&self) -> Result<QuotaList, ClientError> {
        if self.daemon_runs() {
            return decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_QUOTAS), Tag::QUOTAS_ARE).await?);
        }
        let config = self.config();
        let holders = self.paths().data_dir.join(HOLDERS_DIR);
        let stored = StoredBytes::open(blobs_in(&self.paths().cache_dir, config.cache_bytes_max), &holders);
        let stored = stored.map_err(|error| ClientError::local("cannot see what peers keep here", error))?;
        let accounts = Accounts::open(&self.paths().data_dir, config.jobs_max, stored)?;
        let peers: BTreeSet<NodeId> = accounts.peers().into_iter().collect();
        let of = |peer| quota(peer, accounts.of(&peer), [0, 0, accounts.stored.used(&peer), accounts.fuel_used(&peer)]);
        let everyone = Some(of(NodeId::from_bytes([0; 32])));
        Ok(QuotaList { peers: peers.into_iter().map(of).collect(), everyone })
    }

    async fn meant(&self, peer: Option<&str>) -> Result<Option<NodeId>, ClientError> {
        let Some(peer) = peer else { return Ok(None) };
        KnownPeers::load(self).await?.find(peer).map(Some)
    }
}
