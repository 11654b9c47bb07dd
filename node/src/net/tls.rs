//! TLS 1.3 where the certificate is only a wrapper for an Ed25519 key: what counts is that the key is the expected one
//! and that the handshake was signed with it. Names, dates and issuers in certificates are never looked at. Sessions
//! are never resumed, so a key that is no longer pinned cannot come back on an old session.

use crate::identity::{Identity, NodeId};
use crate::trust::pins::Pins;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// The protocol between peers; the number is the wire version.
pub const ALPN_PEER: &[u8] = b"potluck/1";
/// The protocol of joining, open to strangers while an invitation is open.
pub const ALPN_JOIN: &[u8] = b"potluck-join/1";
/// The name in certificates and in the handshake. It says nothing; every node uses the same.
pub const SERVER_NAME: &str = "potluck";
/// DER of a SubjectPublicKeyInfo up to the 32 bytes of an Ed25519 key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The identity could not be turned into a certificate.
    #[error("cannot make a certificate from the identity")]
    Certificate(#[source] rcgen::Error),
    /// The identity could not be encoded.
    #[error("cannot encode the identity for TLS")]
    Key,
    /// The configuration was refused.
    #[error("cannot set up TLS")]
    Config(#[source] Error),
}

/// Which key a dialled node must prove.
#[derive(Clone, Debug)]
pub enum Expected {
    /// This one.
    Exactly(NodeId),
    /// Any that is pinned.
    AnyPinned(Arc<Pins>),
}

/// A node's certificate and key, ready for either side of a handshake.
pub struct Credentials {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Credentials {
    /// The credentials of `identity`. The same identity gives the same certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(identity: &Identity) -> Result<Self, TlsError> {
        let key = PrivatePkcs8KeyDer::from(identity.to_pkcs8().ok_or(TlsError::Key)?);
        let pair =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519).map_err(TlsError::Certificate)?;
        let certificate = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned()])
            .and_then(|params| params.self_signed(&pair))
            .map_err(TlsError::Certificate)?;
        let provider = Arc::new(ring::default_provider());
        Ok(Self { certificate: certificate.der().clone(), key, provider })
    }

    /// The answering side: pinned keys, the node's own key, keys that wait for a yes, and strangers while `pins` says that
    /// the door is open.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn server(&self, pins: Arc<Pins>) -> Result<rustls::ServerConfig, TlsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Config)?
            .with_client_cert_verifier(Arc::new(ClientKeys { pins, provider: Arc::clone(&self.provider) }))
            .with_single_cert(vec![self.certificate.clone()], self.private_key())
            .map_err(TlsError::Config)?;
        config.alpn_protocols = vec![ALPN_PEER.to_vec(), ALPN_JOIN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// The dialling side, for one protocol.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn client(&self, expected: Expected, alpn: &[u8]) -> Result<rustls::ClientConfig, TlsError> {
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Config)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ServerKey { expected, provider: Arc::clone(&self.provider) }))
            .with_client_auth_cert(vec![self.certificate.clone()], self.private_key())
            .map_err(TlsError::Config)?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key().into()
    }
}

/// The Ed25519 key a certificate holds; anything else is refused.
///
/// # Errors
/// A TLS error for the handshake.
pub fn key_of(certificate: &CertificateDer<'_>) -> Result<NodeId, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let info = parsed.subject_public_key_info();
    info.as_ref()
        .strip_prefix(&ED25519_SPKI_PREFIX)
        .and_then(|key| <[u8; 32]>::try_from(key).ok())
        .map(NodeId::from_bytes)
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn refused() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

fn verify_signature(
    provider: &CryptoProvider,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(refused());
    }
    verify_tls13_signature(message, certificate, signed, &provider.signature_verification_algorithms)
}

/// Accepts the key we dialled.
#[derive(Debug)]
struct ServerKey {
    expected: Expected,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = key_of(end_entity)?;
        let accepted = match &self.expected {
            Expected::Exactly(expected) => *expected == key,
            Expected::AnyPinned(pins) => pins.is_pinned(&key),
        };
        if accepted { Ok(ServerCertVerified::assertion()) } else { Err(refused()) }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(&self.provider, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Accepts pinned keys, our own, those that wait to be told so, and strangers while the door is open. Which protocol a stranger may speak is checked
/// once the handshake is done, because it is not known here.
#[derive(Debug)]
struct ClientKeys {
    pins: Arc<Pins>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for ClientKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let key = key_of(end_entity)?;
        if self.pins.role(&key).is_some() || self.pins.is_pending(&key) || self.pins.door_is_open() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(refused())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(&self.provider, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
