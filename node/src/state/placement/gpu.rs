//! Graphics processors: whether a machine has those that a job needs, and whether it may give them to one. WebAssembly has no way
//! to any, so it can only where its owner offers Docker with them.

use super::fit::Reason;
use super::machine::MachineFacts;
use crate::state::containers::Offer;
use crate::state::needs::Needs;
use std::fmt;

/// Why a job that is WebAssembly, or a script in it, cannot need one, and what can.
pub const ONLY_DOCKER: &str = "only the Docker backend reaches graphics processors: say `--backend docker --docker-image IMAGE` as \
     well, or leave `gpu` out of `--need`; a job in WebAssembly, and Python is one, reaches none";

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuFacts {
    /// What it is called.
    pub name: String,
    /// Its memory in all, in bytes, where that is known.
    pub memory_bytes: Option<u64>,
}

/// Why a machine gives its graphics processors to no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotGiven {
    /// It offers no Docker.
    NoDocker,
    /// Its Docker has no way to them.
    NotByDocker,
}

/// Whether a machine that offers this may give a graphics processor to a job.
///
/// # Errors
/// [`NotGiven`] says why not.
pub const fn may_give(offer: Option<&Offer>) -> Result<(), NotGiven> {
    match offer {
        None => Err(NotGiven::NoDocker),
        Some(Offer { gives_gpus: false, .. }) => Err(NotGiven::NotByDocker),
        Some(Offer { gives_gpus: true, .. }) => Ok(()),
    }
}

/// Why a machine has not what a job needs of graphics processors, or may not give it; none when it may.
pub(super) fn obstacle(machine: &MachineFacts, needs: &Needs) -> Option<Reason> {
    if needs.gpus == 0 {
        return None;
    }
    let count = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
    let has = count(machine.gpus.len());
    if has == 0 {
        return Some(Reason::NoGpu);
    }
    if has < needs.gpus {
        return Some(Reason::Gpus { has: called(&machine.gpus), count: has, needed: needs.gpus });
    }
    let needed = needs.gpu_memory_bytes;
    let is_large = |gpu: &&GpuFacts| gpu.memory_bytes.unwrap_or(0) >= needed;
    if count(machine.gpus.iter().filter(is_large).count()) < needs.gpus {
        let mut sizes: Vec<Option<u64>> = machine.gpus.iter().map(|gpu| gpu.memory_bytes).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        // So much have as many as are needed.
        let has = sizes.get(usize::try_from(needs.gpus - 1).unwrap_or(usize::MAX)).copied().flatten();
        return Some(Reason::GpuMemory { gpus: called(&machine.gpus), has, needed });
    }
    let not_given = may_give(machine.docker.as_ref()).err()?;
    Some(Reason::GpuNotGiven { gpus: called(&machine.gpus), why: not_given })
}

/// They by name, each kind once.
fn called(gpus: &[GpuFacts]) -> String {
    let mut names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

impl fmt::Display for NotGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDocker => "offers no Docker, and WebAssembly reaches no GPU",
            Self::NotByDocker => "its Docker gives it to no container, and WebAssembly reaches no GPU",
        })
    }
}

impl NotGiven {
    /// What its owner can do.
    #[must_use]
    pub const fn change(self) -> &'static str {
        match self {
            Self::NoDocker => "its owner can: `potluck share --docker`",
            Self::NotByDocker => "its owner can: with NVIDIA's container toolkit Docker there gives it",
        }
    }
}

#[cfg(test)]
mod tests;
