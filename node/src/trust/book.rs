//! The book of peers: whose keys are pinned, what they were called, where they were, who vouched for whom, who was put
//! out by whom, who waits for the owner's yes, and who was removed here. The file may be changed by the daemon and by a
//! command at the same time.
//!
//! Invariants, kept by every method of [`Book`]:
//! 1. A key is pinned, or waits, or is removed, or none of these; never two of them.
//! 2. The book holds a vouch or a revocation only if it is genuine, and of each signer about each subject only the newest
//!    word, by the signer's own numbering. No two signers' numbers, and no clocks, are ever compared.
//! 3. No list is longer than its bound in [`crate::defaults`].

mod file;

mod words;

pub use file::{BOOK_FILE, BookStore};
pub use words::Newcomers;

use crate::config::tame_name;
use crate::defaults::{ADDRESSES_MAX, PEERS_MAX, PENDING_KEPT, PENDING_MAX};
use crate::identity::{Identity, NodeId};
use crate::trust::{revocation, vouch};
use crate::wire::{Members, Revocation, Vouch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What is remembered of a pinned peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// Who.
    pub id: NodeId,
    /// What they call themselves.
    pub name: String,
    /// Where they were, most recent first.
    pub addresses: Vec<SocketAddr>,
    /// Whether this machine's owner let them in, by a ticket or a yes; otherwise a member's vouch did, and only as long as
    /// one is left.
    #[serde(default)]
    pub by_hand: bool,
}

/// A key that waits for the owner's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingEntry {
    /// Whose.
    pub id: NodeId,
    /// What they call themselves.
    pub name: String,
    /// Where they were.
    pub addresses: Vec<SocketAddr>,
    /// Since when, in seconds since 1970 by this machine's clock.
    pub since_unix: u64,
    /// Which peer vouches for them; none for the holder of a ticket of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<NodeId>,
}

impl PendingEntry {
    fn still_waits(&self, now_unix: u64) -> bool {
        now_unix < self.since_unix.saturating_add(PENDING_KEPT.as_secs())
    }
}

/// The book, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    peers: BTreeMap<NodeId, PeerEntry>,
    pending: BTreeMap<NodeId, PendingEntry>,
    /// By voucher and subject.
    vouches: BTreeMap<(NodeId, NodeId), Vouch>,
    /// By revoker and subject.
    revocations: BTreeMap<(NodeId, NodeId), Revocation>,
    removed: BTreeSet<NodeId>,
}

/// The book has no room for another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookFull {
    /// Of those it trusts.
    #[error("this machine already trusts {PEERS_MAX} peers, which is as many as it keeps; remove one first")]
    Peers,
    /// Of those who wait.
    #[error(
        "{PENDING_MAX} machines wait for the owner's yes already, which is as many as may; `potluck peers pending` there \
         lists them"
    )]
    Pending,
}

/// Why a key was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    /// It does not wait.
    #[error("no such key waits for a yes here; `potluck peers pending` lists those that do")]
    NotPending,
    /// There is no room.
    #[error(transparent)]
    Full(#[from] BookFull),
}

impl Book {
    /// Everyone pinned, by id.
    pub fn peers(&self) -> impl Iterator<Item = &PeerEntry> {
        self.peers.values()
    }

    /// The entry of a pinned peer.
    #[must_use]
    pub fn peer(&self, id: &NodeId) -> Option<&PeerEntry> {
        self.peers.get(id)
    }

    /// Everyone who waits for the owner's yes, by id.
    pub fn pending(&self) -> impl Iterator<Item = &PendingEntry> {
        self.pending.values()
    }

    /// Whether this key waits for the owner's yes.
    #[must_use]
    pub fn is_pending(&self, id: &NodeId) -> bool {
        self.pending.contains_key(id)
    }

