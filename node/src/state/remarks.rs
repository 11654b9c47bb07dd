//! What people should know of a node beside its figures: a stable word for programs and a sentence that says what helps.

use crate::identity::NodeId;
use crate::wire::Remark;
use std::net::SocketAddr;

/// Two machines hold this node's own identity.
#[must_use]
pub fn own_twin(by: Option<&str>, addresses: &[SocketAddr]) -> Remark {
    let places = list(addresses);
    let seen = match by {
        Some(peer) => format!("{peer} says that it sees two machines with this machine's identity, at {places}"),
        None => format!("another machine has this machine's identity and runs at {places}"),
    };
    remark(
        "copied_identity",
        format!(
            "{seen}; one is a copy of the other's files, and peers cannot tell them apart: on one of them type `potluck \
             down`, `potluck identity new`, and join again with a ticket"
        ),
    )
}

/// Two machines hold a peer's identity.
#[must_use]
pub fn twins(name: &str, addresses: &[SocketAddr]) -> Remark {
    remark(
        "copied_identity",
        format!(
            "two machines have the identity of {name}, at {}; one is a copy of the other's files: its owner should type \
             `potluck identity new` on one of them. If {name} has one machine only, somebody has its key: `potluck peers \
             revoke {name}`",
            list(addresses)
        ),
    )
}

/// This machine's system has not all that confines a worker.
#[must_use]
pub fn own_wall_missing(wall: &str) -> Remark {
    let text =
        format!("guests are confined without {wall}, which this system has not; `potluck doctor` says what that costs");
    remark("wall_missing", text)
}

/// A peer's system has not all that confines a worker.
#[must_use]
pub fn wall_missing(wall: &str) -> Remark {
    remark("wall_missing", format!("it confines guests without {wall}, which its system has not"))
}

/// The owner of a peer has not said yes to this node yet.
#[must_use]
pub fn not_approved(name: &str) -> Remark {
    let text = format!("waiting for the owner of {name} to let this machine in (`potluck peers approve` there)");
    remark("not_approved", text)
}

/// Somebody else answers where a peer was.
#[must_use]
pub fn other_key(name: &str, address: SocketAddr) -> Remark {
    remark(
        "other_key",
        format!(
            "the machine at {address} now has another key than {name} had: it was set up anew, or it is somebody else. If \
             it was set up anew, give it a ticket (`potluck invite`) and then type `potluck peers accept-key {name}`"
        ),
    )
}

/// A peer has the name or address of another that is known by another key.
#[must_use]
pub fn namesake(name: &str, old: NodeId) -> Remark {
    remark(
        "key_changed",
        format!(
            "{name} is known by another key ({}): that machine was set up anew, or this is somebody else. Compare the \
             fingerprint with its owner, then type `potluck peers accept-key {}` to replace the key",
            old.short(),
            old.short()
        ),
    )
}

/// A member has put a peer out whom this node trusts for other reasons.
#[must_use]
pub fn revoked_elsewhere(name: &str, revoker: &str) -> Remark {
    remark(
        "revoked_elsewhere",
        format!(
            "{revoker} has revoked {name}; it is still trusted here, and `potluck peers revoke {name}` changes that"
        ),
    )
}

/// A member has put this node out.
#[must_use]
pub fn revoked_self(revoker: &str) -> Remark {
    remark(
        "revoked",
        format!("{revoker} has revoked this machine; ask its owner for a new ticket if that was a mistake"),
    )
}

/// A node's engine is known to be unsafe.
#[must_use]
pub fn bad_engine(what: &str) -> Remark {
    remark("bad_engine", what.to_owned())
}

fn remark(kind: &str, text: String) -> Remark {
    Remark { kind: kind.to_owned(), text }
}

fn list(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" and ")
}
