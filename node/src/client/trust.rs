//! What an owner decides about keys: who waits is let in or not, a peer is put out, a key is replaced. Asked of the daemon
//! where one runs; without one the book is changed here, and the daemon does the rest when it runs again.

use super::Client;
use super::daemon::ask_daemon;
use super::network::{ClientError, book, decoded};
use super::target::find;
use crate::clock::Clock;
use crate::dispatch::overview::with_book;
use crate::identity::{Identity, IdentityError, NodeId};
use crate::trust::book::{Book, BookStore};
use crate::trust::invitations::Invitations;
use crate::wire::{AcceptKey, Frame, PeerList, PendingPeer, Tag, WhichKey};

/// A key that was decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Whose.
    pub id: NodeId,
    /// What they are called.
    pub name: String,
}

impl Client {
    /// Who waits for the owner's yes, longest first; asks nobody but this machine.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pending(&self) -> Result<Vec<PendingPeer>, ClientError> {
        let mut pending = self.keys().await?.pending;
        pending.sort_by_key(|entry| entry.since_unix);
        Ok(pending)
    }

    /// Says yes to a key that waits, or again to one that members have put out.
    ///
    /// # Errors
    /// [`ClientError`] when the name means nobody or several.
    pub async fn approve(&self, wanted: &str) -> Result<Decided, ClientError> {
        let list = self.keys().await?;
        let fallen = list.revoked.iter().filter(|peer| !peer.trusted).map(|peer| (peer.id, peer.name.as_str()));
        let mut candidates: Vec<(NodeId, &str)> =
            list.pending.iter().map(|peer| (peer.id, peer.name.as_str())).chain(fallen).collect();
        candidates.sort_unstable_by_key(|(id, _)| *id);
        candidates.dedup_by_key(|(id, _)| *id);
        let id = find_waiting(wanted, &candidates)?;
        let replaces = list.pending.iter().find(|peer| peer.id == id).and_then(|peer| peer.replaces);
        let by_name = !id.to_string().starts_with(&wanted.to_ascii_lowercase());
        if let Some(old) = replaces.filter(|_| by_name) {
            return Err(ClientError::Failed(format!(
                "{wanted} is known by another key ({}): if that machine was set up anew type `potluck peers accept-key {}`; \
                 if this is another machine type `potluck peers approve {}`",
                old.short(),
                old.short(),
                id.short()
            )));
        }
        self.decide(Tag::OWNER_APPROVE, id, |book, identity, now| {
            book.approve(identity, id, now).map(|_| ()).map_err(|error| ClientError::Failed(error.to_string()))
        })
        .await?;
        Ok(decided(id, &candidates))
    }

    /// Says no to a key that waits.
    ///
    /// # Errors
    /// [`ClientError`] when the name means nobody or several.
    pub async fn deny(&self, wanted: &str) -> Result<Decided, ClientError> {
        let list = self.keys().await?;
        let candidates: Vec<_> = list.pending.iter().map(|peer| (peer.id, peer.name.as_str())).collect();
        let id = find_waiting(wanted, &candidates)?;
        self.decide(Tag::OWNER_DENY, id, |book, _, _| {
            book.deny(&id);
            Ok(())
        })
        .await?;
        Ok(decided(id, &candidates))
    }

    /// Puts a peer out, here at once and at those who know it from here as the word reaches them.
    ///
    /// # Errors
    /// [`ClientError`] when the name means nobody or several.
    pub async fn revoke(&self, wanted: &str) -> Result<Decided, ClientError> {
        let known = book(self.paths())?;
        let peers = known.peers().map(|peer| (peer.id, peer.name.as_str()));
        let waiting = known.pending().map(|peer| (peer.id, peer.name.as_str()));
        let candidates: Vec<_> = peers.chain(waiting).collect();
        let id = find(wanted, candidates.iter().copied())?;
        let invitations = Invitations::in_dir(&self.paths().data_dir);
        self.decide(Tag::OWNER_REVOKE, id, |book, identity, now| {
            invitations.withdraw_open()?;
            book.revoke(identity, id, now);
            Ok(())
        })
        .await?;
        Ok(decided(id, &candidates))
    }

    /// Puts the new key of a peer in the place of the one it had. The new key must have shown itself: it waits, or it was
    /// let in, under the peer's name or at its address. The new key.
    ///
    /// # Errors
    /// [`ClientError`] when there is no such peer or no such key.
    pub async fn accept_key(&self, wanted: &str, new: Option<&str>) -> Result<Decided, ClientError> {
        let known = book(self.paths())?;
        let peers: Vec<_> = known.peers().map(|peer| (peer.id, peer.name.as_str())).collect();
        let (old, candidates) = successors(&known, wanted, &peers)?;
        let new = match (new, candidates.as_slice()) {
            (Some(new), _) => find(new, candidates.iter().copied())?,
            (None, [(id, _)]) => *id,
            (None, []) => {
                return Err(ClientError::Failed(format!(
                    "no other key has shown itself for {wanted}: give that machine a ticket with `potluck invite`, and type \
                     this again when it has used it"
                )));
            }
            (None, several) => {
                let shown: Vec<String> = several.iter().map(|(id, name)| format!("{name} ({})", id.short())).collect();
                return Err(ClientError::Failed(format!(
                    "several keys have shown themselves for {wanted}: {}; say which with `potluck peers accept-key {} KEY`",
                    shown.join(", "),
                    old.short()
                )));
            }
        };
        if self.daemon_runs() {
            let request = Frame::message(Tag::OWNER_ACCEPT_KEY, &AcceptKey { old, new });
            ask_daemon(self, request, Tag::DONE).await?;
        } else {
            let (identity, now) = (self.identity()?, Clock::system().unix_now());
            Invitations::in_dir(&self.paths().data_dir).withdraw_open()?;
            let (accepted, _) =
                BookStore::in_dir(&self.paths().data_dir).update(|book| book.accept_key(&identity, old, new, now))?;
            accepted.map_err(|error| ClientError::Failed(error.to_string()))?;
        }
        Ok(decided(new, &candidates))
    }

    /// Gives this machine a new identity and an empty book; what was there is kept aside. The old id and the new one.
    ///
    /// # Errors
    /// [`ClientError`] while a daemon runs, or when the files cannot be moved.
    pub fn renew_identity(&self) -> Result<(NodeId, NodeId), ClientError> {
        if self.daemon_runs() {
            let text = "the node runs with the old identity; stop it with `potluck down`, then type this again";
            return Err(ClientError::Failed(text.to_owned()));
        }
        let failed = |source: IdentityError| ClientError::local("cannot give this machine a new identity", source);
        let data_dir = &self.paths().data_dir;
        let old = Identity::load_or_create(data_dir).map_err(failed)?.id();
        BookStore::in_dir(data_dir).put_aside(&old.short())?;
        Invitations::in_dir(data_dir).forget_all()?;
        Identity::put_aside(data_dir, &old.short()).map_err(failed)?;
        let new = Identity::load_or_create(data_dir).map_err(failed)?.id();
        Ok((old, new))
    }

    /// What this machine knows of keys, without asking any peer.
    async fn keys(&self) -> Result<PeerList, ClientError> {
        if self.daemon_runs() {
            return decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_PEERS), Tag::PEERS_ARE).await?);
        }
        let (peers, pending, revoked, remarks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let list = PeerList { me: self.info_alone()?, peers, pending, revoked, remarks };
        let mut known = book(self.paths())?;
        known.forget_pending(Clock::system().unix_now());
        Ok(with_book(list, &known, &self.config().bad_engines))
    }

    async fn decide(
        &self,
        tag: Tag,
        key: NodeId,
        alone: impl FnOnce(&mut Book, &Identity, u64) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        if self.daemon_runs() {
            return ask_daemon(self, Frame::message(tag, &WhichKey { key }), Tag::DONE).await.map(|_| ());
        }
        let (identity, now) = (self.identity()?, Clock::system().unix_now());
        BookStore::in_dir(&self.paths().data_dir).update(|book| alone(book, &identity, now))?.0
    }
}

