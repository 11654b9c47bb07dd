//! A link: one authenticated connection to a node whose key was proved in the handshake. Requests are streams on it.

use crate::config::tame_name;
use crate::defaults::{ADDRESSES_MAX, CORES_MAX, GPUS_MAX, REQUEST_TIMEOUT, WALLS_MAX};
pub use crate::dispatch::Role;
use crate::identity::NodeId;
use crate::net::quic::is_crypto;
use crate::state::containers::IMAGE_LEN_MAX;
use crate::wire::{Frame, FrameError, FrameStream, Gpu, NodeInfo, Tag};
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Environments a peer may name.
const ENVIRONMENTS_MAX: usize = 16;
/// Characters of one text a peer says of itself.
const TEXT_LEN_MAX: usize = 80;

/// One connection to a proved peer. Clones are the same connection.
#[derive(Clone)]
pub struct Link {
    connection: quinn::Connection,
    peer: NodeId,
    role: Role,
}

/// Why a connection is closed, as it travels in QUIC's application close. Numbers are given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u32);

impl CloseCode {
    /// All was said.
    pub const DONE: Self = Self(0);
    /// The node is leaving.
    pub const LEAVING: Self = Self(1);
    /// The key is not pinned here.
    pub const NOT_A_PEER: Self = Self(2);
    /// Another connection of the same two nodes is kept instead.
    pub const DUPLICATE: Self = Self(3);
    /// The node has as many connections as it keeps.
    pub const FULL: Self = Self(4);
    /// The owner there has not said yes to this key yet.
    pub const NOT_APPROVED: Self = Self(5);
}

impl CloseCode {
    /// What the other side means by it.
    fn sentence(self) -> String {
        match self {
            Self::NOT_A_PEER => "the other side does not trust this machine (any more)".to_owned(),
            Self::NOT_APPROVED => {
                "its owner has not let this machine in yet; there, `potluck peers pending` shows it and \
                                   `potluck peers approve` lets it in"
                    .to_owned()
            }
            other => format!("connection was closed by the other side (code {})", other.0),
        }
    }
}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// This side closed it.
    #[error("connection was closed here")]
    Here,
    /// The other side closed it and said why.
    #[error("{}", .0.sentence())]
    There(CloseCode),
    /// Nothing was heard for longer than a living peer stays silent.
    #[error("the other side fell silent")]
    Silent,
    /// The other side does not accept this node's key, or not for this protocol.
    #[error("the other side does not accept this machine's key")]
    NotAccepted,
    /// The connection broke in some other way.
    #[error("connection broke: {0}")]
    Broken(String),
}

