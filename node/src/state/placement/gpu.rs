//! Graphics processors: whether a machine has those that a job needs, and whether it may give them to one. WebAssembly has no way
//! to any, so it can only where its owner offers Docker with them.

use super::fit::Reason;
use crate::state::containers::Offer;
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

/// Why a machine with these, that offers this, has not so many with so much memory each, or may not give them; none when it may.
pub(crate) fn obstacle(gpus: &[GpuFacts], offer: Option<&Offer>, (needed, memory): (u32, u64)) -> Option<Reason> {
    if needed == 0 {
        return None;
    }
    let number = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
    let count = number(gpus.len());
    if count == 0 {
        return Some(Reason::NoGpu);
    }
    if count < needed {
        return Some(Reason::Gpus { has: called(gpus), count, needed });
    }
    let is_large = |gpu: &&GpuFacts| gpu.memory_bytes.unwrap_or(0) >= memory;
    if number(gpus.iter().filter(is_large).count()) < needed {
        let mut sizes: Vec<Option<u64>> = gpus.iter().map(|gpu| gpu.memory_bytes).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        // So much have as many as are needed.
        let has = sizes.get(usize::try_from(needed - 1).unwrap_or(usize::MAX)).copied().flatten();
        return Some(Reason::GpuMemory { gpus: called(gpus), has, needed: memory });
    }
    let not_given = may_give(offer).err()?;
    Some(Reason::GpuNotGiven { gpus: called(gpus), why: not_given })
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
