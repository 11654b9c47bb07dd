//! Peers that mean harm, one attack in each test. Every one ends in a refusal with a name, or in a connection that the node
//! ends; the node's memory and log stay small; and while it goes on, and after it, another peer's jobs run as if nothing
//! were the matter.

mod scene;

mod handshakes;

mod frames;

mod messages;

mod floods;

mod inputs;

mod rights;

mod beacons;

mod joining;

mod quotas;

mod kept;
