//! Who answers what: the first frame of a stream names the request, the caller's role says whether it may be asked.

pub(crate) mod requests;

pub(crate) mod owner;

mod home;

pub(crate) mod budget;
pub(crate) mod overview;

use crate::identity::NodeId;
use crate::net::link::Link;
use crate::store::blobs::BlobStore;
use crate::store::jobs::JobStore;
use crate::wire::{DockerOffer, Frame, FrameStream, Lends};
use tokio::sync::watch;

/// What a caller is to this node. Decided by the key it proved in the handshake, by nothing it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A pinned peer.
    Peer,
    /// Whoever holds this node's own key: the machine's owner.
    Owner,
}

/// Where a service remembers jobs and keeps their inputs.
pub struct Remembers {
    /// The records of jobs.
    pub records: JobStore,
    /// The inputs.
    pub blobs: BlobStore,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key it proved.
    pub id: NodeId,
    /// What it may ask.
    pub role: Role,
    /// Its label, for logs and sentences.
    pub name: String,
    /// The connection it asks on, which goes both ways; none when it sits on this machine.
    pub link: Option<Link>,
}

impl Caller {
    /// Whether it is the owner on this very machine, whose files are this node's files.
    pub(crate) fn is_at_hand(&self) -> bool {
        self.role == Role::Owner && self.link.is_none()
    }
}

/// Why a service cannot go on with what an earlier process left.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what runs are kept")]
pub struct BeginError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a node does for its callers besides being a peer: running jobs and giving away artifacts.
///
/// The node calls `shutdown` once, after which it opens no more calls to `serve`.
#[async_trait::async_trait]
pub trait JobService: Send + Sync + 'static {
    /// Answers one request. `first` is the stream's first frame: a `SUBMIT` (followed by `OWNER_SOURCES` from a caller
    /// without a link), a `CANCEL`, a `FETCH_ARTIFACT`, or one about sessions. Whatever
    /// goes wrong is told to the caller as a `FAULT`; when the stream or its link ends, what was started for it is ended
    /// at once.
    async fn serve(&self, caller: Caller, first: Frame, stream: FrameStream);

    /// Jobs running now.
    fn jobs_running(&self) -> u32;

    /// Environments that are ready to run.
    fn environments_ready(&self) -> Vec<String>;

    /// The engine and its version.
    fn engine_version(&self) -> String;

    /// What the home of jobs needs of this service; none from one that remembers nothing.
    fn remembers(&self) -> Option<Remembers> {
        None
    }

    /// No other process uses this service's directories, nor will one as long as this lives: what an earlier one left is gone on
    /// with, as far as it is for this machine or for one of these peers, and all else of it goes. Blocks.
    ///
    /// # Errors
    /// [`BeginError`].
    fn begin(&self, _trusted: &[NodeId]) -> Result<(), BeginError> {
        Ok(())
    }

    /// What is lent to peers now; nothing from a service that does not say.
    fn lends(&self) -> Option<Lends> {
        None
    }

    /// What is offered of containers; nothing where nothing is.
    fn docker(&self) -> Option<DockerOffer> {
        None
    }

    /// Whether the machine is paused, now and later; nothing from a service whose machine never is.
    fn paused(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// A peer is not trusted any more: what is kept for it is removed, and what of it runs without a link ends. What else runs
    /// for it ends with its link.
    async fn forget(&self, peer: NodeId);

    /// Ends every job, puts away what is kept, and returns when nothing of them is left.
    async fn shutdown(&self);
}
