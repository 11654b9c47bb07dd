//! The one UDP socket of a node and the QUIC endpoint on it. What comes out has proved its key: a [`Link`] for a pinned
//! key on the peer protocol, a [`Joining`] for anyone on the joining protocol while the door is open. Everything else
//! ends here: other keys, other protocols, garbage.

use crate::config::PortChoice;
use crate::defaults::{
    ADDRESSES_MAX, DIAL_STAGGER, HANDSHAKE_TIMEOUT, INCOMING_BYTES_MAX, INCOMING_MAX, LINK_IDLE_TIMEOUT,
    LINK_KEEP_ALIVE, LINK_WINDOW, STREAM_WINDOW, STREAMS_MAX,
};
use crate::identity::{Identity, NodeId};
use crate::net::link::{CloseCode, Closed, Link, unmapped};
use crate::net::tls::{ALPN_JOIN, ALPN_PEER, Credentials, Expected, SERVER_NAME, TlsError, key_of};
use crate::trust::join::EXPORTER_LABEL;
use crate::trust::pins::Pins;
use crate::wire::FrameStream;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// A node's QUIC endpoint. Clones share it.
#[derive(Clone)]
pub struct QuicEndpoint {
    endpoint: quinn::Endpoint,
    credentials: Arc<Credentials>,
    pins: Arc<Pins>,
    transport: Arc<quinn::TransportConfig>,
    port: u16,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port cannot be had.
    #[error("cannot listen on UDP port {port}; choose another with `potluck config set port`")]
    Port {
        /// Which.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// TLS could not be set up.
    #[error("cannot set up the network's encryption")]
    Tls(#[from] TlsError),
    /// The cipher QUIC begins with is missing.
    #[error("cannot set up the network's encryption")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// Why one address did not lead to the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    /// Nothing answered in time.
    #[error("no answer")]
    Silent,
    /// Another machine answered there.
    #[error("the machine there has another key")]
    WrongKey,
    /// The machine there does not accept our key, or does not speak our protocol.
    #[error("the machine there refuses this one: {0}")]
    Refused(String),
    /// The network refused.
    #[error("{0}")]
    Network(String),
}

/// No address led to the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// There was none to try.
    #[error("no address is known where it might be reached")]
    NoAddress,
    /// None worked.
    #[error("none of its addresses worked ({})", describe(.0))]
    Failed(Vec<(SocketAddr, DialFailure)>),
    /// The endpoint has ended.
    #[error("this node's network has been shut down")]
    Ended,
}

impl DialError {
    /// Where another key than the expected one answered, if it did somewhere.
    #[must_use]
    pub fn other_key_at(&self) -> Option<SocketAddr> {
        let Self::Failed(failures) = self else { return None };
        failures.iter().find(|(_, failure)| *failure == DialFailure::WrongKey).map(|(address, _)| *address)
    }
}

fn describe(failures: &[(SocketAddr, DialFailure)]) -> String {
    let lines: Vec<String> = failures.iter().map(|(address, failure)| format!("{address}: {failure}")).collect();
    lines.join("; ")
}

/// What a completed handshake brought.
pub enum Arrival {
    /// A pinned peer or the owner.
    Link(Link),
    /// Someone who holds, or says to hold, a ticket.
    Joining(Joining),
}

/// A connection on the joining protocol, from either side.
pub struct Joining {
    connection: quinn::Connection,
    /// The key the other side proved.
    pub peer: NodeId,
    /// What only this connection has; both sides compute the same.
    pub exporter: [u8; 32],
}

impl Joining {
    /// Where the other side is.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        unmapped(self.connection.remote_address())
    }

    /// Opens the one stream of a joining.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn open_stream(&self) -> Result<FrameStream, Closed> {
        let (writer, reader) = self.connection.open_bi().await?;
        Ok(FrameStream::new(reader, writer))
    }

    /// Accepts the one stream of a joining.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn accept_stream(&self) -> Result<FrameStream, Closed> {
        let (writer, reader) = self.connection.accept_bi().await?;
        Ok(FrameStream::new(reader, writer))
    }

    /// Ends the connection at once.
    pub fn close(&self) {
        self.connection.close(CloseCode::DONE.0.into(), b"");
    }

    /// Waits until the other side has ended the connection.
    pub async fn closed(&self) -> Closed {
        self.connection.closed().await.into()
    }

    /// How the connection ended, if it has.
    #[must_use]
    pub fn close_reason(&self) -> Option<Closed> {
        self.connection.close_reason().map(Closed::from)
    }
}

