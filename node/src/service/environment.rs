//! Environments that are missing here: got from the submitter, from another peer, or by the package installer, in that
//! order, because what lies near costs nothing. The digest makes the source irrelevant.

use crate::dispatch::Caller;
use crate::identity::NodeId;
use crate::wire::{ArtifactHead, FetchArtifact, FrameStream, Tag};
use potluck_runtime::{Artifact, EnvironmentError, Runtime, Stage, Watch};
use std::any::Any;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a peer may take to begin an answer, or to send the next piece.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What must live as long as a stream: a connection, an endpoint, or nothing.
pub type Carrier = Box<dyn Any + Send>;

/// Streams to peers, for whoever needs one. The node opens them on its links.
#[async_trait::async_trait]
pub trait PeerStreams: Send + Sync + 'static {
    /// Peers in reach with their labels, those first that say they have this environment.
    async fn peers(&self, environment: &str) -> Vec<(NodeId, String)>;

    /// A stream to this peer, with what must live as long as it; nothing if the peer is out of reach.
    async fn open(&self, peer: NodeId) -> Option<(FrameStream, Carrier)>;
}

/// No peers at all.
pub struct NoPeers;

#[async_trait::async_trait]
impl PeerStreams for NoPeers {
    async fn peers(&self, _environment: &str) -> Vec<(NodeId, String)> {
        Vec::new()
    }

    async fn open(&self, _peer: NodeId) -> Option<(FrameStream, Carrier)> {
        None
    }
}

/// Why an environment is not here. The sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// There is no environment of this name.
    #[error("there is no environment {name:?}; there is: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// It could neither be fetched from a peer nor installed.
    #[error(
        "environment {name:?} is not here, no peer in reach has it{asked}, and it could not be downloaded; \
             get its wheel on any machine and run `potluck env add {name} --wheel FILE`"
    )]
    NoSource {
        /// The environment.
        name: String,
        /// Who was asked, as a parenthesis.
        asked: String,
        /// Why the download failed.
        source: EnvironmentError,
    },
    /// The files that are here could not be looked at.
    #[error("environment {name:?} cannot be looked at")]
    Look {
        /// The environment.
        name: String,
        /// Why.
        source: EnvironmentError,
    },
}

/// Gets environments; one at a time, so that two jobs do not fetch the same bytes.
pub struct Getter {
    runtime: Runtime,
    peers: Arc<dyn PeerStreams>,
    busy: Mutex<()>,
}

impl Getter {
    /// A getter for `runtime` that asks `peers`.
    pub fn new(runtime: Runtime, peers: Arc<dyn PeerStreams>) -> Self {
        Self { runtime, peers, busy: Mutex::new(()) }
    }

    /// Makes sure that the artifacts of `name` are here. `caller`, for whose job they are, is asked before others and on
    /// its own connection, so it needs no node to be running. Cancelled, it leaves nothing half done.
    ///
    /// # Errors
    /// [`GetError`].
    pub async fn ensure(&self, name: &str, caller: Option<&Caller>, watch: &dyn Watch) -> Result<(), GetError> {
        if self.runtime.environments().spec(name).is_none() {
            let known =
                self.runtime.environments().list().iter().map(|status| status.name.to_string()).collect::<Vec<_>>();
            return Err(GetError::Unknown { name: name.to_owned(), known: known.join(", ") });
        }
        if self.missing(name)?.is_empty() {
            return Ok(());
        }
        let _alone = self.busy.lock().await;
        let mut labels = Vec::new();
        if let Some(caller) = caller.filter(|caller| caller.link.is_some()) {
            labels.push(caller.name.clone());
            if self.fetch_all(name, &Source::Caller(caller), watch).await? {
                return Ok(());
            }
        }
        for (peer, label) in self.peers.peers(name).await {
            if caller.is_some_and(|caller| caller.id == peer && caller.link.is_some()) {
                continue;
            }
            labels.push(label.clone());
            if self.fetch_all(name, &Source::Peer(peer, label), watch).await? {
                return Ok(());
            }
        }
        let asked = if labels.is_empty() { String::new() } else { format!(" (asked: {})", labels.join(", ")) };
        self.runtime.environments().add_by_pip(name, watch).await.map_err(|source| GetError::NoSource {
            name: name.to_owned(),
            asked,
            source,
        })
    }

