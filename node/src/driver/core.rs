//! What every task of a node shares, and how a task asks the driver for something.

use crate::clock::Clock;
use crate::config::Config;
use crate::defaults::ADDRESSES_MAX;
use crate::dispatch::JobService;
use crate::dispatch::budget::Budgets;
use crate::home::JobHome;
use crate::host::Host;
use crate::identity::{Identity, NodeId};
use crate::net::interfaces::{Interface, reachable_addresses};
use crate::net::link::Link;
use crate::net::quic::QuicEndpoint;
use crate::state::known_bad::BadEngine;
use crate::state::peers::{Direction, Event};
use crate::store::record::RecordError;
use crate::trust::book::Book;
use crate::trust::invitations::Invitations;
use crate::trust::pins::Pins;
use crate::wire::{Fault, FaultCode, NodeInfo, PeerState, Remark};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What every task of a node shares.
pub(crate) struct Core {
    pub(crate) identity: Identity,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) boot: u64,
    /// Says by chance which start of which machine this is.
    pub(crate) instance: u64,
    /// The parts of the second wall that this system has not, by name.
    pub(crate) walls_missing: Vec<String>,
    pub(crate) endpoint: QuicEndpoint,
    pub(crate) pins: Arc<Pins>,
    pub(crate) service: Arc<dyn JobService>,
    /// The jobs this node is home to; none where its service remembers nothing.
    pub(crate) home: OnceLock<JobHome>,
    /// Why this node lends nothing, if its engine is known to be unsafe.
    pub(crate) bad_engine: Option<BadEngine>,
    pub(crate) interfaces: RwLock<Vec<Interface>>,
    /// Cancelled when the node is to stop.
    pub(crate) stop: CancellationToken,
    pub(crate) invitations: Arc<Invitations>,
    pub(crate) host: Host,
    pub(crate) budgets: Budgets,
    /// Bounded; senders wait while it is full. Closed when the driver has ended, and then nothing matters any more.
    pub(crate) inbox: mpsc::Sender<Message>,
}

pub(crate) type BookChange = Box<dyn FnOnce(&mut Book) + Send>;

/// What the driver is told or asked.
pub(crate) enum Message {
    /// Something happened.
    Event(Event),
    /// A link stands.
    Linked(Link, Direction),
    /// The link to a peer, if one stands.
    Link(NodeId, oneshot::Sender<Option<Link>>),
    /// Who is there?
    List(oneshot::Sender<Overview>),
    /// Change the book; answer once it is written and in force.
    Change(BookChange, oneshot::Sender<Result<Arc<Book>, RecordError>>),
}

/// Who is there, and what the owner should know.
pub(crate) struct Overview {
    pub(crate) peers: Vec<PeerState>,
    /// About this node.
    pub(crate) remarks: Vec<Remark>,
    pub(crate) book: Arc<Book>,
}

impl Core {
    /// What this node says of itself.
    pub(crate) fn info(&self) -> NodeInfo {
        let (load, gpus) = (self.host.load(), self.host.gpus());
        NodeInfo {
            id: self.identity.id(),
            name: self.config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.service.engine_version(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cores: self.host.cores(),
            memory_bytes: load.memory_bytes,
            memory_free_bytes: load.memory_free_bytes,
            load_milli: load.load_milli,
            gpus: gpus.iter().map(|gpu| gpu.name.clone()).collect(),
            jobs_running: self.service.jobs_running(),
            environments: self.service.environments_ready(),
            addresses: self.addresses(),
            instance: self.instance,
            walls_missing: Some(self.walls_missing.clone()),
            lends: self.service.lends(),
            tags: self.config.tags.clone(),
            docker: self.service.docker(),
            gpu_details: gpus,
        }
    }

    /// Where peers may reach this node, best first.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let interfaces = self.interfaces.read().unwrap_or_else(PoisonError::into_inner);
        let mut addresses = reachable_addresses(&interfaces, self.endpoint.port());
        addresses.truncate(ADDRESSES_MAX);
        addresses
    }

    /// Tells the driver what happened.
    pub(crate) async fn report(&self, event: Event) {
        let _ = self.inbox.send(Message::Event(event)).await;
    }

    /// Hands a link over that this node has dialled.
    pub(crate) async fn dialled(&self, link: Link) {
        let _ = self.inbox.send(Message::Linked(link, Direction::Dialled)).await;
    }

    /// Everyone this node trusts.
    pub(crate) async fn overview(&self) -> Result<Overview, Fault> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.inbox.send(Message::List(sender)).await;
        receiver.await.map_err(|_| leaving())
    }

    /// Changes the book; when this returns the change is on disk and in force.
    pub(crate) async fn change_book<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Book) -> R + Send + 'static,
    ) -> Result<(R, Arc<Book>), Fault> {
        let (result_sender, result) = oneshot::channel();
        let (done_sender, done) = oneshot::channel();
        let change: BookChange = Box::new(move |book| {
            let _ = result_sender.send(change(book));
        });
        let _ = self.inbox.send(Message::Change(change, done_sender)).await;
        let book = done.await.map_err(|_| leaving())?.map_err(|error| cannot_write(&error))?;
        Ok((result.await.map_err(|_| leaving())?, book))
    }

    /// Uses the invitations, off the async threads: they lie on disk.
    pub(crate) async fn invitations<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Invitations) -> R + Send + 'static,
    ) -> Result<R, Fault> {
        let invitations = Arc::clone(&self.invitations);
        tokio::task::spawn_blocking(move || work(&invitations)).await.map_err(|_| leaving())
    }
}

impl From<RecordError> for Fault {
    fn from(error: RecordError) -> Self {
        cannot_write(&error)
    }
}

/// The caller gets a sentence, our log the reason.
fn cannot_write(error: &RecordError) -> Fault {
    tracing::error!(error = error as &dyn std::error::Error, "the data directory cannot be used");
    Fault::new(FaultCode::INTERNAL, "that machine cannot use its data directory; its log says why")
}

fn leaving() -> Fault {
    Fault::new(FaultCode::LEAVING, "that machine is shutting down")
}
