//! What a user asks of their own node: who is there, inviting, joining, forgetting, stopping. Asked of the daemon where
//! one runs; done here where it can be done without.

use super::Client;
use super::daemon::{ask_daemon, ask_daemon_for};
use super::network::{ClientError, KnownPeers, ask, book, decoded};
use crate::dispatch::overview::with_book;
use crate::host::{GpuSight, gpus_below};
use crate::identity::NodeId;
use crate::joining::join_alone;
use crate::net::quic::QuicEndpoint;
use crate::net::tls::Expected;
use crate::node::running;
use crate::service::environment::Getter;
use crate::trust::book::BookStore;
use crate::trust::invitations::Grant;
use crate::trust::pins::Pins;
use crate::wire::{
    AddPeer, Frame, Invitation, Invite, Join, JoinWaits, NodeInfo, PeerList, PeerState, Remark, RemovePeer, Tag,
};
use futures_util::future::join_all;
use potluck_runtime::Watch;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a peer may take to say how it is when no daemon keeps track.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a stopping node is looked at.
const STOP_POLL: Duration = Duration::from_millis(50);
/// How long a node may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(80);

/// What joining led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The inviter's name for itself, when it is known yet.
    pub name: String,
    /// Peers known now.
    pub members: usize,
    /// Whether the inviter's owner has yet to say yes.
    pub waits: bool,
}

/// A peer that was found at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFound {
    /// Who; unknown when the daemon does the looking.
    pub id: Option<NodeId>,
    /// Its label, or the address.
    pub name: String,
}

impl Client {
    /// Whether a daemon runs on this machine.
    #[must_use]
    pub fn daemon_runs(&self) -> bool {
        running(self.paths()).is_some()
    }