/// Whether a stream broke because this side has ended its link.
pub(crate) fn was_closed_here(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = cause {
        if error.downcast_ref() == Some(&Closed::Here)
            || error.downcast_ref() == Some(&quinn::ConnectionError::LocallyClosed)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The link ended.
    #[error("{0}")]
    Closed(#[from] Closed),
    /// The conversation broke, or the other side refused.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// No answer came in time.
    #[error("no answer came in time")]
    Silent,
}

impl Link {
    /// A link over a connection whose peer was proved to be `peer`.
    pub(crate) const fn new(connection: quinn::Connection, peer: NodeId, role: Role) -> Self {
        Self { connection, peer, role }
    }

    /// How long a question and its answer travel, as of lately.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }

    /// The key the other side proved.
    #[must_use]
    pub const fn peer(&self) -> NodeId {
        self.peer
    }

    /// What the other side is to this node.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Where the other side is now.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        unmapped(self.connection.remote_address())
    }

    /// Opens a stream for one request. The other side learns of it with the first frame.
    ///
    /// # Errors
    /// [`Closed`] when the link has ended.
    pub async fn open_stream(&self) -> Result<FrameStream, Closed> {
        let (writer, reader) = self.connection.open_bi().await.map_err(Closed::from)?;
        Ok(FrameStream::new(reader, writer))
    }

    /// The next stream the other side opens.
    ///
    /// # Errors
    /// [`Closed`] when the link has ended.
    pub async fn accept_stream(&self) -> Result<FrameStream, Closed> {
        let (writer, reader) = self.connection.accept_bi().await.map_err(Closed::from)?;
        Ok(FrameStream::new(reader, writer))
    }

    /// Sends one request and returns the message of its answer.
    ///
    /// # Errors
    /// [`RequestError`]; among others what the other side refused with.
    pub async fn request<T: DeserializeOwned>(&self, request: Frame, answer: Tag) -> Result<T, RequestError> {
        let exchange = async {
            let mut stream = self.open_stream().await?;
            stream.writer.send(request).await?;
            stream.writer.finish().await?;
            Ok(stream.reader.expect_message(answer).await?)
        };
        let result = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.unwrap_or(Err(RequestError::Silent));
        match (result, self.close_reason()) {
            (Err(RequestError::Frame(FrameError::Io(_))), Some(closed)) => Err(RequestError::Closed(closed)),
            (result, _) => result,
        }
    }

    /// Sends one request that is answered with `DONE`, or not understood by an older peer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn tell(&self, request: Frame) -> Result<(), RequestError> {
        let exchange = async {
            let mut stream = self.open_stream().await?;
            stream.writer.send(request).await?;
            stream.writer.finish().await?;
            stream.reader.expect(Tag::DONE).await?;
            Ok(())
        };
        tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.unwrap_or(Err(RequestError::Silent))
    }

    /// What the other side says of itself. The first answer also shows that it accepts our key.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn info(&self) -> Result<NodeInfo, RequestError> {
        let info: NodeInfo = self.request(Frame::empty(Tag::INFO), Tag::INFO_IS).await?;
        Ok(tame_info(self.peer, info))
    }

    /// Waits until the link has ended.
    pub async fn closed(&self) -> Closed {
        self.connection.closed().await.into()
    }

    /// How the link ended, if it has.
    #[must_use]
    pub fn close_reason(&self) -> Option<Closed> {
        self.connection.close_reason().map(Closed::from)
    }

    /// Ends the link at once. What was sent but not yet received may be lost.
    pub fn close(&self, code: CloseCode) {
        self.connection.close(code.0.into(), b"");
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} at {}, {:?})", self.peer.short(), self.remote_address(), self.role)
    }
}

