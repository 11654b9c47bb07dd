//! The book of peers: whose keys are pinned, what they were called, where they were, who vouched for whom, and who was
//! removed here. The file may be changed by the daemon and by a command at the same time.
//!
//! Invariants, kept by every method of [`Book`]:
//! 1. A key is pinned or removed or neither, never both.
//! 2. The book holds a vouch only if it is genuine, and only one for each voucher and subject.
//! 3. No list is longer than its bound in [`crate::defaults`].

use crate::config::tame_name;
use crate::defaults::{ADDRESSES_MAX, PEERS_MAX, VOUCHES_MAX};
use crate::identity::NodeId;
use crate::store::record::{Record, RecordError};
use crate::trust::vouch;
use crate::wire::Vouch;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

/// The file's name in the data directory.
pub const BOOK_FILE: &str = "peers.toml";

/// What is remembered of a pinned peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// Who.
    pub id: NodeId,
    /// What they call themselves.
    pub name: String,
    /// Where they were, most recent first.
    pub addresses: Vec<SocketAddr>,
}

/// A vouch as the file holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct VouchEntry {
    subject: NodeId,
    voucher: NodeId,
    name: String,
    issued_unix: u64,
    signature: String,
    addresses: Vec<SocketAddr>,
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct BookFile {
    #[serde(default)]
    removed: BTreeSet<NodeId>,
    #[serde(default)]
    peers: Vec<PeerEntry>,
    #[serde(default)]
    vouches: Vec<VouchEntry>,
}

/// The book, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    peers: BTreeMap<NodeId, PeerEntry>,
    vouches: BTreeMap<(NodeId, NodeId), Vouch>,
    removed: BTreeSet<NodeId>,
}

/// The book has no room for another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this machine already trusts {PEERS_MAX} peers, which is as many as it keeps; remove one first")]
pub struct BookFull;

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

    /// Every vouch held.
    pub fn vouches(&self) -> impl Iterator<Item = &Vouch> {
        self.vouches.values()
    }

    /// Pins a peer by the owner's will: a ticket was used. It is no longer counted as removed.
    ///
    /// # Errors
    /// [`BookFull`].
    pub fn pin(&mut self, id: NodeId, name: &str, addresses: &[SocketAddr]) -> Result<(), BookFull> {
        if !self.peers.contains_key(&id) && self.peers.len() >= PEERS_MAX {
            return Err(BookFull);
        }
        self.removed.remove(&id);
        let entry = self.peers.entry(id).or_insert_with(|| PeerEntry { id, name: String::new(), addresses: vec![] });
        entry.name = tame_name(name);
        remember(&mut entry.addresses, addresses);
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
        known
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

    /// Takes in vouches: keeps those by `me` and by pinned peers, and pins whom they name, until nothing new follows.
    /// Whether anything changed.
    pub fn take_vouches(&mut self, me: NodeId, vouches: &[Vouch]) -> bool {
        let before = self.clone();
        let mut left: Vec<&Vouch> = vouches.iter().take(VOUCHES_MAX).filter(|v| vouch::is_genuine(v)).collect();
        loop {
            let (trusted, rest): (Vec<&Vouch>, Vec<&Vouch>) =
                left.into_iter().partition(|v| v.voucher == me || self.peers.contains_key(&v.voucher));
            if trusted.is_empty() {
                return *self != before;
            }
            for vouch in trusted {
                self.take_vouch(me, vouch);
            }
            left = rest;
        }
    }

    fn take_vouch(&mut self, me: NodeId, vouch: &Vouch) {
        if self.removed.contains(&vouch.subject) {
            return;
        }
        let key = (vouch.voucher, vouch.subject);
        let newer = self.vouches.get(&key).is_none_or(|held| held.issued_unix < vouch.issued_unix);
        if newer && (self.vouches.contains_key(&key) || self.vouches.len() < VOUCHES_MAX) {
            self.vouches.insert(key, vouch.clone());
        }
        let room = self.peers.len() < PEERS_MAX;
        if vouch.subject != me && room && !self.peers.contains_key(&vouch.subject) {
            let mut addresses = Vec::new();
            remember(&mut addresses, &vouch.addresses);
            let entry = PeerEntry { id: vouch.subject, name: tame_name(&vouch.name), addresses };
            self.peers.insert(vouch.subject, entry);
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

/// The book on disk.
#[derive(Debug)]
pub struct BookStore {
    record: Record<BookFile>,
}

impl BookStore {
    /// The book in this data directory; nothing is read yet.
    #[must_use]
    pub fn in_dir(data_dir: &Path) -> Self {
        Self { record: Record::at(&data_dir.join(BOOK_FILE)) }
    }

    /// The book as it stands.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(&self) -> Result<Book, RecordError> {
        self.record.read().map(Book::from)
    }

    /// Changes the book, alone among all processes; returns what `change` returns, and the new book.
    ///
    /// # Errors
    /// [`RecordError`]; then nothing has changed.
    pub fn update<R>(&self, change: impl FnOnce(&mut Book) -> R) -> Result<(R, Book), RecordError> {
        let (result, file) = self.record.update(|file| {
            let mut book = Book::from(file.clone());
            let result = change(&mut book);
            *file = BookFile::from(book);
            result
        })?;
        Ok((result, Book::from(file)))
    }

    /// When the file was last replaced.
    #[must_use]
    pub fn modified(&self) -> Option<std::time::SystemTime> {
        self.record.modified()
    }
}

impl From<BookFile> for Book {
    /// A vouch that is not genuine is left out: the file may have been edited.
    fn from(file: BookFile) -> Self {
        let peers: BTreeMap<_, _> = file.peers.into_iter().map(|entry| (entry.id, entry)).collect();
        let vouches = file.vouches.into_iter().filter_map(VouchEntry::into_vouch);
        let vouches = vouches.map(|vouch| ((vouch.voucher, vouch.subject), vouch)).collect();
        let removed = file.removed.into_iter().filter(|id| !peers.contains_key(id)).collect();
        Self { peers, vouches, removed }
    }
}

impl From<Book> for BookFile {
    fn from(book: Book) -> Self {
        Self {
            removed: book.removed,
            peers: book.peers.into_values().collect(),
            vouches: book.vouches.into_values().map(VouchEntry::from).collect(),
        }
    }
}

impl From<Vouch> for VouchEntry {
    fn from(vouch: Vouch) -> Self {
        Self {
            subject: vouch.subject,
            voucher: vouch.voucher,
            name: vouch.name,
            issued_unix: vouch.issued_unix,
            signature: data_encoding::HEXLOWER.encode(&vouch.signature),
            addresses: vouch.addresses,
        }
    }
}

impl VouchEntry {
    fn into_vouch(self) -> Option<Vouch> {
        let signature = data_encoding::HEXLOWER.decode(self.signature.as_bytes()).ok()?.try_into().ok()?;
        let vouch = Vouch {
            subject: self.subject,
            name: self.name,
            addresses: self.addresses,
            voucher: self.voucher,
            issued_unix: self.issued_unix,
            signature,
        };
        vouch::is_genuine(&vouch).then_some(vouch)
    }
}

#[cfg(test)]
mod tests;
