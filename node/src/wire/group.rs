//! The messages about nodes and their group: who is there, who vouches for whom, tickets, and what an owner asks of the
//! own node. As the others they are MessagePack maps with named fields.

use super::container::DockerOffer;
use super::gpu::Gpu;
use super::sharing::Lends;
use crate::defaults::{GPUS_MAX, VOUCHES_MAX};
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
    /// By chance at each start: two that live at once under one key are two machines. 0 from those who do not say.
    #[serde(default)]
    pub instance: u64,
    /// The parts of the second wall that its system has not (`landlock`, `seccomp`); nothing from those who do not say.
    #[serde(default)]
    pub walls_missing: Option<Vec<String>>,
    /// What it lends now; nothing from those who do not say.
    #[serde(default)]
    pub lends: Option<Lends>,
    /// Words its owner gave it, for `--need tag=WORD`.
    #[serde(default, deserialize_with = "at_most::<{ crate::state::needs::TAGS_MAX }, _, _>")]
    pub tags: Vec<String>,
    /// What it offers of containers; nothing from those whose owners did not turn that on, or who do not know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerOffer>,
    /// More of each graphics processor than its name; nothing from those who do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<GPUS_MAX, _, _>")]
    pub gpu_details: Vec<Gpu>,
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
    /// When, in seconds since 1970 by the voucher's clock, and more than in every word of the same voucher about the same
    /// subject before: it orders those, and is compared with no clock and no other signer's.
    pub issued_unix: u64,
    /// The voucher's Ed25519 signature over the fields above (see `trust::vouch`).
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// One member's signed word that a key does not belong to the group any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Who is put out.
    pub subject: NodeId,
    /// What they were called.
    pub name: String,
    /// Who puts them out.
    pub revoker: NodeId,
    /// When, ordered with the revoker's vouches for the same subject; see [`Vouch::issued_unix`].
    pub issued_unix: u64,
    /// The revoker's Ed25519 signature over the fields above (see `trust::revocation`).
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// `MEMBERS`, `MEMBERS_ARE`: every signed word the sender holds about who belongs to the group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Who does.
    #[serde(deserialize_with = "at_most::<VOUCHES_MAX, _, _>")]
    pub vouches: Vec<Vouch>,
    /// Who does not any more.
    #[serde(default, deserialize_with = "at_most::<VOUCHES_MAX, _, _>")]
    pub revocations: Vec<Revocation>,
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

/// `JOIN_WAITS`: the ticket is good, and the inviter's owner has to say yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinWaits {
    /// The inviter's name.
    pub name: String,
}

/// `OWNER_INVITE`: make an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// How long it is good for, in seconds.
    pub ttl_s: u64,
    /// Whether whoever uses it is let in without a further yes.
    #[serde(default)]
    pub approved: bool,
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

/// `OWNER_APPROVE`, `OWNER_DENY`, `OWNER_REVOKE`: the key it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhichKey {
    /// Whose.
    pub key: NodeId,
}

/// `OWNER_ACCEPT_KEY`: a peer has another key now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptKey {
    /// The key it had.
    pub old: NodeId,
    /// The key it has, which has shown itself.
    pub new: NodeId,
}

/// `TWIN`: a peer sees a second machine that holds the receiver's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Twin {
    /// Where both were seen.
    pub addresses: Vec<SocketAddr>,
}

/// Something that people should know of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// A stable word for programs, such as `copied_identity`.
    pub kind: String,
    /// The sentence: what, and what helps.
    pub text: String,
}

/// A key that waits for the owner's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPeer {
    /// Whose.
    pub id: NodeId,
    /// What they call themselves.
    pub name: String,
    /// Where they were.
    pub addresses: Vec<SocketAddr>,
    /// Since when, in seconds since 1970 by this node's clock.
    pub since_unix: u64,
    /// Which peer vouches for them; none when they hold a ticket of this node.
    pub vouched_by: Option<NodeId>,
    /// The pinned peer whose name or address they have, with another key.
    pub replaces: Option<NodeId>,
}

/// A key that was put out by a member's word, or that a member would put out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedPeer {
    /// Whose.
    pub id: NodeId,
    /// What they were called.
    pub name: String,
    /// By whom.
    pub revoker: NodeId,
    /// When, in seconds since 1970 by the revoker's clock; for people.
    pub issued_unix: u64,
    /// Whether it is still trusted here, because the word of this revoker alone does not decide it.
    pub trusted: bool,
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
    /// What people should know of them.
    #[serde(default)]
    pub remarks: Vec<Remark>,
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
    /// Who waits for the owner's yes.
    #[serde(default)]
    pub pending: Vec<PendingPeer>,
    /// Whom members have put out.
    #[serde(default)]
    pub revoked: Vec<RevokedPeer>,
    /// What people should know of this node.
    #[serde(default)]
    pub remarks: Vec<Remark>,
}
