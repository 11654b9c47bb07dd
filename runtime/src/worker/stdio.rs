//! The guest's standard streams, carried over the worker's two pipes. Both directions hold a bounded amount: a guest that
//! prints faster than it is read waits, and stdin is taken from the pipe only as fast as the guest reads it.

mod inbox;
mod outbox;
mod turn_input;

pub(super) use inbox::Inbox;
pub(super) use outbox::{Outbox, Teller};
pub(super) use turn_input::TurnInput;

/// The most a guest may write or read at once.
const TURN_LEN_MAX: usize = 64 << 10;
