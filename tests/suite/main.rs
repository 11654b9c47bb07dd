//! Potluck as its users meet it: real processes, real sockets, real hosts. One behaviour per test.

mod sight;

mod guests;
mod streams;
mod limits;
mod outcomes;
mod refusals;
mod workspace;
mod report;

mod python;
mod python_libraries;
mod packages;
mod examples;

mod cache;
mod environment;

mod commands;
mod daemon;
mod group;
mod tickets;
mod strangers;
mod remote;
mod hosts;

mod edges;

include!(concat!(env!("OUT_DIR"), "/every_guest_has_a_test.rs"));