    /// This machine and everyone it trusts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn peers(&self) -> Result<PeerList, ClientError> {
        if self.daemon_runs() {
            return decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_PEERS), Tag::PEERS_ARE).await?);
        }
        let known = KnownPeers::load(self).await?;
        let book = book(self.paths())?;
        let looks = book.peers().map(|entry| async {
            let look = async {
                let reached = known.reach(self, entry.id).await.ok()?;
                let frame = ask(&reached.link, Frame::empty(Tag::INFO), Tag::INFO_IS, LOOK_TIMEOUT).await.ok()?;
                Some((reached.link.remote_address(), decoded::<NodeInfo>(&frame).ok()?))
            };
            let seen = tokio::time::timeout(LOOK_TIMEOUT, look).await.ok().flatten();
            let address = seen.as_ref().map(|(address, _)| *address);
            PeerState {
                remarks: Vec::new(),
                id: entry.id,
                name: seen.as_ref().map_or_else(|| entry.name.clone(), |(_, info)| info.name.clone()),
                address: address.or_else(|| entry.addresses.first().copied()),
                online: seen.is_some(),
                last_seen_ms: seen.as_ref().map(|_| 0),
                info: seen.map(|(_, info)| info),
            }
        });
        let peers = join_all(looks).await;
        let list = PeerList {
            me: self.info_in_full().await?,
            peers,
            pending: Vec::new(),
            revoked: Vec::new(),
            remarks: Vec::new(),
        };
        Ok(with_book(list, &book, &self.config().bad_engines))
    }

    /// What this machine says of itself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn info(&self) -> Result<NodeInfo, ClientError> {
        if self.daemon_runs() {
            return decoded(&ask_daemon(self, Frame::empty(Tag::INFO), Tag::INFO_IS).await?);
        }
        self.info_with_docker().await
    }

    /// What drivers say of this machine's graphics processors, asked by this process; none where that takes too long.
    pub async fn gpus(&self) -> Option<GpuSight> {
        gpus_below(&self.paths().system_root).await
    }

    /// What this machine would say of itself if its node ran and had looked around.
    async fn info_in_full(&self) -> Result<NodeInfo, ClientError> {
        let mut info = self.info_with_docker().await?;
        if let Some(sight) = self.gpus().await {
            info.gpus = sight.gpus.iter().map(|gpu| gpu.name.clone()).collect();
            info.gpu_details = sight.gpus;
        }
        Ok(info)
    }

    /// What this machine says of itself, and what its owner should know.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<(NodeInfo, Vec<Remark>), ClientError> {
        if !self.daemon_runs() {
            return Ok((self.info_in_full().await?, Vec::new()));
        }
        let list: PeerList = decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_PEERS), Tag::PEERS_ARE).await?)?;
        Ok((list.me, list.remarks))
    }

    /// A ticket for one newcomer; the daemon answers it.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`] among others.
    pub async fn invite(&self, ttl: Duration, grant: Grant) -> Result<Invitation, ClientError> {
        let invite = Invite { ttl_s: ttl.as_secs(), approved: grant == Grant::Enters };
        let request = Frame::message(Tag::OWNER_INVITE, &invite);
        decoded(&ask_daemon(self, request, Tag::INVITATION_IS).await?)
    }

    /// Uses a ticket.
    ///
    /// # Errors
    /// [`ClientError`] with the inviter's refusal.
    pub async fn join(&self, ticket: &str) -> Result<Joined, ClientError> {
        let before: Vec<NodeId> = book(self.paths())?.peers().map(|entry| entry.id).collect();
        let inviter = if self.daemon_runs() {
            let request = Frame::message(Tag::OWNER_JOIN, &Join { ticket: ticket.to_owned() });
            let answer = ask_daemon_for(self, request, &[Tag::DONE, Tag::JOIN_WAITS]).await?;
            match answer.tag {
                Tag::JOIN_WAITS => Some((decoded::<JoinWaits>(&answer)?.name, true)),
                _ => None,
            }
        } else {
            let (identity, store) = (self.identity()?, BookStore::in_dir(&self.paths().data_dir));
            let joined = join_alone(&identity, &store, self.config(), ticket).await;
            Some(joined.map_err(|failure| ClientError::Failed(failure.to_string()))?)
        };
        let after = book(self.paths())?;
        let newcomer = after.peers().find(|entry| !before.contains(&entry.id)).map(|entry| entry.name.clone());
        let (name, waits) = inviter.unwrap_or_else(|| (newcomer.unwrap_or_default(), false));
        Ok(Joined { name, members: after.peers().count(), waits })
    }

    /// Looks for a pinned peer at an address and remembers it.
    ///
    /// # Errors
    /// [`ClientError`] when nobody pinned is there.
    pub async fn add_peer(&self, address: &str) -> Result<PeerFound, ClientError> {
        if self.daemon_runs() {
            let request = Frame::message(Tag::OWNER_ADD_PEER, &AddPeer { address: address.to_owned() });
            ask_daemon(self, request, Tag::DONE).await?;
            return Ok(PeerFound { id: None, name: address.to_owned() });
        }
        let no_host = |why: String| ClientError::Failed(format!("{address} is no HOST:PORT that can be found: {why}"));
        let resolved = tokio::net::lookup_host(address).await.map_err(|error| no_host(error.to_string()))?;
        let addresses: Vec<SocketAddr> = resolved.collect();
        let identity = self.identity()?;
        let store = BookStore::in_dir(&self.paths().data_dir);
        let pins = Arc::new(Pins::new(identity.id(), store.read()?.peers().map(|entry| entry.id)));
        let endpoint = QuicEndpoint::dial_only(&identity, Arc::clone(&pins))
            .map_err(|source| ClientError::local("cannot open the network", source))?;
        let link = endpoint
            .dial(Expected::AnyPinned(pins), &addresses)
            .await
            .map_err(|error| ClientError::Failed(format!("no peer of this machine answers at {address}: {error}")))?;
        let (peer, at) = (link.peer(), link.remote_address());
        let frame = ask(&link, Frame::empty(Tag::INFO), Tag::INFO_IS, LOOK_TIMEOUT).await?;
        let info: NodeInfo = decoded(&frame)?;
        store.update(|book| book.note(&peer, Some(&info.name), &[at]))?;
        endpoint.shutdown().await;
        Ok(PeerFound { id: Some(peer), name: info.name })
    }

    /// Stops trusting a peer.
    ///
    /// # Errors
    /// [`ClientError`] when the name means nobody or several.
    pub async fn remove_peer(&self, wanted: &str) -> Result<NodeId, ClientError> {
        let peer = KnownPeers::load(self).await?.find(wanted)?;
        if self.daemon_runs() {
            let request = Frame::message(Tag::OWNER_REMOVE_PEER, &RemovePeer { peer });
            ask_daemon(self, request, Tag::DONE).await?;
        } else {
            BookStore::in_dir(&self.paths().data_dir).update(|book| book.remove(&peer))?;
        }
        Ok(peer)
    }

    /// Stops the daemon and returns when it is gone.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`] among others.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        ask_daemon(self, Frame::empty(Tag::OWNER_SHUTDOWN), Tag::DONE).await?;
        let gone = async {
            while self.daemon_runs() {
                tokio::time::sleep(STOP_POLL).await;
            }
        };
        let stopped = tokio::time::timeout(STOP_TIMEOUT, gone).await;
        stopped.map_err(|_| ClientError::Failed("the node was asked to stop and still runs after 80 s".into()))
    }

    /// Gets an environment from a peer, or by download when none has it.
    ///
    /// # Errors
    /// [`ClientError`] with what to do.
    pub async fn fetch_environment(&self, name: &str, watch: &dyn Watch) -> Result<(), ClientError> {
        let peers = Arc::new(super::network::ClientPeers::new(self));
        let getter = Getter::new(self.runtime()?, peers);
        let got = getter.ensure(name, None, watch).await;
        got.map_err(|error| ClientError::Failed(crate::service::chain(&error)))
    }
}
