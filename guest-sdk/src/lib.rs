//! What a guest of Potluck can rely on.
//!
//! The crate compiles for the host and for `wasm32-wasip1`, has no dependencies and does nothing by itself: its
//! [`abi`] is read by the host, which must keep it, and by guests, which may lean on it.

#![no_std]

pub mod abi;
