//! The words between the driver and the state of peers: what happened, and what is to be done.

use crate::identity::NodeId;
use crate::net::link::CloseCode;
use crate::wire::NodeInfo;
use std::net::SocketAddr;
use std::time::Duration;

/// Time since the node started.
pub type Time = Duration;

/// One connection, numbered by the driver, never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This node.
    Dialled,
    /// The other.
    Accepted,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer is pinned, with what the book knows of it; also when the book knows more now.
    Pinned {
        /// Who.
        peer: NodeId,
        /// Its label.
        name: String,
        /// Where it was.
        addresses: Vec<SocketAddr>,
    },
    /// A peer is no longer pinned.
    Unpinned {
        /// Who.
        peer: NodeId,
    },
    /// A beacon whose signature holds was heard.
    Beacon {
        /// Who sent it.
        peer: NodeId,
        /// Which start of it.
        boot: u64,
        /// Which beacon of that start.
        sequence: u64,
        /// Where it listens, or that it leaves.
        says: Sighting,
    },
    /// A connection to a pinned peer stands.
    LinkUp {
        /// To whom.
        peer: NodeId,
        /// Which.
        link: LinkId,
        /// Who opened it.
        direction: Direction,
        /// Where the other side is.
        address: SocketAddr,
    },
    /// The other side introduced itself on a link it had opened.
    Introduced {
        /// Which.
        link: LinkId,
    },
    /// The peer said on a link that it leaves.
    Goodbye {
        /// Which.
        link: LinkId,
    },
    /// A connection ended.
    LinkDown {
        /// Which.
        link: LinkId,
        /// Whether the other side said that it leaves.
        leaving: bool,
    },
    /// No address led to the peer.
    DialFailed {
        /// Whom.
        peer: NodeId,
    },
    /// The other side closed a connection because its owner has not said yes to this node yet.
    NotApproved {
        /// To whom.
        peer: NodeId,
    },
    /// Another key answers where the peer was.
    OtherKey {
        /// Whose place it is.
        peer: NodeId,
        /// Where.
        address: SocketAddr,
    },
    /// A beacon with this node's own key was heard, which is not of this start of it.
    OwnBeacon {
        /// Where its sender listens.
        address: SocketAddr,
    },
    /// Two machines that live at once hold one key: this was proved.
    Twins {
        /// Whose, which may be this node's own.
        id: NodeId,
        /// Where they are.
        addresses: Vec<SocketAddr>,
    },
    /// A peer says that it sees a second machine with this node's key.
    TwinTold {
        /// Who says so.
        by: NodeId,
        /// Where they are.
        addresses: Vec<SocketAddr>,
    },
    /// The peer said how it is.
    Info {
        /// What it said.
        info: Box<NodeInfo>,
    },
    /// This machine's addresses changed: what failed before may work now.
    NetworkChanged,
    /// Time has passed.
    Tick,
}

/// What a beacon says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It listens here.
    At(SocketAddr),
    /// It leaves.
    Leaving,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Try these addresses, then report `LinkUp` or `DialFailed`.
    Dial {
        /// Whom.
        peer: NodeId,
        /// Where, best first.
        addresses: Vec<SocketAddr>,
    },
    /// Exchange vouches on this link; on a dialled one this is also how we introduce ourselves.
    Introduce {
        /// Which.
        link: LinkId,
    },
    /// Ask for a [`NodeInfo`] on this link.
    AskInfo {
        /// Which.
        link: LinkId,
    },
    /// Ask both links of one peer which instance is there; two are two machines with one key. Links of the same effects
    /// that are surplus are closed after that.
    Compare {
        /// Whose links they are.
        peer: NodeId,
        /// The one that stood, and the one that has come.
        links: [LinkId; 2],
    },
    /// Ask the node with this node's own key at this address which instance it is.
    ProbeTwin {
        /// Where.
        address: SocketAddr,
    },
    /// End this link.
    Close {
        /// Which.
        link: LinkId,
        /// What to say.
        code: CloseCode,
    },
    /// Keep in the book where and under which name this peer is.
    Remember {
        /// Who.
        peer: NodeId,
        /// Its label.
        name: String,
        /// Where, best first.
        addresses: Vec<SocketAddr>,
    },
}
