//! A peer that does as it likes: it has a key that is pinned, or one that is not, and says what the test wants it to say,
//! frame by frame and byte by byte.

use crate::home::Home;
use crate::stranger::Anyone;
use potluck_node::wire::{Fault, HEADER_LEN, Tag, decode, encode};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a rogue waits for an answer; a node that gives none in that time has lost the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A key and what it takes to use it against one node.
#[derive(Debug)]
pub struct Rogue {
    key: PrivateKeyDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    node: SocketAddr,
}

impl Rogue {
    /// Whoever has the key of `home`, against the node on `port` of this machine.
    ///
    /// # Panics
    /// When the home has no key.
    #[must_use]
    pub fn of(home: &Home, port: u16) -> Self {
        let file = home.config().join("data/identity.pem");
        let key = PrivatePkcs8KeyDer::from_pem_file(file).expect("the home has an identity");
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519).expect("an Ed25519 key");
        Self::with(&pair, PrivateKeyDer::from(key), port)
    }

    /// Somebody with a new key of this algorithm.
    ///
    /// # Panics
    /// When no such key can be made.
    #[must_use]
    pub fn stranger(algorithm: &'static rcgen::SignatureAlgorithm, port: u16) -> Self {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key can be made");
        let key = PrivateKeyDer::try_from(pair.serialize_der()).expect("the key was just encoded");
        Self::with(&pair, key, port)
    }

    fn with(pair: &rcgen::KeyPair, key: PrivateKeyDer<'static>, port: u16) -> Self {
        let parameters = rcgen::CertificateParams::new(vec!["potluck".to_owned()]).expect("the name is a valid one");
        let certificate = parameters.self_signed(pair).expect("a key can sign its own certificate");
        Self { key, chain: vec![certificate.der().clone()], node: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    /// The same with `more` certificates behind its own, of `len` bytes each.
    #[must_use]
    pub fn with_chain(mut self, more: usize, len: usize) -> Self {
        self.chain.extend((0..more).map(|_| CertificateDer::from(vec![0x30; len])));
        self
    }

    /// A connection on this protocol.
    ///
    /// # Errors
    /// How the node ended it.
    ///
    /// # Panics
    /// When this side cannot even be set up, or nothing at all is answered.
    pub async fn connect(&self, protocol: &str) -> Result<Line, String> {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket can be made");
        self.connect_over(endpoint, protocol).await
    }

    /// As [`Rogue::connect`], over an endpoint that may have other connections.
    ///
    /// # Errors
    /// How the node ended it.
    ///
    /// # Panics
    /// When nothing at all is answered.
    pub async fn connect_over(&self, endpoint: Endpoint, protocol: &str) -> Result<Line, String> {
        let connecting = endpoint.connect_with(self.config(protocol), self.node, "potluck");
        let connecting = connecting.map_err(|error| format!("connect: {error}"))?;
        let connected = tokio::time::timeout(PATIENCE, connecting).await.expect("the node answers a handshake");
        let connection = connected.map_err(|error| format!("handshake: {error}"))?;
        Ok(Line { _endpoint: endpoint, connection })
    }

    /// The same against whoever is on another port.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn at(&self, port: u16) -> Self {
        let node = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { key: self.key.clone_key(), chain: self.chain.clone(), node }
    }

    /// A second connection that says something before the node has proved anything, if a first one was given what that takes.
    ///
    /// # Panics
    /// When the node does not let it in at all.
    pub async fn connects_early(&self, endpoint: &Endpoint) -> Option<Connection> {
        let config = self.config("potluck/1");
        let first = endpoint.connect_with(config.clone(), self.node, "potluck").expect("an address to connect to");
        let first = first.await.expect("a pinned key is let in");
        let (mut send, mut receive) = first.open_bi().await.expect("a stream can be opened");
        send.write_all(&frame(Tag::INFO, 0, b"")).await.expect("the request can be sent");
        receive.read_to_end(1 << 20).await.expect("the request is answered");
        first.close(0u32.into(), b"");
        let second = endpoint.connect_with(config, self.node, "potluck").expect("an address to connect to");
        second.into_0rtt().ok().map(|(connection, _)| connection)
    }

    /// A connection as peers have it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn line(&self) -> Line {
        self.connect("potluck/1").await.expect("a pinned key is let in")
    }

    fn config(&self, protocol: &str) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .expect("key and certificate belong together");
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        tls.enable_early_data = true;
        let tls = QuicClientConfig::try_from(tls).expect("TLS 1.3 has the suite QUIC needs");
        let mut config = ClientConfig::new(Arc::new(tls));
        let mut transport = TransportConfig::default();
        // It may be silent for as long as it likes: only the node decides when that is too long.
        transport.keep_alive_interval(Some(Duration::from_secs(1))).send_window(1 << 30);
        config.transport_config(Arc::new(transport));
        config
    }
}

