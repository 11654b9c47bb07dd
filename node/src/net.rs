//! Reaching other nodes: TLS with pinned keys, QUIC, links, beacons. Nothing here decides whom to trust or dial.

pub mod link;

pub mod tls;

pub mod quic;

pub mod beacon;

pub mod interfaces;

pub mod multicast;

pub(crate) mod discovery;

pub mod discover;

pub mod probe;

pub(crate) mod socket;

pub use discover::{dial, discover};
pub use probe::{Probe, probe_multicast};
