//! What a home knows of a machine that may run its jobs, as the machine says it of itself.

use super::gpu::GpuFacts;
use super::{Engine, Place};
use crate::state::containers::Offer;
use crate::state::needs::Tag;
use std::collections::BTreeSet;

/// A machine, as it was when it last said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFacts {
    /// Which.
    pub place: Place,
    /// Its label.
    pub name: String,
    /// Its operating system (`linux`).
    pub os: Option<Tag>,
    /// Its processor's architecture (`x86_64`).
    pub arch: Option<Tag>,
    /// Logical cores.
    pub cores: u32,
    /// Memory in all that it lends to one job, in bytes.
    pub memory_bytes: u64,
    /// Memory free for use, in bytes.
    pub memory_free_bytes: u64,
    /// Load average over one minute, in thousandths.
    pub load_milli: u32,
    /// Its graphics processors.
    pub gpus: Vec<GpuFacts>,
    /// What it offers of containers.
    pub docker: Option<Offer>,
    /// The words its owner gave it.
    pub tags: BTreeSet<Tag>,
    /// Whether its engine is known to be unsafe.
    pub engine: Engine,
    /// Whether it lends itself now.
    pub lends: Lends,
    /// Runs of this home that it would run at once.
    pub places: u32,
    /// How long a question and its answer travel, in milliseconds.
    pub round_trip_ms: u32,
}

/// Whether a machine lends itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lends {
    /// It does.
    Now,
    /// It does not: why, in its own words.
    Not(String),
}