/// A key and what its holder is called.
type Key<'a> = (NodeId, &'a str);

/// The peer that is meant, and the keys that have shown themselves under its name or at its address.
fn successors<'a>(known: &'a Book, wanted: &str, peers: &[Key<'a>]) -> Result<(NodeId, Vec<Key<'a>>), ClientError> {
    let waiting = || known.pending().map(|entry| (entry.id, entry.name.as_str(), &entry.addresses));
    let pinned = || known.peers().map(|entry| (entry.id, entry.name.as_str(), &entry.addresses));
    let named: Vec<_> = peers.iter().filter(|(_, name)| name.eq_ignore_ascii_case(wanted)).collect();
    // A machine that was let in anew bears the same name as its old key: the old one is the one that was there first.
    let old = match named.as_slice() {
        [_, _, ..] | [] => find(wanted, peers.iter().copied())?,
        [(id, _)] => *id,
    };
    let is_successor =
        |(id, name, addresses): &(NodeId, &str, &Vec<_>)| *id != old && known.succeeds(&old, name, addresses);
    let candidates = waiting().chain(pinned()).filter(is_successor).map(|(id, name, _)| (id, name)).collect();
    Ok((old, candidates))
}

fn find_waiting(wanted: &str, candidates: &[Key<'_>]) -> Result<NodeId, ClientError> {
    if candidates.is_empty() {
        return Err(ClientError::Failed("nobody waits for a yes here".to_owned()));
    }
    Ok(find(wanted, candidates.iter().copied())?)
}

fn decided(id: NodeId, candidates: &[Key<'_>]) -> Decided {
    let name = candidates.iter().find(|(candidate, _)| *candidate == id).map_or("", |(_, name)| name);
    Decided { id, name: super::label(name, id) }
}