/// A connection to the node.
#[derive(Debug)]
pub struct Line {
    _endpoint: Endpoint,
    /// The connection itself.
    pub connection: Connection,
}

impl Line {
    /// A stream, of which the node learns with the first byte.
    ///
    /// # Errors
    /// How the connection ended.
    pub async fn stream(&self) -> Result<Stream, String> {
        let (send, receive) = self.connection.open_bi().await.map_err(|error| format!("stream: {error}"))?;
        Ok(Stream { send, receive })
    }

    /// One request in a stream of its own, and the refusal that must be its answer.
    ///
    /// # Panics
    /// When it is not refused.
    pub async fn refused(&self, tag: Tag, payload: &[u8]) -> Fault {
        let mut stream = self.stream().await.expect("a stream can be opened");
        stream.say(tag, payload).await.expect("the request can be sent");
        stream.fault().await
    }

    /// One request in a stream of its own, and the tag and payload of its answer.
    ///
    /// # Panics
    /// When nothing is answered.
    pub async fn ask(&self, tag: Tag, payload: &[u8]) -> (Tag, Vec<u8>) {
        let mut stream = self.stream().await.expect("a stream can be opened");
        stream.say(tag, payload).await.expect("the request can be sent");
        stream.hear().await.expect("the request is answered")
    }

    /// Waits until the node has ended the connection.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ended(&self) -> String {
        let closed = tokio::time::timeout(PATIENCE, self.connection.closed()).await;
        closed.expect("the node ends the connection").to_string()
    }
}

/// A stream to the node.
#[derive(Debug)]
pub struct Stream {
    /// What the rogue says.
    pub send: SendStream,
    /// What the node says.
    pub receive: RecvStream,
}

impl Stream {
    /// Sends these bytes.
    ///
    /// # Errors
    /// How the stream ended.
    pub async fn bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.send.write_all(bytes).await.map_err(|error| format!("write: {error}"))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// How the stream ended.
    pub async fn say(&mut self, tag: Tag, payload: &[u8]) -> Result<(), String> {
        self.bytes(&frame(tag, payload.len(), payload)).await
    }

    /// Sends a message.
    ///
    /// # Errors
    /// How the stream ended.
    pub async fn tell(&mut self, tag: Tag, message: &impl Serialize) -> Result<(), String> {
        self.say(tag, &encode(message)).await
    }

    /// The next frame.
    ///
    /// # Errors
    /// How the stream ended.
    ///
    /// # Panics
    /// When nothing comes and the stream does not end.
    pub async fn hear(&mut self) -> Result<(Tag, Vec<u8>), String> {
        let reading = async {
            let mut head = [0; HEADER_LEN];
            self.receive.read_exact(&mut head).await.map_err(|error| format!("read: {error}"))?;
            let [tag, above, a, b, c, d] = head;
            let mut payload = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
            self.receive.read_exact(&mut payload).await.map_err(|error| format!("read: {error}"))?;
            Ok((Tag(u16::from_le_bytes([tag, above])), payload))
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the node answers or ends the stream")
    }

    /// Hears until a frame of this tag comes, and returns its payload.
    ///
    /// # Panics
    /// When none comes.
    pub async fn until(&mut self, wanted: Tag) -> Vec<u8> {
        loop {
            let (tag, payload) = self.hear().await.unwrap_or_else(|why| panic!("{wanted} was due: {why}"));
            if tag == wanted {
                return payload;
            }
            assert_ne!(tag, Tag::FAULT, "{:?}", decode::<Fault>(&payload));
        }
    }

    /// Hears until the refusal comes, whatever comes before it.
    ///
    /// # Panics
    /// When none comes.
    pub async fn fault(&mut self) -> Fault {
        loop {
            let (tag, payload) = self.hear().await.expect("a refusal has a name");
            if tag == Tag::FAULT {
                return decode(&payload).expect("a refusal is understood");
            }
        }
    }
}

/// The bytes of a frame that says to have `len` bytes and has those of `payload`.
///
/// # Panics
/// When the length has more than 32 bits.
#[must_use]
pub fn frame(tag: Tag, len: usize, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(len).expect("a length of 32 bits").to_le_bytes();
    [&tag.0.to_le_bytes()[..], &len, payload].concat()
}
