//! Decisions: facts go in, a choice comes out. No async, no clock, no randomness, no input or output.

pub mod placement;
