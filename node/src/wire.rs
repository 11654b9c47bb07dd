//! Bytes between nodes. Wire types live here and nowhere else; a number is given once; what we do not know survives;
//! every length from outside is compared with a bound before anything is allocated for it.

pub mod tag;

pub mod bounds;

pub mod frame;

pub mod codec;

pub mod message;

pub mod container;

pub mod session;

pub mod kept;

pub mod home;

pub mod group;

pub mod gpu;

pub mod sharing;

pub mod fault;

pub mod tally;

pub mod receipt;

pub use bounds::payload_len_max;
pub use codec::{DecodeError, decode, encode};
pub use container::*;
pub use fault::{Fault, FaultCode};
pub use frame::{Frame, FrameError, FrameReader, FrameStream, FrameWriter, HEADER_LEN};
pub use gpu::Gpu;
pub use group::*;
pub use home::*;
pub use kept::*;
pub use message::*;
pub use receipt::{Receipt, ReceiptBody};
pub use session::*;
pub use sharing::*;
pub use tag::Tag;
pub use tally::OutputTally;

#[cfg(test)]
mod golden;

#[cfg(test)]
pub(crate) mod samples;
