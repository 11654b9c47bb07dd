//! What peers use of this machine, told to its owner, and what the owner changes, heeded while jobs wait.

use super::{Inner, Stop, gone};
use crate::dispatch::{Caller, Role};
use crate::identity::NodeId;
use crate::state::quotas::Allowance;
use crate::wire::{Fault, FaultCode, FrameWriter, PeerQuota, QuotaList, Share, Tag};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a job that waits looks whether the owner has changed what it may.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Answers an `OWNER_QUOTAS`.
pub(super) async fn tell(inner: &Inner, caller: &Caller, writer: &mut FrameWriter) -> Result<(), Stop> {
    if caller.role != Role::Owner {
        return Err(Fault::new(FaultCode::NOT_ALLOWED, "only the owner of that machine may ask this").into());
    }
    let mut peers: BTreeSet<NodeId> = inner.accounts.peers().into_iter().collect();
    peers.extend(inner.gate.peers());
    peers.extend(inner.sessions.peers());
    let peers = peers.into_iter().map(|peer| of_peer(inner, peer)).collect();
    let nobody = NodeId::from_bytes([0; 32]);
    let everyone = Some(quota(nobody, inner.accounts.of(&nobody), [0; 4]));
    writer.send_message(Tag::QUOTAS_ARE, &QuotaList { peers, everyone }).await.map_err(gone)
}

/// Lets waiting jobs in when the owner allows more of them; never ends.
pub(super) async fn heed_changes<T>(inner: &Inner) -> T {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        inner.gate.allow(|peer| inner.accounts.of(peer).jobs);
    }
}

fn of_peer(inner: &Inner, peer: NodeId) -> PeerQuota {
    let (jobs, queue) = inner.gate.of(&peer);
    let stored = inner.accounts.stored.used(&peer).saturating_add(inner.held_by(&peer));
    let used = [jobs.into(), queue.into(), stored, inner.accounts.fuel_used(&peer)];
    quota(peer, inner.accounts.of(&peer), used)
}

/// One line of the list.
pub(crate) fn quota(peer: NodeId, allowed: Allowance, [jobs, queue, stored, fuel]: [u64; 4]) -> PeerQuota {
    PeerQuota {
        peer,
        jobs: Share { used: jobs, allowed: allowed.jobs.into() },
        queue: Share { used: queue, allowed: allowed.queue.into() },
        stored_bytes: Share { used: stored, allowed: allowed.stored_bytes },
        fuel: Share { used: fuel, allowed: allowed.fuel_per_day },
    }
}
