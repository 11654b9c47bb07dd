//! Somebody on the network who is no peer: speaks QUIC with a key of its own, or sends bytes that are nothing.

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const GIVE_UP_AFTER: Duration = Duration::from_secs(15);

/// A stranger with a fresh Ed25519 key and a certificate as good as any peer's, but pinned by nobody.
#[derive(Debug)]
pub struct Stranger {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Stranger {
    /// A new one.
    ///
    /// # Panics
    /// When no certificate can be made.
    #[must_use]
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key can be made");
        let parameters = rcgen::CertificateParams::new(vec!["potluck".to_owned()]).expect("the name is a valid one");
        let certificate = parameters.self_signed(&key).expect("a key can sign its own certificate");
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("the key was just encoded");
        Self { certificate: certificate.der().clone(), key: private }
    }

    /// Connects to a node on this machine, opens a stream, writes `request` and waits for an answer of any kind.
    ///
    /// # Errors
    /// Where and how the node ended it; that is what a stranger should get.
    ///
    /// # Panics
    /// When this side cannot even be set up.
    pub fn knock(&self, port: u16, protocol: &str, request: &[u8]) -> Result<Vec<u8>, String> {
        let runtime = Runtime::new().expect("a tokio runtime can be made");
        runtime.block_on(async {
            let knock = self.knock_within(port, protocol, request);
            tokio::time::timeout(GIVE_UP_AFTER, knock).await.unwrap_or_else(|_| Err("no answer at all".to_owned()))
        })
    }

    /// Sends datagrams that are no QUIC, or only look like it.
    ///
    /// # Panics
    /// When they cannot be sent.
    pub fn send_garbage(port: u16) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket can be made");
        let node = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut byte = 17u8;
        for round in 0..2000_usize {
            let mut datagram: Vec<u8> = (0..round % 1400)
                .map(|_| {
                    byte = byte.wrapping_mul(167).wrapping_add(13);
                    byte
                })
                .collect();
            // Every other one claims to open a QUIC connection: long header, version 1.
            if round % 2 == 0 && datagram.len() > 5 {
                datagram[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]);
            }
            socket.send_to(&datagram, node).expect("a datagram can be sent");
        }
    }

    async fn knock_within(&self, port: u16, protocol: &str, request: &[u8]) -> Result<Vec<u8>, String> {
        let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket can be made");
        endpoint.set_default_client_config(self.config(protocol));
        let node = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let connecting = endpoint.connect(node, "potluck").map_err(|e| format!("connect: {e}"))?;
        let connection = connecting.await.map_err(|e| format!("handshake: {e}"))?;
        let (mut send, mut receive) = connection.open_bi().await.map_err(|e| format!("stream: {e}"))?;
        send.write_all(request).await.map_err(|e| format!("write: {e}"))?;
        // An error here means that the node has stopped listening; what it answers tells.
        let _ = send.finish();
        receive.read_to_end(1 << 20).await.map_err(|e| format!("read: {e}"))
    }

    fn config(&self, protocol: &str) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .expect("key and certificate belong together");
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3 has the suite QUIC needs")))
    }
}

impl Default for Stranger {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes any server for what it says it is.
#[derive(Debug)]
pub(crate) struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
