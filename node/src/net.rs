//! Reaching other nodes: TLS with pinned keys, QUIC, links, beacons. Nothing here decides whom to trust or dial.

pub mod link;
