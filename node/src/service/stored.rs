//! Which bytes on this machine's disk are whose. A blob belongs to the peer that brought it; that is noted by an empty file of
//! the blob's name in a folder of the peer, so that it is known after a restart too. What nobody needs now goes before
//! anything is refused: a blob is only a copy.

use crate::identity::NodeId;
use crate::state::quotas::QuotaHit;
use crate::store::blobs::BlobStore;
use potluck_runtime::Digest;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The blobs of all peers.
pub(crate) struct StoredBytes {
    blobs: BlobStore,
    /// The folders of notes.
    dir: PathBuf,
    peers: Mutex<HashMap<NodeId, Holdings>>,
}

/// What one peer has here.
#[derive(Debug, Default)]
struct Holdings {
    blobs: HashMap<Digest, u64>,
    /// Bytes that are on their way.
    arriving: u64,
}

/// Room for a blob that arrives; given back when it is dropped.
pub(super) struct KeptBytes<'a> {
    stored: &'a StoredBytes,
    peer: NodeId,
    bytes: u64,
}

impl StoredBytes {
    /// What was noted before in `dir`, of blobs that are still there.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(blobs: BlobStore, dir: &Path) -> io::Result<Self> {
        let mut peers = HashMap::new();
        for entry in entries(dir)? {
            let entry = entry?;
            let Some(peer) = entry.file_name().to_str().and_then(|name| name.parse::<NodeId>().ok()) else { continue };
            peers.insert(peer, Holdings { blobs: noted(&blobs, &entry.path())?, arriving: 0 });
        }
        Ok(Self { blobs, dir: dir.to_owned(), peers: Mutex::new(peers) })
    }

    /// Bytes of a peer's blobs.
    pub(crate) fn used(&self, peer: &NodeId) -> u64 {
        self.peers().get_mut(peer).map_or(0, |holdings| {
            holdings.look(&self.blobs);
            holdings.bytes()
        })
    }

    /// Whether a peer has brought this blob; who has not does not get it for knowing its name.
    pub(super) fn has_brought(&self, peer: &NodeId, digest: &Digest) -> bool {
        self.peers().get(peer).is_some_and(|holdings| holdings.blobs.contains_key(digest))
    }

    /// Every peer with a blob here.
    pub(super) fn peers_with_any(&self) -> Vec<NodeId> {
        self.peers().keys().copied().collect()
    }

    /// Room for a blob of a peer of which so many bytes stay besides, and which may have so many in all.
    pub(super) fn make_room(
        &self,
        peer: NodeId,
        bytes: u64,
        held: u64,
        allowed: u64,
    ) -> Result<KeptBytes<'_>, QuotaHit> {
        let mut peers = self.peers();
        let holdings = peers.entry(peer).or_default();
        let fits = |holdings: &Holdings| held.saturating_add(holdings.bytes()).saturating_add(bytes) <= allowed;
        if !fits(holdings) {
            holdings.look(&self.blobs);
        }
        if !fits(holdings) {
            let mut oldest: Vec<_> =
                holdings.blobs.keys().map(|digest| (self.blobs.used_at(*digest), *digest)).collect();
            oldest.sort_unstable();
            for (_, digest) in oldest {
                if fits(holdings) {
                    break;
                }
                if self.blobs.remove_unleased(digest) {
                    holdings.blobs.remove(&digest);
                    let _gone = fs::remove_file(self.note(&peer, &digest));
                }
            }
        }
        if !fits(holdings) {
            let used = held.saturating_add(holdings.bytes());
            return Err(QuotaHit::Stored { used, allowed, asked: bytes });
        }
        holdings.arriving += bytes;
        Ok(KeptBytes { stored: self, peer, bytes })
    }

    /// Room for so many bytes more of any peer where so many of all stay besides, and all together may have so many. What
    /// nobody needs now goes first, whosever it is.
    pub(super) fn make_room_among_all(&self, bytes: u64, held: u64, allowed: u64) -> Result<(), QuotaHit> {
        if allowed == u64::MAX {
            return Ok(());
        }
        let mut peers = self.peers();
        peers.values_mut().for_each(|holdings| holdings.look(&self.blobs));
        let used =
            |peers: &HashMap<NodeId, Holdings>| peers.values().fold(held, |sum, of| sum.saturating_add(of.bytes()));
        let mut oldest: Vec<_> = peers
            .iter()
            .flat_map(|(peer, holdings)| holdings.blobs.keys().map(|digest| (*peer, *digest)))
            .map(|(peer, digest)| (self.blobs.used_at(digest), peer, digest))
            .collect();
        oldest.sort_unstable();
        for (_, peer, digest) in oldest {
            if used(&peers).saturating_add(bytes) <= allowed {
                break;
            }
            // One that several have brought goes with the first of them.
            if self.blobs.remove_unleased(digest) || !self.blobs.has(digest) {
                if let Some(holdings) = peers.get_mut(&peer) {
                    holdings.blobs.remove(&digest);
                }
                let _gone = fs::remove_file(self.note(&peer, &digest));
            }
        }
        let used = used(&peers);
        if used.saturating_add(bytes) <= allowed { Ok(()) } else { Err(QuotaHit::Disk { used, allowed, asked: bytes }) }
    }

    /// A peer's blobs are nobody's from now on, and go as others do.
    pub(super) fn forget(&self, peer: &NodeId) {
        self.peers().remove(peer);
        let _absent = fs::remove_dir_all(self.folder(peer));
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<NodeId, Holdings>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, peer: &NodeId) -> PathBuf {
        self.dir.join(peer.to_string())
    }

    fn note(&self, peer: &NodeId, digest: &Digest) -> PathBuf {
        self.folder(peer).join(digest.to_string())
    }
}

