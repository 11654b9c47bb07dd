//! How a command reaches peers: over their addresses from the daemon, the book and a short look around.

use super::daemon::ask_daemon;
use super::target::{WhichPeer, find};
use super::{Client, Inner};
use crate::identity::NodeId;
use crate::net::discover::{ReachError, dial, discover};
use crate::net::link::Link;
use crate::node::running;
use crate::paths::Paths;
use crate::service::environment::{Carrier, PeerStreams};
use crate::store::record::RecordError;
use crate::trust::book::{Book, BookStore};
use crate::wire::{Frame, FrameError, FrameStream, PeerList, PeerState, Tag};
use std::any::Any;
use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long the network is asked who is there, when a peer is not where it was.
const LOOK_AROUND: Duration = Duration::from_millis(800);

/// Why a command could not do what it was asked. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon runs and one is needed.
    #[error("no Potluck node runs on this machine; start one with `potluck up -d`")]
    NoDaemon,
    /// The daemon cannot be reached although it says that it runs.
    #[error("the Potluck node of this machine does not answer; `potluck down` and `potluck up -d` restart it")]
    DaemonSilent {
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The name means nobody, or several.
    #[error(transparent)]
    WhichPeer(#[from] WhichPeer),
    /// The peer cannot be reached.
    #[error(
        "cannot reach {name}: {why}; check that `potluck up` runs there, or tell its address with `potluck peers add HOST:PORT`"
    )]
    Unreachable {
        /// Its label.
        name: String,
        /// What was tried.
        why: String,
    },
    /// The other side refused or failed.
    #[error("{0}")]
    Refused(crate::wire::Fault),
    /// Something of this machine cannot be used.
    #[error("{what}")]
    Local {
        /// What.
        what: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What was asked cannot be done.
    #[error("{0}")]
    Failed(String),
}

impl ClientError {
    pub(super) fn local(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Local { what, source: source.into() }
    }
}

impl From<RecordError> for ClientError {
    fn from(error: RecordError) -> Self {
        Self::local("cannot use the book of peers", error)
    }
}

/// A connection to another node.
pub(super) struct Reached {
    pub(super) link: Link,
    pub(super) name: String,
    /// What must live as long as the link.
    pub(super) carrier: Box<dyn Any + Send + Sync>,
}

/// The book as it is now.
pub(super) fn book(paths: &Paths) -> Result<Book, RecordError> {
    BookStore::in_dir(&paths.data_dir).read()
}

/// Asks over a link.
pub(super) async fn ask(link: &Link, request: Frame, wanted: Tag, timeout: Duration) -> Result<Frame, ClientError> {
    let silent = |source: Box<dyn Error + Send + Sync>| ClientError::DaemonSilent { source };
    let conversation = async {
        let mut stream = link.open_stream().await.map_err(|closed| silent(Box::new(closed)))?;
        let sent = stream.writer.send(request).await;
        sent.map_err(|error| silent(Box::new(error)))?;
        stream.reader.expect(wanted).await.map_err(|error| match error {
            FrameError::Fault(fault) => ClientError::Refused(fault),
            error => silent(Box::new(error)),
        })
    };
    tokio::time::timeout(timeout, conversation).await.map_err(|elapsed| silent(Box::new(elapsed)))?
}

/// Decodes an answer.
pub(super) fn decoded<T: serde::de::DeserializeOwned>(frame: &Frame) -> Result<T, ClientError> {
    frame.decode().map_err(|source| ClientError::DaemonSilent { source: Box::new(source) })
}

/// Peers by name and address, from the daemon or from the book.
pub(super) struct KnownPeers {
    me: Option<(NodeId, String)>,
    peers: Vec<(NodeId, String, Vec<SocketAddr>)>,
    /// Of those that said so to the daemon.
    engines: HashMap<NodeId, String>,
}

impl KnownPeers {
    pub(super) async fn load(client: &Client) -> Result<Self, ClientError> {
        let book = book(client.paths())?;
        let mut peers: Vec<_> =
            book.peers().map(|entry| (entry.id, entry.name.clone(), entry.addresses.clone())).collect();
        let mut me = None;
        let mut engines = HashMap::new();
        if running(client.paths()).is_some()
            && let Ok(frame) = ask_daemon(client, Frame::empty(Tag::OWNER_PEERS), Tag::PEERS_ARE).await
        {
            let list: PeerList = decoded(&frame)?;
            me = Some((list.me.id, list.me.name));
            for state in list.peers {
                let Some(known) = peers.iter_mut().find(|(id, ..)| *id == state.id) else { continue };
                engines.extend(state.info.map(|info| (state.id, info.engine)));
                known.1 = state.name;
                if let Some(address) = state.address {
                    known.2.retain(|other| *other != address);
                    known.2.insert(0, address);
                }
            }
        }
        Ok(Self { me, peers, engines })
    }

