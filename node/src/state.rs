//! Decisions, pure: an event and the time go in, effects come out. No async, no clock, no randomness, no I/O.

pub mod words;

pub mod peers;

pub mod placement;

pub mod known_bad;

pub mod quotas;
pub mod remarks;

pub mod fuel_day;

pub mod queue;

pub mod now;

pub mod needs;

pub mod containers;

pub mod home;

pub mod runs;

pub mod sharing;
#[cfg(test)]
mod simulation;