impl From<quinn::ConnectionError> for Closed {
    fn from(error: quinn::ConnectionError) -> Self {
        match error {
            quinn::ConnectionError::LocallyClosed => Self::Here,
            quinn::ConnectionError::TimedOut => Self::Silent,
            quinn::ConnectionError::ConnectionClosed(close) if is_crypto(close.error_code) => Self::NotAccepted,
            quinn::ConnectionError::ApplicationClosed(close) => {
                Self::There(CloseCode(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX)))
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// What a peer says of itself, made fit to be kept and printed: its id is the one it proved, its texts are short and hold
/// nothing that a terminal would obey, its lists are bounded.
fn tame_info(peer: NodeId, mut info: NodeInfo) -> NodeInfo {
    info.id = peer;
    info.name = tame_name(&info.name);
    info.cores = info.cores.min(CORES_MAX);
    info.lends.iter_mut().for_each(|lends| lends.places = lends.places.min(CORES_MAX));
    info.gpus.truncate(GPUS_MAX);
    info.gpu_details.truncate(GPUS_MAX);
    info.environments.truncate(ENVIRONMENTS_MAX);
    info.addresses.truncate(ADDRESSES_MAX);
    if let Some(walls) = &mut info.walls_missing {
        walls.truncate(WALLS_MAX);
    }
    if let Some(docker) = &mut info.docker {
        docker.images.retain(|offered| offered.image.name().as_str().len() <= IMAGE_LEN_MAX);
    }
    let lends = info.lends.iter_mut().flat_map(|lends| lends.closed.iter_mut().chain([&mut lends.text]));
    let texts = [&mut info.version, &mut info.engine, &mut info.os, &mut info.arch];
    for text in texts
        .into_iter()
        .chain(&mut info.gpus)
        .chain(info.gpu_details.iter_mut().flat_map(gpu_texts))
        .chain(&mut info.environments)
        .chain(info.walls_missing.iter_mut().flatten())
        .chain(lends)
        .chain(info.docker.iter_mut().flat_map(|docker| &mut docker.engine))
    {
        *text = text.chars().filter(|c| !c.is_control()).take(TEXT_LEN_MAX).collect();
    }
    info
}

fn gpu_texts(gpu: &mut Gpu) -> impl Iterator<Item = &mut String> {
    [&mut gpu.name, &mut gpu.vendor].into_iter().chain(&mut gpu.driver).chain(&mut gpu.cuda)
}

/// An IPv4 address as such, also where a socket for both families shows it inside IPv6.
#[must_use]
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DockerOffer, Lends, OfferedImage};

    #[test]
    fn what_a_peer_says_of_itself_cannot_fill_the_list_or_command_a_terminal() {
        let peer = NodeId::from_bytes([1; 32]);
        let image = |name: &str| OfferedImage { image: name.parse().unwrap(), present: true };
        let info = NodeInfo {
            id: NodeId::from_bytes([2; 32]),
            name: "two words".into(),
            version: "1".into(),
            engine: "\u{1b}[2Jgone".into(),
            os: "x".repeat(5000),
            arch: "a\nb".into(),
            cores: u32::MAX,
            memory_bytes: 0,
            memory_free_bytes: 0,
            load_milli: 0,
            gpus: vec!["g".repeat(5000); 5000],
            jobs_running: 0,
            environments: vec![String::new(); 5000],
            addresses: vec![SocketAddr::from(([192, 0, 2, 1], 1)); 5000],
            instance: 0,
            walls_missing: Some(vec!["w".repeat(5000); 5000]),
            lends: Some(Lends {
                places: u32::MAX,
                closed: Some("c".repeat(5000)),
                text: "\u{1b}t".repeat(5000),
                ..Lends::default()
            }),
            tags: vec![],
            docker: Some(DockerOffer {
                engine: Some("\u{1b}e".repeat(5000)),
                images: vec![image("x"), image(&"x".repeat(500))],
                gives_gpus: false,
            }),
            gpu_details: vec![
                Gpu {
                    name: "\u{1b}[2Jg".into(),
                    vendor: "v".repeat(5000),
                    cuda: Some("c".repeat(5000)),
                    ..Gpu::default()
                };
                5000
            ],
        };
        let tame = tame_info(peer, info);
        assert_eq!((tame.id, tame.name.as_str(), tame.engine.as_str()), (peer, "two-words", "[2Jgone"));
        assert_eq!((tame.os.len(), tame.arch.as_str()), (TEXT_LEN_MAX, "ab"));
        assert_eq!((tame.gpus.len(), tame.gpus[0].len()), (GPUS_MAX, TEXT_LEN_MAX));
        let gpu = &tame.gpu_details[0];
        assert_eq!((tame.gpu_details.len(), gpu.name.as_str(), gpu.vendor.len()), (GPUS_MAX, "[2Jg", TEXT_LEN_MAX));
        assert_eq!(gpu.cuda.as_ref().map(String::len), Some(TEXT_LEN_MAX));
        let walls = tame.walls_missing.unwrap();
        assert_eq!((walls.len(), walls[0].len()), (WALLS_MAX, TEXT_LEN_MAX));
        let lends = tame.lends.unwrap();
        assert_eq!((tame.cores, lends.places), (CORES_MAX, CORES_MAX));
        assert_eq!((lends.closed.unwrap().len(), lends.text), (TEXT_LEN_MAX, "t".repeat(TEXT_LEN_MAX)));
        let docker = tame.docker.unwrap();
        assert_eq!((docker.engine.unwrap(), docker.images), ("e".repeat(TEXT_LEN_MAX), vec![image("x")]));
        assert_eq!((tame.environments.len(), tame.addresses.len()), (ENVIRONMENTS_MAX, ADDRESSES_MAX));
    }
}
