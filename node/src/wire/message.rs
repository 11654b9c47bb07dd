//! The messages, as they travel: MessagePack maps with named fields (so a later version may add one), decoded only
//! after the frame's length was checked. Lists are capped by the frame's own cap; paths and digests are parsed as
//! they are decoded.

use crate::identity::NodeId;
use potluck_runtime::{Digest, GuestPath, ImageChoice, Limits, Report};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// What a job is called everywhere: 16 random bytes, made by the submitter, printed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(#[serde(with = "serde_bytes")] pub [u8; 16]);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

/// The program of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobProgram {
    /// A WebAssembly module or component: a blob.
    Wasm {
        /// Its bytes.
        digest: Digest,
        /// How many bytes.
        size: u64,
        /// What the guest sees as its own name.
        name: String,
    },
    /// A script among the inputs.
    Script {
        /// The environment that runs it.
        environment: String,
        /// Which input.
        entry: GuestPath,
        /// What of its imports may have been done before.
        #[serde(default)]
        image: ImageChoice,
    },
}

/// One file of a job, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFile {
    /// Its place in the working directory, or in the mount.
    pub path: GuestPath,
    /// Its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// The owner's execute bit.
    pub executable: bool,
}

/// A read-only folder of a job, carried with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMount {
    /// Where the guest sees it: absolute.
    pub guest: String,
    /// Its files.
    pub files: Vec<JobFile>,
    /// Its empty directories.
    pub directories: Vec<GuestPath>,
    /// A folder of the answering machine to use instead of `files`; heeded only from the machine's owner.
    pub local: Option<std::path::PathBuf>,
}

/// `SUBMIT`: run this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitJob {
    /// The job's name for itself, made by the submitter.
    pub job: JobId,
    /// What runs.
    pub program: JobProgram,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Files of the working directory.
    pub files: Vec<JobFile>,
    /// Empty directories of the working directory.
    pub directories: Vec<GuestPath>,
    /// Read-only folders.
    pub mounts: Vec<JobMount>,
    /// What it may use.
    pub limits: Limits,
    /// Whether stdin will be sent; otherwise the guest reads the end at once.
    pub stdin: bool,
    /// Whether files it made or changed are wanted back.
    pub outputs: bool,
    /// Features the answering node must understand, or refuse the job. None exist yet.
    pub requires: Vec<String>,
}

/// `CANCEL`: stop this job, which the caller has submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub job: JobId,
}

/// `OWNER_HELLO`: what is at this end of the owner's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerHello {
    /// The version of the software.
    pub version: String,
}

impl OwnerHello {
    /// This software's.
    #[must_use]
    pub fn ours() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// `OWNER_SOURCES`: where blobs of the job lie on this machine, so that they are read and not sent. Those that are not
/// named, or not found there, are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSources {
    /// One for each blob.
    pub sources: Vec<OwnerSource>,
}

/// One blob on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSource {
    /// Its name.
    pub digest: Digest,
    /// The absolute path of a file with its bytes.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
}

/// `ACCEPTED`: the job is known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The job.
    pub job: JobId,
    /// Who runs it.
    pub node: NodeId,
    /// The name that node gives itself.
    pub name: String,
}

/// `NEED`: send these blobs, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The blobs.
    pub digests: Vec<Digest>,
}

/// `BLOB`: the bytes of this blob follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobHead {
    /// Its name.
    pub digest: Digest,
    /// How many bytes follow.
    pub size: u64,
}

/// `STAGE`: what happens before the guest starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The job waits for others to end.
    Waiting {
        /// How many wait before it.
        jobs_ahead: u32,
    },
    /// Bytes are fetched.
    Fetching {
        /// What, and from where.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// Code is compiled, once.
    Compiling {
        /// What.
        what: String,
        /// Milliseconds so far.
        elapsed_ms: u64,
    },
    /// A memory image is made, once.
    Warming {
        /// What it is called.
        what: String,
        /// Milliseconds so far.
        elapsed_ms: u64,
    },
    /// The stage before has ended.
    Ready,
}

/// `OUTPUT_FILE`: the bytes of this file follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its place in the working directory.
    pub path: GuestPath,
    /// Its bytes.
    pub digest: Digest,
    /// How many bytes follow.
    pub size: u64,
    /// The owner's execute bit.
    pub executable: bool,
}

