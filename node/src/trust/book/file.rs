//! The book on disk: `peers.toml` in the data directory.

use super::{Book, PeerEntry, PendingEntry};
use crate::identity::NodeId;
use crate::store::record::{Record, RecordError};
use crate::trust::{revocation, vouch};
use crate::wire::{Revocation, Vouch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

/// The file's name in the data directory.
pub const BOOK_FILE: &str = "peers.toml";

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

/// A revocation as the file holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RevocationEntry {
    subject: NodeId,
    revoker: NodeId,
    name: String,
    issued_unix: u64,
    signature: String,
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct BookFile {
    #[serde(default)]
    removed: BTreeSet<NodeId>,
    #[serde(default)]
    peers: Vec<PeerEntry>,
    #[serde(default)]
    pending: Vec<PendingEntry>,
    #[serde(default)]
    vouches: Vec<VouchEntry>,
    #[serde(default)]
    revocations: Vec<RevocationEntry>,
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

    /// Keeps the book under another name, and begins an empty one.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn put_aside(&self, label: &str) -> Result<(), RecordError> {
        self.record.put_aside(label)
    }

    /// When the file was last replaced.
    #[must_use]
    pub fn modified(&self) -> Option<std::time::SystemTime> {
        self.record.modified()
    }
}

impl From<BookFile> for Book {
    /// A word that is not genuine is left out: the file may have been edited.
    fn from(file: BookFile) -> Self {
        let peers: BTreeMap<_, _> = file.peers.into_iter().map(|entry| (entry.id, entry)).collect();
        let pending = file.pending.into_iter().filter(|entry| !peers.contains_key(&entry.id));
        let pending: BTreeMap<_, _> = pending.map(|entry| (entry.id, entry)).collect();
        let vouches = file.vouches.into_iter().filter_map(VouchEntry::into_vouch);
        let vouches: BTreeMap<_, _> = vouches.map(|vouch| ((vouch.voucher, vouch.subject), vouch)).collect();
        let revocations = file.revocations.into_iter().filter_map(RevocationEntry::into_revocation);
        let revocations = revocations.map(|word| ((word.revoker, word.subject), word));
        let revocations = revocations.filter(|(key, _)| !vouches.contains_key(key)).collect();
        let free = |id: &NodeId| !peers.contains_key(id) && !pending.contains_key(id);
        let removed = file.removed.into_iter().filter(free).collect();
        Self { peers, pending, vouches, revocations, removed }
    }
}

impl From<Book> for BookFile {
    fn from(book: Book) -> Self {
        Self {
            removed: book.removed,
            peers: book.peers.into_values().collect(),
            pending: book.pending.into_values().collect(),
            vouches: book.vouches.into_values().map(VouchEntry::from).collect(),
            revocations: book.revocations.into_values().map(RevocationEntry::from).collect(),
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
        let signature = signature(&self.signature)?;
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

impl From<Revocation> for RevocationEntry {
    fn from(word: Revocation) -> Self {
        Self {
            subject: word.subject,
            revoker: word.revoker,
            name: word.name,
            issued_unix: word.issued_unix,
            signature: data_encoding::HEXLOWER.encode(&word.signature),
        }
    }
}

impl RevocationEntry {
    fn into_revocation(self) -> Option<Revocation> {
        let word = Revocation {
            subject: self.subject,
            name: self.name,
            revoker: self.revoker,
            issued_unix: self.issued_unix,
            signature: signature(&self.signature)?,
        };
        revocation::is_genuine(&word).then_some(word)
    }
}

fn signature(text: &str) -> Option<[u8; 64]> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}
