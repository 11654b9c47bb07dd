//! Who a node is: an Ed25519 key. The public half is its [`NodeId`], the only name that is proved; the secret half lies
//! in one file only its owner can read, and never leaves [`Identity`] except as a signature or a TLS key.

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// The file that holds the secret key, inside the data directory.
pub const IDENTITY_FILE: &str = "identity.pem";
/// The most bytes the key file may have; a real one has about 200.
const IDENTITY_LEN_MAX: u64 = 4096;

/// A node's public key: 32 bytes, printed as 52 lower-case base32 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

/// The text is no [`NodeId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no node id: 52 characters of a-z and 2-7 are expected")]
pub struct NodeIdParseError(String);

impl NodeId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight characters, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }

    /// All of it in groups of four characters, to be compared by eye or ear.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut text = String::with_capacity(64);
        for (index, character) in self.to_string().chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(character);
        }
        text
    }

    /// Whether `signature` over `message` was made with this node's key. Strict: small-order keys and malleable
    /// signatures are refused.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
            .is_ok()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.short())
    }
}

impl FromStr for NodeId {
    type Err = NodeIdParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        data_encoding::BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| NodeIdParseError(text.chars().take(80).collect()))
    }
}

/// Text where people read it (files), bytes on the wire.
impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(serde::de::Error::custom);
        }
        let bytes: serde_bytes::ByteArray<32> = Deserialize::deserialize(deserializer)?;
        Ok(Self(bytes.into_array()))
    }
}

/// A node's own key. Clones share it; it is wiped from memory with the last.
#[derive(Clone)]
pub struct Identity {
    key: Arc<SigningKey>,
    id: NodeId,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The directory or file could not be made, read or written.
    #[error("cannot {doing} the identity {path}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("cannot make an identity because the system gives no random bytes")]
    NoRandomness,
    /// Others could have read the key.
    #[error(
        "identity file {path} can be read or written by others (mode {mode:03o}); if you trust everyone on this \
         machine run `chmod 600 {path}`, otherwise remove it and join your group again"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold an Ed25519 key.
    #[error("identity file {path} holds no Ed25519 key in PKCS#8 PEM; restore it, or remove it and join again")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl Identity {
    /// The identity in `dir`, made there if there is none yet. Two processes that do this at once get the same one.
    ///
    /// # Errors
    /// An [`IdentityError`]; among others when the file may be read by others than its owner.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let path = dir.join(IDENTITY_FILE);
        if let Some(identity) = Self::load(&path)? {
            return Ok(identity);
        }
        create(dir, &path)?;
        Self::load(&path)?.ok_or(IdentityError::Damaged { path })
    }

    /// Keeps the identity in `dir` under another name, so that the next look makes a new one.
    ///
    /// # Errors
    /// [`IdentityError::Io`].
    pub fn put_aside(dir: &Path, label: &str) -> Result<(), IdentityError> {
        let path = dir.join(IDENTITY_FILE);
        let moved = fs::rename(&path, path.with_extension(format!("old-{label}.pem")));
        let moved = moved.and_then(|()| fs::File::open(dir)?.sync_all());
        moved.map_err(|source| IdentityError::Io { doing: "put aside", path, source })
    }

    /// A new identity that is kept nowhere.
    ///
    /// # Errors
    /// [`IdentityError::NoRandomness`].
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed).map_err(|_| IdentityError::NoRandomness)?;
        let identity = Self::from_seed(&seed);
        seed.fill(0);
        Ok(identity)
    }

    /// The identity of a seed; the same seed gives the same identity.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from_key(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Signs `message`. Callers put a label of their own in front, so that no signature serves two purposes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The key as PKCS#8, for TLS only.
    pub(crate) fn to_pkcs8(&self) -> Option<Vec<u8>> {
        self.key.to_pkcs8_der().ok().map(|document| document.as_bytes().to_vec())
    }

    fn from_key(key: SigningKey) -> Self {
        let id = NodeId(key.verifying_key().to_bytes());
        Self { key: Arc::new(key), id }
    }

    fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        let reading = |source| IdentityError::Io { doing: "read", path: path.to_owned(), source };
        let mut file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading(error)),
        };
        let mode = file.metadata().map_err(reading)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        Read::by_ref(&mut file).take(IDENTITY_LEN_MAX).read_to_string(&mut text).map_err(reading)?;
        let key = SigningKey::from_pkcs8_pem(&text).map_err(|_| IdentityError::Damaged { path: path.to_owned() })?;
        Ok(Some(Self::from_key(key)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id.short())
    }
}

/// Writes a new key aside and gives it its name only if nobody else did so first.
fn create(dir: &Path, path: &Path) -> Result<(), IdentityError> {
    let writing = |source| IdentityError::Io { doing: "write", path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(writing)?;
    let identity = Identity::generate()?;
    let pem = identity.key.to_pkcs8_pem(LineEnding::LF).map_err(|error| writing(io::Error::other(error)))?;
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(writing)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(writing)?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            let _ = fs::File::open(dir).and_then(|dir| dir.sync_all());
            Ok(())
        }
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(writing(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn many_threads_that_make_an_identity_at_once_get_the_same_one() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Identity::load_or_create(dir.path()).unwrap().id())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
        let mode = fs::metadata(dir.path().join(IDENTITY_FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_key_file_others_can_read_is_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(IDENTITY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let text = Identity::load_or_create(dir.path()).unwrap_err().to_string();
        assert!(text.contains("chmod 600") && text.contains("640"), "{text}");
    }

    #[test]
    fn a_damaged_key_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(IDENTITY_FILE);
        fs::write(&path, "not a key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Damaged { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
    }

    #[test]
    fn an_id_survives_text_in_either_case() {
        let id = Identity::from_seed(&[7; 32]).id();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert!("xyz".parse::<NodeId>().is_err());
    }

    #[test]
    fn a_fingerprint_is_the_whole_id_in_groups() {
        let id = Identity::from_seed(&[7; 32]).id();
        assert_eq!(id.fingerprint().replace('-', ""), id.to_string());
        assert_eq!(id.fingerprint().split('-').map(str::len).collect::<Vec<_>>(), [4; 13]);
    }

    #[test]
    fn a_signature_counts_only_for_its_message_and_key() {
        let identity = Identity::from_seed(&[7; 32]);
        let signature = identity.sign(b"hello");
        assert!(identity.id().verifies(b"hello", &signature));
        assert!(!identity.id().verifies(b"hullo", &signature));
        assert!(!Identity::from_seed(&[8; 32]).id().verifies(b"hello", &signature));
    }
}
