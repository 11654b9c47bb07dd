//! A Potluck node: who it is, whom it trusts, how it finds and reaches them, and what it does when they ask.
//!
//! This crate knows peers, sockets and the data directory. It knows no flags and no terminal, it never prints, and it
//! runs guests only through the `runtime` crate.

pub mod defaults;

pub mod identity;

pub mod paths;

pub mod clock;

pub mod config;

pub mod wire;

pub mod store;

pub mod trust;

pub mod dispatch;

pub mod net;

pub mod state;

pub mod host;

pub mod images;

pub mod joining;

mod home;

pub mod service;

mod driver;

pub mod node;

pub mod interpreters;

pub mod client;

#[doc(hidden)]
pub mod fuzzing;

pub use node::Node;
