//! What the home of this node's jobs is told of machines: what each says of itself, and whether it can be reached.

use crate::state::known_bad::{self, Added};
use crate::state::placement::gpu::GpuFacts;
use crate::state::placement::machine::{Lends, MachineFacts};
use crate::state::placement::{Engine, Place};
use crate::wire::{DockerOffer, Gpu, NodeInfo};
use std::time::Duration;

/// What a machine says of itself, as a home needs it.
pub(crate) fn facts(place: Place, info: &NodeInfo, bad_engines: &Added, round_trip: Duration) -> MachineFacts {
    let is_bad = known_bad::check(&info.engine, bad_engines).is_err();
    let word = |text: &str| text.parse().ok();
    let (places, lends) = match (place, &info.lends) {
        // What is lent to others does not bind the owner.
        (Place::Here, _) | (_, None) => (info.cores, Lends::Now),
        (_, Some(lends)) if lends.closed.is_some() => (0, Lends::Not(lends.text.clone())),
        (_, Some(lends)) => (lends.places, Lends::Now),
    };
    MachineFacts {
        place,
        name: info.name.clone(),
        os: word(&info.os),
        arch: word(&info.arch),
        cores: info.cores,
        memory_bytes: info.memory_bytes,
        memory_free_bytes: info.memory_free_bytes,
        load_milli: info.load_milli,
        gpus: info.graphics().into_iter().map(GpuFacts::from).collect(),
        docker: info.docker.as_ref().map(DockerOffer::facts),
        tags: info.tags.iter().filter_map(|tag| word(tag)).collect(),
        engine: if is_bad { Engine::Unsafe } else { Engine::Fit },
        lends,
        places,
        round_trip_ms: u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX),
    }
}

impl From<Gpu> for GpuFacts {
    fn from(gpu: Gpu) -> Self {
        Self { name: gpu.name, memory_bytes: gpu.memory_bytes }
    }
}