impl QuicEndpoint {
    /// An endpoint that accepts and dials.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn serve(identity: &Identity, pins: Arc<Pins>, port: PortChoice) -> Result<Self, BindError> {
        let endpoint = Self::open(identity, pins, bind(port)?)?;
        endpoint.endpoint.set_server_config(Some(endpoint.server_config()?));
        Ok(endpoint)
    }

    /// An endpoint that only dials, for a command without a daemon.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn dial_only(identity: &Identity, pins: Arc<Pins>) -> Result<Self, BindError> {
        Self::open(identity, pins, bind(PortChoice::Exactly(0))?)
    }

    /// The UDP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The next attempt to connect, or `None` once the endpoint is closed. Pass it to [`QuicEndpoint::shake_hands`].
    pub async fn accept(&self) -> Option<quinn::Incoming> {
        self.endpoint.accept().await
    }

    /// Connections now open, of all kinds.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Completes a handshake; `None` for whoever may not come in. The reason goes to the debug log.
    pub async fn shake_hands(&self, incoming: quinn::Incoming) -> Option<Arrival> {
        let address = unmapped(incoming.remote_address());
        let accepted = incoming.accept().ok()?;
        let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepted).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "handshake refused");
                return None;
            }
            Err(_) => {
                tracing::debug!(%address, "handshake took too long");
                return None;
            }
        };
        let peer = proved_key(&connection)?;
        if protocol(&connection).as_deref() == Some(ALPN_JOIN) {
            return Some(Arrival::Joining(joining(connection, peer)?));
        }
        let Some(role) = self.pins.role(&peer) else {
            let code = if self.pins.is_pending(&peer) { CloseCode::NOT_APPROVED } else { CloseCode::NOT_A_PEER };
            tracing::debug!(%address, peer = peer.short(), code = code.0, "no peer on the peer protocol");
            connection.close(code.0.into(), b"");
            return None;
        };
        Some(Arrival::Link(Link::new(connection, peer, role)))
    }

    /// A link to the node that proves an expected key at one of `addresses`: all are tried, the first of them first,
    /// each a little after the one before, and the first that answers wins.
    ///
    /// # Errors
    /// [`DialError`], with what happened at each address.
    pub async fn dial(&self, expected: Expected, addresses: &[SocketAddr]) -> Result<Link, DialError> {
        let connection = self.connect(expected, ALPN_PEER, addresses).await?;
        let peer = proved_key(&connection).ok_or(DialError::Ended)?;
        let role = self.pins.role(&peer).unwrap_or(crate::dispatch::Role::Peer);
        Ok(Link::new(connection, peer, role))
    }

    /// A joining connection to the inviter.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial_joining(&self, inviter: NodeId, addresses: &[SocketAddr]) -> Result<Joining, DialError> {
        let connection = self.connect(Expected::Exactly(inviter), ALPN_JOIN, addresses).await?;
        joining(connection, inviter).ok_or(DialError::Ended)
    }

    /// Dials with a protocol of the test's choosing.
    #[cfg(test)]
    pub(crate) async fn dial_protocol(
        &self,
        peer: NodeId,
        alpn: &[u8],
        addresses: &[SocketAddr],
    ) -> Result<(), DialError> {
        self.connect(Expected::Exactly(peer), alpn, addresses).await.map(|_| ())
    }

    /// Lets the endpoint speak and hear only through another socket: to everyone else it is dead.
    #[cfg(test)]
    pub(crate) fn silence(&self, void: UdpSocket) {
        self.endpoint.set_server_config(None);
        self.endpoint.rebind(void).expect("a bound socket can be taken over");
    }

    /// Closes everything and returns when the other sides had a chance to hear of it.
    pub async fn shutdown(&self) {
        self.endpoint.close(CloseCode::LEAVING.0.into(), b"");
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), self.endpoint.wait_idle()).await;
    }

    async fn connect(
        &self,
        expected: Expected,
        alpn: &[u8],
        addresses: &[SocketAddr],
    ) -> Result<quinn::Connection, DialError> {
        let crypto = self.credentials.client(expected, alpn).map_err(|_| DialError::Ended)?;
        let crypto = QuicClientConfig::try_from(crypto).map_err(|_| DialError::Ended)?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::clone(&self.transport));
        let mut attempts: FuturesUnordered<_> = (0u32..)
            .zip(addresses.iter().take(ADDRESSES_MAX))
            .map(|(number, address)| self.attempt(config.clone(), *address, number))
            .collect();
        let mut failures = Vec::new();
        while let Some((address, result)) = attempts.next().await {
            match result {
                Ok(connection) => return Ok(connection),
                Err(failure) => failures.push((address, failure)),
            }
        }
        if failures.is_empty() { Err(DialError::NoAddress) } else { Err(DialError::Failed(failures)) }
    }

    async fn attempt(
        &self,
        config: quinn::ClientConfig,
        address: SocketAddr,
        number: u32,
    ) -> (SocketAddr, Result<quinn::Connection, DialFailure>) {
        tokio::time::sleep(DIAL_STAGGER * number).await;
        let connecting = match self.endpoint.connect_with(config, address, SERVER_NAME) {
            Ok(connecting) => connecting,
            Err(error) => return (address, Err(DialFailure::Network(error.to_string()))),
        };
        let result = match tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(DialFailure::from(error)),
            Err(_) => Err(DialFailure::Silent),
        };
        (address, result)
    }

    fn open(identity: &Identity, pins: Arc<Pins>, socket: UdpSocket) -> Result<Self, BindError> {
        let failed = |source| BindError::Port { port: 0, source };
        let credentials = Arc::new(Credentials::new(identity)?);
        let mut config = quinn::EndpointConfig::default();
        config.grease_quic_bit(false);
        let port = socket.local_addr().map_err(failed)?.port();
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = quinn::Endpoint::new(config, None, socket, runtime).map_err(failed)?;
        Ok(Self { endpoint, credentials, pins, transport: Arc::new(transport()), port })
    }

    fn server_config(&self) -> Result<quinn::ServerConfig, BindError> {
        let crypto = QuicServerConfig::try_from(self.credentials.server(Arc::clone(&self.pins))?)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(Arc::clone(&self.transport))
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size_total(INCOMING_BYTES_MAX);
        Ok(config)
    }
}

