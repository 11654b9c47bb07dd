//! Potluck as its users meet it: real processes, real sockets, real hosts. One behaviour per test.

mod random;
mod sight;

mod guests;
mod limits;
mod outcomes;
mod refusals;
mod report;
mod streams;
mod workspace;

mod examples;
mod images;
mod inspect;
mod languages;
mod new;
mod packages;
mod python;
mod python_libraries;
mod same_job;
mod session_states;
mod sessions;
mod shell;
mod words;

mod cache;
mod docker;
mod environment;

mod commands;
mod contract;
mod daemon;
mod gpus;
mod group;
mod hostile_peers;
mod hosts;
mod jobs;
mod leases;
mod map;
mod records;
mod remote;
mod sharing;
mod strangers;
mod tickets;
mod top;
mod trust;
mod walls;
mod with_packages;

mod attacks;

mod chaos;
mod storm;

mod kit;

include!(concat!(env!("OUT_DIR"), "/every_guest_has_a_test.rs"));
