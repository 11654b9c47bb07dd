//! The messages about nodes and their group: who is there, who vouches for whom, tickets, and what an owner asks of the
//! own node. As the others they are MessagePack maps with named fields.

use crate::defaults::VOUCHES_MAX;
use crate::identity::NodeId;
use potluck_runtime::at_most;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

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
    #[serde(deserialize_with = "at_most::<VOUCHES_MAX, _, _>")]
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

/// What of something is used, and how much may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Used now.
    pub used: u64,
    /// Allowed.
    pub allowed: u64,
}

/// One line of `QUOTAS_ARE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerQuota {
    /// Who.
    pub peer: NodeId,
    /// Jobs and turns that run.
    pub jobs: Share,
    /// Jobs and turns that wait.
    pub queue: Share,
    /// Bytes on disk: inputs and sessions.
    pub stored_bytes: Share,
    /// Fuel in 24 hours.
    pub fuel: Share,
}

/// `QUOTAS_ARE`: every peer that uses anything, or has a quota of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaList {
    /// The peers.
    pub peers: Vec<PeerQuota>,
    /// What a peer may of which nothing is said.
    pub everyone: Option<PeerQuota>,
}

/// `PEERS_ARE`: everyone this node trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList {
    /// This node.
    pub me: NodeInfo,
    /// The others.
    pub peers: Vec<PeerState>,
}