    /// The engine of this peer, as the daemon last heard.
    pub(super) fn engine(&self, peer: NodeId) -> Option<&str> {
        self.engines.get(&peer).map(String::as_str)
    }

    /// This machine, where its daemon said so.
    pub(super) fn me(&self) -> Option<NodeId> {
        self.me.as_ref().map(|(id, _)| *id)
    }

    /// The peer a user means; this machine has a name too.
    pub(super) fn find(&self, wanted: &str) -> Result<NodeId, ClientError> {
        let peers = self.peers.iter().map(|(id, name, _)| (*id, name.as_str()));
        let me = self.me.iter().map(|(id, name)| (*id, name.as_str()));
        Ok(find(wanted, me.chain(peers))?)
    }

    /// A connection to this peer: where it was, otherwise where a look around finds it.
    pub(super) async fn reach(&self, client: &Client, peer: NodeId) -> Result<Reached, ClientError> {
        let (name, addresses) = self.peers.iter().find(|(id, ..)| *id == peer).map_or_else(
            || (peer.short(), Vec::new()),
            |(_, name, addresses)| (super::label(name, peer), addresses.clone()),
        );
        let identity = client.identity()?;
        let book = book(client.paths())?;
        let reached = |(endpoint, link)| Reached { link, name: name.clone(), carrier: Box::new(endpoint) };
        let unreachable = |error: &ReachError| ClientError::Unreachable { name: name.clone(), why: error.to_string() };
        let dialling = dial(&identity, &book, peer, &addresses);
        let Some(port) = client.config().discovery else {
            return dialling.await.map(reached).map_err(|error| unreachable(&error));
        };
        // Both at once: a peer that has moved must not cost a handshake's whole patience first.
        let looking = async {
            let mut found = discover(&identity, &book, port, LOOK_AROUND).await;
            let addresses = found.remove(&peer).unwrap_or_default();
            dial(&identity, &book, peer, &addresses).await
        };
        let (mut dialling, mut looking) = (std::pin::pin!(dialling), std::pin::pin!(looking));
        let other = tokio::select! {
            first = &mut dialling => match first {
                Ok(first) => return Ok(reached(first)),
                Err(_) => looking.await,
            },
            found = &mut looking => match found {
                Ok(found) => return Ok(reached(found)),
                Err(_) => dialling.await,
            },
        };
        other.map(reached).map_err(|error| unreachable(&error))
    }
}

/// Peers as the service in this process asks them for artifacts.
pub(super) struct ClientPeers {
    /// Weak, because the client owns the service that owns this: nothing would ever be dropped.
    client: Weak<Inner>,
}

impl ClientPeers {
    pub(super) fn new(client: &Client) -> Self {
        Self { client: Arc::downgrade(&client.inner) }
    }

    fn client(&self) -> Option<Client> {
        Some(Client { inner: self.client.upgrade()? })
    }
}

#[async_trait::async_trait]
impl PeerStreams for ClientPeers {
    async fn peers(&self, environment: &str) -> Vec<(NodeId, String)> {
        let Some(client) = self.client() else { return Vec::new() };
        let Ok(list) = client.peers().await else { return Vec::new() };
        let has = |peer: &PeerState| {
            peer.info.as_ref().is_some_and(|info| info.environments.iter().any(|name| name == environment))
        };
        // What a peer last said of itself may be old or not have come yet: those that say they have it are asked first.
        let mut peers: Vec<PeerState> = list.peers.into_iter().filter(|peer| peer.online).collect();
        peers.sort_by_key(|peer| !has(peer));
        peers.into_iter().map(|peer| (peer.id, super::label(&peer.name, peer.id))).collect()
    }

    async fn open(&self, peer: NodeId) -> Option<(FrameStream, Carrier)> {
        let client = self.client()?;
        let known = KnownPeers::load(&client).await.ok()?;
        let Reached { link, carrier, .. } = known.reach(&client, peer).await.ok()?;
        let stream = link.open_stream().await.ok()?;
        Some((stream, Box::new((link, carrier))))
    }
}