impl KeptBytes<'_> {
    /// The blob is there.
    ///
    /// # Errors
    /// What the system says when that cannot be noted; it counts until the node ends all the same.
    pub(super) fn keep(self, digest: Digest) -> io::Result<()> {
        let mut peers = self.stored.peers();
        peers.entry(self.peer).or_default().blobs.insert(digest, self.bytes);
        drop(peers);
        let note = self.stored.note(&self.peer, &digest);
        match File::create(&note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(self.stored.folder(&self.peer))?;
                File::create(&note).map(drop)
            }
            other => other.map(drop),
        }
    }
}

impl Drop for KeptBytes<'_> {
    fn drop(&mut self) {
        if let Some(holdings) = self.stored.peers().get_mut(&self.peer) {
            holdings.arriving = holdings.arriving.saturating_sub(self.bytes);
        }
    }
}

impl Holdings {
    fn bytes(&self) -> u64 {
        self.blobs.values().fold(self.arriving, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Blobs that have gone do not count.
    fn look(&mut self, blobs: &BlobStore) {
        self.blobs.retain(|digest, _| blobs.has(*digest));
    }
}

/// The blobs that a peer's folder names and that are there; notes of others are removed.
fn noted(blobs: &BlobStore, folder: &Path) -> io::Result<HashMap<Digest, u64>> {
    let mut noted = HashMap::new();
    for entry in entries(folder)? {
        let entry = entry?;
        let Some(digest) = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
        match blobs.len(digest) {
            Some(len) => drop(noted.insert(digest, len)),
            None => fs::remove_file(entry.path())?,
        }
    }
    Ok(noted)
}

/// What lies in a folder that need not be there.
fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: NodeId = NodeId::from_bytes([1; 32]);
    const BOB: NodeId = NodeId::from_bytes([2; 32]);

    fn put(
        stored: &StoredBytes,
        peer: NodeId,
        content: &[u8],
        allowed: u64,
    ) -> Result<crate::store::blobs::BlobLease, QuotaHit> {
        let (digest, len) = (Digest::of(content), content.len() as u64);
        let room = stored.make_room(peer, len, 0, allowed)?;
        let mut writer = stored.blobs.receive(digest, len).unwrap();
        writer.write(content).unwrap();
        let lease = writer.commit().unwrap();
        room.keep(digest).unwrap();
        Ok(lease)
    }

    #[test]
    fn what_nobody_needs_goes_before_anything_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            StoredBytes::open(BlobStore::new(dir.path().join("blobs"), 1 << 30), &dir.path().join("holders")).unwrap()
        };
        let stored = open();
        drop(put(&stored, ANN, &[1; 40], 100).unwrap());
        let held = put(&stored, ANN, &[2; 40], 100).unwrap();
        assert_eq!(stored.used(&ANN), 80);
        let _third = put(&stored, ANN, &[3; 40], 100).unwrap();
        assert_eq!((stored.used(&ANN), held.path().exists()), (80, true));
        let refused = put(&stored, ANN, &[4; 40], 100).unwrap_err();
        assert_eq!(refused, QuotaHit::Stored { used: 80, allowed: 100, asked: 40 });
        // Another peer's room is its own.
        drop(put(&stored, BOB, &[5; 40], 100).unwrap());
        let again = open();
        assert_eq!((again.used(&ANN), again.used(&BOB)), (80, 40));
        again.forget(&BOB);
        assert_eq!((open().used(&ANN), open().used(&BOB)), (80, 0));
    }

    #[test]
    fn what_all_keep_together_is_bounded_and_the_oldest_goes_first_whosever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::new(dir.path().join("blobs"), 1 << 30);
        let stored = StoredBytes::open(blobs, &dir.path().join("holders")).unwrap();
        drop(put(&stored, ANN, &[1; 40], 100).unwrap());
        let _held = put(&stored, BOB, &[2; 40], 100).unwrap();
        assert!(stored.make_room_among_all(40, 0, 120).is_ok());
        assert_eq!((stored.used(&ANN), stored.used(&BOB)), (40, 40));
        assert!(stored.make_room_among_all(50, 0, 120).is_ok());
        assert_eq!((stored.used(&ANN), stored.used(&BOB)), (0, 40));
        let refused = stored.make_room_among_all(50, 40, 120).unwrap_err();
        assert_eq!(refused, QuotaHit::Disk { used: 80, allowed: 120, asked: 50 });
        assert!(stored.make_room_among_all(u64::MAX, u64::MAX, u64::MAX).is_ok());
    }

    #[test]
    fn what_arrives_and_what_sessions_take_counts_too() {
        let dir = tempfile::tempdir().unwrap();
        let stored = StoredBytes::open(BlobStore::new(dir.path().join("blobs"), 1 << 30), dir.path()).unwrap();
        let first = stored.make_room(ANN, 60, 0, 100).unwrap();
        assert!(stored.make_room(ANN, 60, 0, 100).is_err());
        drop(first);
        assert!(stored.make_room(ANN, 60, 50, 100).is_err());
        assert!(stored.make_room(ANN, u64::MAX, 50, 100).is_err());
        assert!(stored.make_room(ANN, 50, 50, 100).is_ok());
    }
}