    /// Fetches what is missing from one source; whether nothing is missing then.
    async fn fetch_all(&self, name: &str, source: &Source<'_>, watch: &dyn Watch) -> Result<bool, GetError> {
        for artifact in self.missing(name)? {
            if let Err(why) = self.fetch(source, artifact, watch).await {
                tracing::debug!(source = source.label(), artifact = artifact.name, why, "artifact not fetched");
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn missing(&self, name: &str) -> Result<Vec<&'static Artifact>, GetError> {
        let missing = self.runtime.environments().missing(name);
        missing.map_err(|source| GetError::Look { name: name.to_owned(), source })
    }

    async fn open(&self, source: &Source<'_>) -> Option<(FrameStream, Carrier)> {
        match source {
            Source::Caller(caller) => {
                let stream = caller.link.as_ref()?.open_stream().await.ok()?;
                Some((stream, Box::new(())))
            }
            Source::Peer(peer, _) => self.peers.open(*peer).await,
        }
    }

    /// Fetches one artifact from one source; the error is for the log.
    async fn fetch(&self, source: &Source<'_>, artifact: &'static Artifact, watch: &dyn Watch) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let opened = tokio::time::timeout(ANSWER_TIMEOUT, self.open(source)).await;
        let (mut stream, _carrier) = opened.ok().flatten().ok_or("it is out of reach")?;
        let request = FetchArtifact { sha256: artifact.sha256 };
        stream.writer.send_message(Tag::FETCH_ARTIFACT, &request).await.map_err(|e| text(&e))?;
        let head = tokio::time::timeout(ANSWER_TIMEOUT, stream.reader.expect_message::<ArtifactHead>(Tag::ARTIFACT_IS));
        let head = head.await.map_err(|e| text(&e))?.map_err(|e| text(&e))?;
        if head.size != artifact.size {
            return Err(format!("it has {} bytes there instead of {}", head.size, artifact.size));
        }
        let mut writer = self.runtime.environments().receive(artifact).map_err(|e| text(&e))?;
        let what = format!("{} from {}", artifact.name, source.label());
        let mut done = 0;
        while done < artifact.size {
            watch.stage(Stage::Fetching { what: what.clone(), done, total: Some(artifact.size) });
            let frame = tokio::time::timeout(ANSWER_TIMEOUT, stream.reader.expect(Tag::DATA)).await;
            let bytes = frame.map_err(|e| text(&e))?.map_err(|e| text(&e))?.payload;
            done += bytes.len() as u64;
            writer = super::blocking(move || writer.write_all(&bytes).map(|()| writer)).await.map_err(|e| text(&e))?;
        }
        super::blocking(move || writer.commit()).await.map_err(|e| text(&e))?;
        watch.stage(Stage::Ready);
        Ok(())
    }
}

/// Who is asked for an artifact.
enum Source<'a> {
    /// Whoever submitted the job, on its own connection.
    Caller(&'a Caller),
    /// A peer.
    Peer(NodeId, String),
}

impl Source<'_> {
    fn label(&self) -> &str {
        match self {
            Self::Caller(caller) => &caller.name,
            Self::Peer(_, label) => label,
        }
    }
}

/// The environments whose artifacts are all here.
pub(crate) fn ready(runtime: &Runtime) -> Vec<String> {
    runtime
        .environments()
        .list()
        .into_iter()
        .filter(|status| status.ready)
        .map(|status| status.name.to_string())
        .collect()
}