    /// Every revocation held.
    pub fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.revocations.values()
    }

    /// Every signed word held, as it is told to members.
    #[must_use]
    pub fn words(&self) -> Members {
        Members {
            vouches: self.vouches.values().cloned().collect(),
            revocations: self.revocations.values().cloned().collect(),
        }
    }

    /// Whether both hold the same signed words.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.vouches == other.vouches && self.revocations == other.revocations
    }

    /// Pins a peer by the owner's will: a ticket was used, or yes was said. It is no longer counted as removed.
    ///
    /// # Errors
    /// [`BookFull::Peers`].
    pub fn pin(&mut self, id: NodeId, name: &str, addresses: &[SocketAddr]) -> Result<(), BookFull> {
        if !self.peers.contains_key(&id) && self.peers.len() >= PEERS_MAX {
            return Err(BookFull::Peers);
        }
        self.removed.remove(&id);
        self.pending.remove(&id);
        let unnamed = || PeerEntry { id, name: String::new(), addresses: vec![], by_hand: true };
        let entry = self.peers.entry(id).or_insert_with(unnamed);
        entry.name = tame_name(name);
        entry.by_hand = true;
        remember(&mut entry.addresses, addresses);
        Ok(())
    }

    /// Pins a peer by the owner's will and vouches for it to the others.
    ///
    /// # Errors
    /// [`BookFull::Peers`].
    pub fn admit(
        &mut self,
        identity: &Identity,
        id: NodeId,
        name: &str,
        addresses: &[SocketAddr],
        now_unix: u64,
    ) -> Result<(), BookFull> {
        self.pin(id, name, addresses)?;
        let number = self.next_number(identity.id(), id, now_unix);
        self.keep_vouch(vouch::sign(identity, id, name, addresses, number));
        Ok(())
    }

    /// Lets a key wait for the owner's yes. Holders of a ticket take the place of others when there is no room.
    ///
    /// # Errors
    /// [`BookFull::Pending`].
    pub fn ask_in(&mut self, mut entry: PendingEntry) -> Result<(), BookFull> {
        if self.peers.contains_key(&entry.id) {
            return Ok(());
        }
        if !self.pending.contains_key(&entry.id) && self.pending.len() >= PENDING_MAX {
            let vouched = self.pending.values().filter(|entry| entry.vouched_by.is_some());
            let oldest = vouched.min_by_key(|entry| entry.since_unix).map(|entry| entry.id);
            let oldest = oldest.filter(|_| entry.vouched_by.is_none()).ok_or(BookFull::Pending)?;
            self.pending.remove(&oldest);
        }
        self.removed.remove(&entry.id);
        entry.name = tame_name(&entry.name);
        entry.addresses.truncate(ADDRESSES_MAX);
        self.pending.insert(entry.id, entry);
        Ok(())
    }

    /// The owner's yes: to a key that waits, or to one that members have put out. Who holds a ticket of this machine is
    /// vouched for to the others; for the rest the yes is this machine's alone.
    ///
    /// # Errors
    /// [`ApproveError`].
    pub fn approve(&mut self, identity: &Identity, id: NodeId, now_unix: u64) -> Result<PeerEntry, ApproveError> {
        let me = identity.id();
        let revoked = self.revocations.values().find(|word| word.subject == id);
        let (name, addresses, by_ticket) = match (self.pending.get(&id), revoked) {
            (Some(entry), _) => (entry.name.clone(), entry.addresses.clone(), entry.vouched_by.is_none()),
            (None, Some(word)) if !self.peers.contains_key(&id) => (word.name.clone(), Vec::new(), false),
            (None, _) => return Err(ApproveError::NotPending),
        };
        if by_ticket || self.revocations.contains_key(&(me, id)) {
            self.admit(identity, id, &name, &addresses, now_unix)?;
        } else {
            self.pin(id, &name, &addresses)?;
        }
        self.peers.get(&id).cloned().ok_or(ApproveError::NotPending)
    }

    /// The owner's no. Whether the key waited.
    pub fn deny(&mut self, id: &NodeId) -> bool {
        let waited = self.pending.remove(id).is_some();
        if waited && self.removed.len() < PEERS_MAX {
            self.removed.insert(*id);
        }
        waited
    }

    /// Whether somebody has waited so long that they are forgotten.
    #[must_use]
    pub fn has_waited_too_long(&self, now_unix: u64) -> bool {
        self.pending.values().any(|entry| !entry.still_waits(now_unix))
    }

    /// Forgets who has waited too long. Whether there was anyone.
    pub fn forget_pending(&mut self, now_unix: u64) -> bool {
        let any = self.has_waited_too_long(now_unix);
        self.pending.retain(|_, entry| entry.still_waits(now_unix));
        any
    }

    /// The pinned peer whose name or address `name` and `addresses` are, under another key than `id`: that machine was
    /// set up anew, or somebody else takes its place.
    #[must_use]
    pub fn namesake(&self, id: &NodeId, name: &str, addresses: &[SocketAddr]) -> Option<NodeId> {
        let others = || self.peers.values().filter(|peer| peer.id != *id);
        let by_name = others().find(|peer| peer.name.eq_ignore_ascii_case(name));
        let at_address = |peer: &&PeerEntry| peer.addresses.iter().any(|address| addresses.contains(address));
        by_name.or_else(|| others().find(at_address)).map(|peer| peer.id)
    }

    /// Whether `name` or `addresses` are those of the pinned peer `old`.
    #[must_use]
    pub fn succeeds(&self, old: &NodeId, name: &str, addresses: &[SocketAddr]) -> bool {
        let at_address = |peer: &PeerEntry| peer.addresses.iter().any(|address| addresses.contains(address));
        self.peers.get(old).is_some_and(|peer| peer.name.eq_ignore_ascii_case(name) || at_address(peer))
    }

    /// Puts `new`, a key that has shown itself here, in the place of `old`, whose key counts no more.
    ///
    /// # Errors
    /// [`ApproveError`] when `old` is not pinned, or `new` neither waits nor is pinned.
    pub fn accept_key(
        &mut self,
        identity: &Identity,
        old: NodeId,
        new: NodeId,
        now_unix: u64,
    ) -> Result<(), ApproveError> {
        let pinned = self.peers.get(&new).map(|entry| (entry.name.clone(), entry.addresses.clone()));
        let waiting = || self.pending.get(&new).map(|entry| (entry.name.clone(), entry.addresses.clone()));
        let (name, addresses) = pinned.or_else(waiting).ok_or(ApproveError::NotPending)?;
        self.revoke(identity, old, now_unix).ok_or(ApproveError::NotPending)?;
        self.admit(identity, new, &name, &addresses, now_unix)?;
        Ok(())
    }

    /// Forgets a peer and remembers that it was the owner's will, so that no vouch brings it back.
    /// Whether it was pinned.
    pub fn remove(&mut self, id: &NodeId) -> bool {
        let known = self.peers.remove(id).is_some();
        if known && self.removed.len() < PEERS_MAX {
            self.removed.insert(*id);
        }
        self.vouches.retain(|(voucher, subject), _| voucher != id && subject != id);
        self.revocations.retain(|(revoker, _), _| revoker != id);
        known
    }

    /// Forgets a peer, or one that waits, and keeps a signed word of it for the others. What it was called; none when it
    /// is not known.
    pub fn revoke(&mut self, identity: &Identity, id: NodeId, now_unix: u64) -> Option<String> {
        let pinned = self.peers.get(&id).map(|entry| entry.name.clone());
        let name = pinned.or_else(|| self.pending.get(&id).map(|entry| entry.name.clone()))?;
        let number = self.next_number(identity.id(), id, now_unix);
        self.deny(&id);
        self.remove(&id);
        self.keep_revocation(revocation::sign(identity, id, &name, number));
        Some(name)
    }

    /// Notes what a peer calls itself and where it is. Nothing for strangers.
    pub fn note(&mut self, id: &NodeId, name: Option<&str>, addresses: &[SocketAddr]) {
        if let Some(entry) = self.peers.get_mut(id) {
            if let Some(name) = name {
                entry.name = tame_name(name);
            }
            remember(&mut entry.addresses, addresses);
        }
    }
}

/// Puts `newer` in front, without repeats, within the bound.
fn remember(addresses: &mut Vec<SocketAddr>, newer: &[SocketAddr]) {
    let mut merged: Vec<SocketAddr> = Vec::with_capacity(ADDRESSES_MAX);
    for address in newer.iter().chain(addresses.iter()) {
        if merged.len() < ADDRESSES_MAX && !merged.contains(address) {
            merged.push(*address);
        }
    }
    *addresses = merged;
}

#[cfg(test)]
mod tests;
