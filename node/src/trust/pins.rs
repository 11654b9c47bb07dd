//! The keys a handshake accepts, as the handshake needs them: looked up at once, from any thread.

use crate::dispatch::Role;
use crate::identity::NodeId;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Which keys are accepted now.
#[derive(Debug)]
pub struct Pins {
    me: NodeId,
    pinned: RwLock<HashSet<NodeId>>,
    /// Keys that wait for the owner's yes: their handshake succeeds, so that they can be told, and nothing else does.
    pending: RwLock<HashSet<NodeId>>,
    door_open: AtomicBool,
}

impl Pins {
    /// Accepts `me` and `pinned`; the door is shut.
    #[must_use]
    pub fn new(me: NodeId, pinned: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            me,
            pinned: RwLock::new(pinned.into_iter().collect()),
            pending: RwLock::default(),
            door_open: AtomicBool::new(false),
        }
    }

    /// From now on these keys are pinned and no others.
    pub fn replace(&self, pinned: impl IntoIterator<Item = NodeId>) {
        *self.pinned.write().unwrap_or_else(PoisonError::into_inner) = pinned.into_iter().collect();
    }

    /// From now on these keys wait and no others.
    pub fn replace_pending(&self, pending: impl IntoIterator<Item = NodeId>) {
        *self.pending.write().unwrap_or_else(PoisonError::into_inner) = pending.into_iter().collect();
    }

    /// Whether `key` waits for the owner's yes.
    #[must_use]
    pub fn is_pending(&self, key: &NodeId) -> bool {
        self.pending.read().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// The node's own key.
    #[must_use]
    pub const fn me(&self) -> NodeId {
        self.me
    }

    /// Whether `key` is a pinned peer.
    #[must_use]
    pub fn is_pinned(&self, key: &NodeId) -> bool {
        self.pinned.read().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// What the holder of `key` is to this node; `None` for a stranger.
    #[must_use]
    pub fn role(&self, key: &NodeId) -> Option<Role> {
        if *key == self.me { Some(Role::Owner) } else { self.is_pinned(key).then_some(Role::Peer) }
    }

    /// Whether strangers may finish a handshake, to use a ticket.
    #[must_use]
    pub fn door_is_open(&self) -> bool {
        self.door_open.load(Ordering::Relaxed)
    }

    /// Opens or shuts the door, according to whether there are tickets to be used or refused by name.
    pub fn set_door(&self, open: bool) {
        self.door_open.store(open, Ordering::Relaxed);
    }
}
