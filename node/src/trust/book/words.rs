//! What members tell each other, as it changes the book: vouches bring keys in, revocations take the revoker's own
//! vouch back. Who is trusted then follows from [`crate::trust::standing`], for everyone alike.

use super::{Book, PeerEntry, PendingEntry, remember};
use crate::config::tame_name;
use crate::defaults::{PEERS_MAX, REVOCATIONS_MAX, REVOCATIONS_OF_ONE_MAX, VOUCHES_MAX, VOUCHES_OF_ONE_MAX};
use crate::identity::NodeId;
use crate::trust::{revocation, standing, vouch};
use crate::wire::{Members, Revocation, Vouch};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of keys for which a peer vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newcomers {
    /// They are trusted.
    Trust,
    /// They wait for the owner's yes.
    Ask {
        /// Seconds since 1970 by this machine's clock.
        now_unix: u64,
    },
}

impl Book {
    /// Takes in what a member tells: keeps the words of `me` and of pinned peers, and does what follows from them.
    /// Whether anything changed.
    pub fn take(&mut self, me: NodeId, words: &Members, newcomers: Newcomers) -> bool {
        let before = self.clone();
        self.take_vouches(me, &words.vouches, newcomers);
        self.take_revocations(me, &words.revocations);
        *self != before
    }

    /// Follows chains of vouches from those who are trusted, until nothing new follows.
    fn take_vouches(&mut self, me: NodeId, vouches: &[Vouch], newcomers: Newcomers) {
        let mut left: Vec<&Vouch> = vouches.iter().take(VOUCHES_MAX).filter(|v| vouch::is_genuine(v)).collect();
        loop {
            let (trusted, rest): (Vec<&Vouch>, Vec<&Vouch>) =
                left.into_iter().partition(|v| v.voucher == me || self.peers.contains_key(&v.voucher));
            if trusted.is_empty() {
                return;
            }
            for vouch in trusted {
                self.take_vouch(me, vouch, newcomers);
            }
            left = rest;
        }
    }

    fn take_vouch(&mut self, me: NodeId, vouch: &Vouch, newcomers: Newcomers) {
        let id = vouch.subject;
        let taken_back = self.revocations.get(&(vouch.voucher, id)).is_some_and(|r| r.issued_unix >= vouch.issued_unix);
        if self.removed.contains(&id) || taken_back {
            return;
        }
        self.keep_vouch(vouch.clone());
        if id == me || self.peers.contains_key(&id) {
            return;
        }
        let mut addresses = Vec::new();
        remember(&mut addresses, &vouch.addresses);
        let name = tame_name(&vouch.name);
        match newcomers {
            Newcomers::Trust if self.peers.len() < PEERS_MAX => {
                self.pending.remove(&id);
                self.peers.insert(id, PeerEntry { id, name, addresses, by_hand: false });
            }
            Newcomers::Ask { now_unix } if !self.pending.contains_key(&id) => {
                let vouched_by = Some(vouch.voucher);
                // One for whom there is no room is told of again.
                let _ = self.ask_in(PendingEntry { id, name, addresses, since_unix: now_unix, vouched_by });
            }
            Newcomers::Trust | Newcomers::Ask { .. } => {}
        }
    }

    fn take_revocations(&mut self, me: NodeId, revocations: &[Revocation]) {
        let mut before = self.supported(me);
        for word in revocations.iter().take(REVOCATIONS_MAX) {
            if !self.counts(me, word) || !revocation::is_genuine(word) || !self.keep_revocation(word.clone()) {
                continue;
            }
            self.pending.retain(|id, entry| *id != word.subject || entry.vouched_by != Some(word.revoker));
            let after = self.supported(me);
            self.let_fall(&before.difference(&after).copied().collect());
            before = after;
        }
    }

    /// Whether this word may change anything here: it is the own one or a pinned peer's, and not known yet.
    fn counts(&self, me: NodeId, word: &Revocation) -> bool {
        let held = self.revocations.get(&(word.revoker, word.subject));
        let known = held.is_some_and(|held| held.issued_unix >= word.issued_unix);
        let mine = word.revoker == me;
        // The own word about a peer whom the owner has let in since is older than that.
        let overtaken = mine && self.peers.get(&word.subject).is_some_and(|entry| entry.by_hand);
        !known && !overtaken && (mine || self.peers.contains_key(&word.revoker))
    }

    /// Everyone whose trust a chain of vouches carries.
    fn supported(&self, me: NodeId) -> BTreeSet<NodeId> {
        let by_hand = self.peers.values().filter(|entry| entry.by_hand).map(|entry| entry.id);
        let trusted = |id: &NodeId| self.peers.contains_key(id);
        standing::supported(me, by_hand, self.vouches.keys().copied(), trusted)
    }

    /// Forgets those whom nobody vouches for any more, and what they said.
    fn let_fall(&mut self, fallen: &BTreeSet<NodeId>) {
        if fallen.is_empty() {
            return;
        }
        self.peers.retain(|id, _| !fallen.contains(id));
        self.vouches.retain(|(voucher, _), _| !fallen.contains(voucher));
        self.revocations.retain(|(revoker, _), _| !fallen.contains(revoker));
    }

    /// Keeps a vouch that is newer than what its voucher said before about the same key.
    pub(super) fn keep_vouch(&mut self, vouch: Vouch) {
        let key = (vouch.voucher, vouch.subject);
        let newer = self.vouches.get(&key).is_none_or(|held| held.issued_unix < vouch.issued_unix);
        let room = || self.vouches.len() < VOUCHES_MAX && count_of(&self.vouches, vouch.voucher) < VOUCHES_OF_ONE_MAX;
        if newer && (self.vouches.contains_key(&key) || room()) {
            self.revocations.remove(&key);
            self.vouches.insert(key, vouch);
        }
    }

    /// Keeps a revocation that is newer than what its revoker said before about the same key. Whether it did.
    pub(super) fn keep_revocation(&mut self, word: Revocation) -> bool {
        let key = (word.revoker, word.subject);
        let vouched = self.vouches.get(&key).is_some_and(|held| held.issued_unix > word.issued_unix);
        let held = self.revocations.get(&key).is_some_and(|held| held.issued_unix >= word.issued_unix);
        let takes_back = self.vouches.contains_key(&key);
        let room = || {
            self.revocations.len() < REVOCATIONS_MAX
                && count_of(&self.revocations, word.revoker) < REVOCATIONS_OF_ONE_MAX
        };
        if vouched || held {
            return false;
        }
        // A word that takes a vouch back counts also where there is no room to remember it: the vouch goes.
        let kept = self.revocations.contains_key(&key) || room();
        self.vouches.remove(&key);
        if kept {
            self.revocations.insert(key, word);
        }
        kept || takes_back
    }

    /// The number of the next word of `me` about `subject`: the time, and more than any before, whatever the clock does.
    pub(super) fn next_number(&self, me: NodeId, subject: NodeId, now_unix: u64) -> u64 {
        let vouch = self.vouches.get(&(me, subject)).map(|word| word.issued_unix);
        let revocation = self.revocations.get(&(me, subject)).map(|word| word.issued_unix);
        vouch.max(revocation).map_or(now_unix, |last| now_unix.max(last.saturating_add(1)))
    }
}

/// How many words of one signer there are.
fn count_of<T>(words: &BTreeMap<(NodeId, NodeId), T>, signer: NodeId) -> usize {
    let (least, greatest) = (NodeId::from_bytes([0; 32]), NodeId::from_bytes([0xff; 32]));
    words.range((signer, least)..=(signer, greatest)).count()
}