impl From<quinn::ConnectionError> for DialFailure {
    fn from(error: quinn::ConnectionError) -> Self {
        match error {
            quinn::ConnectionError::TimedOut => Self::Silent,
            // Our own verifier is the only one that raises this on our side.
            quinn::ConnectionError::TransportError(error) if is_crypto(error.code) => Self::WrongKey,
            quinn::ConnectionError::ConnectionClosed(close) if is_crypto(close.error_code) => {
                Self::Refused("it does not accept this machine's key or its protocol".into())
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Whether a transport error is a TLS alert (RFC 9001, section 4.8).
pub(crate) fn is_crypto(code: quinn::TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

fn transport() -> quinn::TransportConfig {
    let mut config = quinn::TransportConfig::default();
    let idle = quinn::VarInt::from_u32(u32::try_from(LINK_IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX));
    config
        .keep_alive_interval(Some(LINK_KEEP_ALIVE))
        .max_idle_timeout(Some(idle.into()))
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(LINK_WINDOW.into())
        .send_window(LINK_WINDOW.into())
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None);
    config
}

/// A socket for IPv6 and IPv4, or for IPv4 alone where there is no IPv6.
fn bind(choice: PortChoice) -> Result<UdpSocket, BindError> {
    let (port, fallback) = match choice {
        PortChoice::Preferred(port) => (port, true),
        PortChoice::Exactly(port) => (port, false),
    };
    match bind_port(port) {
        Ok(socket) => Ok(socket),
        Err(_) if fallback => bind_port(0).map_err(|source| BindError::Port { port, source }),
        Err(source) => Err(BindError::Port { port, source }),
    }
}

fn bind_port(port: u16) -> io::Result<UdpSocket> {
    let both = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        Ok(UdpSocket::from(socket))
    };
    match both() {
        Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => Err(error),
        Err(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)),
        Ok(socket) => Ok(socket),
    }
}

fn proved_key(connection: &quinn::Connection) -> Option<NodeId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    key_of(identity.first()?).ok()
}

fn protocol(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

fn joining(connection: quinn::Connection, peer: NodeId) -> Option<Joining> {
    let mut exporter = [0; 32];
    connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").ok()?;
    Some(Joining { connection, peer, exporter })
}