/// `ENDED`: how the job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The report of its run.
    pub report: Report,
    /// Entries of the working directory that could not be brought back, with the reason.
    pub left_behind: Vec<String>,
}

/// `FETCH_ARTIFACT`: send the artifact of this SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchArtifact {
    /// SHA-256 of the artifact.
    #[serde(with = "serde_bytes")]
    pub sha256: [u8; 32],
}

/// `ARTIFACT_IS`: the bytes follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactHead {
    /// How many bytes follow.
    pub size: u64,
}

/// `INFO_IS`: what a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its identity.
    pub id: NodeId,
    /// Its label; never an identity.
    pub name: String,
    /// Potluck's version.
    pub version: String,
    /// The engine and its version.
    pub engine: String,
    /// Operating system (`linux`).
    pub os: String,
    /// Processor architecture (`x86_64`).
    pub arch: String,
    /// Logical cores.
    pub cores: u32,
    /// Memory in all, in bytes.
    pub memory_bytes: u64,
    /// Memory that is free for use, in bytes.
    pub memory_free_bytes: u64,
    /// Load average over one minute, in thousandths.
    pub load_milli: u32,
    /// Graphics processors, by name.
    pub gpus: Vec<String>,
    /// Jobs running now.
    pub jobs_running: u32,
    /// Environments that are ready here.
    pub environments: Vec<String>,
    /// Addresses it listens on.
    pub addresses: Vec<SocketAddr>,
}

/// One member's signed word that another key belongs to the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouch {
    /// Who is vouched for.
    pub subject: NodeId,
    /// The name they gave.
    pub name: String,
    /// Where they were last seen.
    pub addresses: Vec<SocketAddr>,
    /// Who vouches.
    pub voucher: NodeId,
    /// When, in seconds since 1970 by the voucher's clock; for people.
    pub issued_unix: u64,
    /// The voucher's Ed25519 signature over the fields above (see `trust::vouch`).
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// `MEMBERS`, `MEMBERS_ARE`: every vouch the sender holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The vouches.
    pub vouches: Vec<Vouch>,
}

/// `JOIN`: a newcomer names the ticket it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinHello {
    /// Which ticket; not secret.
    #[serde(with = "serde_bytes")]
    pub ticket: [u8; 8],
    /// The newcomer's name for itself.
    pub name: String,
    /// The newcomer's nonce.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
    /// Where the newcomer listens.
    pub addresses: Vec<SocketAddr>,
}

/// `JOIN_CHALLENGE`: the inviter proves that it holds the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinChallenge {
    /// The inviter's nonce.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
    /// Keyed hash over both keys, both nonces and the side.
    #[serde(with = "serde_bytes")]
    pub proof: [u8; 32],
}

/// `JOIN_PROOF`: the newcomer proves that it holds the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinProof {
    /// Keyed hash over both keys, both nonces and the side.
    #[serde(with = "serde_bytes")]
    pub proof: [u8; 32],
}

/// `WELCOME`: the newcomer is a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The inviter's name.
    pub name: String,
    /// Everyone the inviter vouches for, the newcomer included.
    pub members: Members,
}

/// `OWNER_INVITE`: make an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// How long it is good for, in seconds.
    pub ttl_s: u64,
}

/// `INVITATION_IS`: the ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The ticket as text.
    pub ticket: String,
    /// When it expires, in seconds since 1970.
    pub expires_unix: u64,
}

/// `OWNER_JOIN`: use this ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The ticket as text.
    pub ticket: String,
}

/// `OWNER_ADD_PEER`: a pinned peer can be found here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddPeer {
    /// Host name or address, with port.
    pub address: String,
}

/// `OWNER_REMOVE_PEER`: stop trusting this peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovePeer {
    /// Who.
    pub peer: NodeId,
}

/// One line of `PEERS_ARE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerState {
    /// Who.
    pub id: NodeId,
    /// Their label.
    pub name: String,
    /// Where they are reached, or were last.
    pub address: Option<SocketAddr>,
    /// Whether a connection stands now.
    pub online: bool,
    /// Milliseconds since they were last heard.
    pub last_seen_ms: Option<u64>,
    /// What they last said of themselves.
    pub info: Option<NodeInfo>,
}

/// `PEERS_ARE`: everyone this node trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList {
    /// This node.
    pub me: NodeInfo,
    /// The others.
    pub peers: Vec<PeerState>,
}
