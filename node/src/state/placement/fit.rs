//! Whether a machine may run a job at all, and why one does not run it now: one reason for each machine, the one that
//! decides, with what would change it.

use super::gpu::{self, NotGiven};
use super::machine::{Lends, MachineFacts};
use super::{Engine, Place};
use crate::state::containers::{Lacks, lacks};
use crate::state::needs::{Requirements, Size, Tag, Who};
use std::collections::BTreeSet;
use std::fmt;

/// Why a machine does not run a job, or that it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It does.
    RunsIt,
    /// It has it, and has not started it.
    HasIt,
    /// Others are named.
    NotNamed,
    /// It is none of ours any more, or has never said what it is.
    Unknown,
    /// It cannot be reached.
    Offline {
        /// Since how long, in seconds.
        silent_s: u64,
    },
    /// Its engine is known to be unsafe.
    UnsafeEngine,
    /// Its owner does not lend it now.
    NotLending(String),
    /// This machine's owner wants it to themself.
    Paused,
    /// Another operating system.
    Os {
        /// What it has.
        has: Option<Tag>,
        /// What is needed.
        needed: Tag,
    },
    /// Another processor.
    Arch {
        /// What it has.
        has: Option<Tag>,
        /// What is needed.
        needed: Tag,
    },
    /// It runs no container of the job's image.
    Container(Lacks),
    /// It has no graphics processor, as far as it knows.
    NoGpu,
    /// Too few graphics processors.
    Gpus {
        /// What they are called.
        has: String,
        /// How many they are.
        count: u32,
        /// How many are needed.
        needed: u32,
    },
    /// Too few of its graphics processors have so much memory.
    GpuMemory {
        /// What they are called.
        gpus: String,
        /// How much as many as are needed have, in bytes, where that is known.
        has: Option<u64>,
        /// How much is needed, in bytes.
        needed: u64,
    },
    /// It gives its graphics processors to no job.
    GpuNotGiven {
        /// What they are called.
        gpus: String,
        /// Why not.
        why: NotGiven,
    },
    /// Its owner did not give it this word.
    NoTag {
        /// The words it has.
        has: BTreeSet<Tag>,
        /// The one that is needed.
        needed: Tag,
    },
    /// Too few cores.
    Cores {
        /// How many it has.
        has: u32,
        /// How many are needed.
        needed: u32,
    },
    /// It never has so much memory.
    Memory {
        /// How much it lends, in bytes.
        has: u64,
        /// How much is needed, in bytes.
        needed: u64,
    },
    /// It has not so much memory now.
    MemoryNow {
        /// How much is free, in bytes.
        free: u64,
        /// How much is needed, in bytes.
        needed: u64,
    },
    /// It has refused this job.
    Refused(String),
    /// It asked not to be asked before some time.
    AskedToWait {
        /// In its words.
        why: String,
        /// How much longer, in seconds.
        seconds: u64,
    },
    /// A run of this job vanished there, and others fit.
    Tried,
    /// It is to be avoided, and others fit.
    Avoided,
    /// All places it gives are taken.
    Full {
        /// How many it gives.
        places: u32,
    },
    /// Another machine has it.
    Elsewhere,
    /// It is free, and jobs of its submitter, or of another who had less, go first.
    NotItsTurn,
    /// The map it is of has as many with machines as it may.
    MapLimit {
        /// How many.
        jobs_max: u32,
    },
}

/// Why a machine may not run what has these requirements, whatever else happens there; none when it may.
#[must_use]
pub fn obstacle(machine: &MachineFacts, requirements: &Requirements) -> Option<Reason> {
    let needs = &requirements.needs;
    if !requirements.on.is_empty() && !requirements.on.contains(&machine.place) {
        return Some(Reason::NotNamed);
    }
    // The owner's own jobs may run here whatever the engine.
    if machine.engine == Engine::Unsafe && machine.place != Place::Here {
        return Some(Reason::UnsafeEngine);
    }
    if let Some(needed) = needs.os.as_ref().filter(|os| machine.os.as_ref() != Some(*os)) {
        return Some(Reason::Os { has: machine.os.clone(), needed: needed.clone() });
    }
    if let Some(needed) = needs.arch.as_ref().filter(|arch| machine.arch.as_ref() != Some(*arch)) {
        return Some(Reason::Arch { has: machine.arch.clone(), needed: needed.clone() });
    }
    if let Some(lacks) = requirements.container.as_ref().and_then(|image| lacks(machine.docker.as_ref(), image)) {
        return Some(Reason::Container(lacks));
    }
    if let Some(reason) = gpu::obstacle(&machine.gpus, machine.docker.as_ref(), (needs.gpus, needs.gpu_memory_bytes)) {
        return Some(reason);
    }
    if let Some(missing) = needs.tags.difference(&machine.tags).next() {
        return Some(Reason::NoTag { has: machine.tags.clone(), needed: missing.clone() });
    }
    if machine.cores < needs.cores {
        return Some(Reason::Cores { has: machine.cores, needed: needs.cores });
    }
    let needed = needs.memory_bytes;
    if machine.memory_bytes < needed {
        return Some(Reason::Memory { has: machine.memory_bytes, needed });
    }
    if machine.memory_free_bytes < needed {
        return Some(Reason::MemoryNow { free: machine.memory_free_bytes, needed });
    }
    match &machine.lends {
        Lends::Now => None,
        Lends::Not(why) => Some(Reason::NotLending(why.clone())),
    }
}

/// Whether a wish speaks of a machine.
#[must_use]
pub fn named(machine: &MachineFacts, wish: &[Who]) -> bool {
    wish.iter().any(|who| match who {
        Who::Machine(place) => *place == machine.place,
        Who::Tag(tag) => machine.tags.contains(tag),
    })
}

impl Reason {
    /// It and what would change it, as the rest of a sentence that begins with the machine's name.
    #[must_use]
    pub fn with_change(&self) -> String {
        self.change().map_or_else(|| self.to_string(), |change| format!("{self}; {change}"))
    }

    /// What would change it, as a sentence for the submitter; none where there is nothing to do but wait.
    #[must_use]
    pub fn change(&self) -> Option<String> {
        Some(match self {
            Self::RunsIt | Self::HasIt | Self::Elsewhere | Self::NotItsTurn => return None,
            Self::NotNamed => "name it with `--on`, or leave `--on` out".to_owned(),
            Self::Unknown => "`potluck peers` shows whether it is in the group and runs".to_owned(),
            Self::Offline { .. } => {
                "start it, or connect it to the network; `potluck peers` shows when it is back".to_owned()
            }
            Self::UnsafeEngine => "update Potluck there".to_owned(),
            Self::NotLending(_) => "its owner decides with `potluck share` there".to_owned(),
            Self::Paused => "`potluck resume` lends it again".to_owned(),
            Self::Os { needed, .. } => format!("leave `os={needed}` out of `--need`"),
            Self::Arch { needed, .. } => format!("leave `arch={needed}` out of `--need`"),
            Self::Container(lacks) => lacks.change(),
            Self::NoGpu => "leave `gpu` out of `--need`".to_owned(),
            Self::Gpus { count, .. } => format!("ask for `gpu={count}` or less"),
            Self::GpuMemory { has: Some(has), .. } => format!("ask for `gpu-memory={}` or less", Size(has >> 20 << 20)),
            Self::GpuMemory { has: None, .. } => "leave `gpu-memory` out of `--need`".to_owned(),
            Self::GpuNotGiven { why, .. } => why.change().to_owned(),
            Self::NoTag { has, needed } => {
                let all: Vec<String> = has.iter().chain([needed]).map(Tag::to_string).collect();
                format!(
                    "its owner gives it the tag with `potluck config set tags {}` there and a new start of its node, or leave \
                     `tag={needed}` out of `--need`",
                    all.join(",")
                )
            }
            Self::Cores { has, .. } => format!("ask for `cpu={has}` or less"),
            Self::Memory { has, .. } => format!("ask for `mem={}` or less", Size(has >> 20 << 20)),
            Self::MemoryNow { .. } => "it fits once memory is free there".to_owned(),
            Self::Refused(_) => "submit it again with what it asks for, or wait for another machine".to_owned(),
            Self::AskedToWait { seconds, .. } => format!("it is asked again in {seconds} s"),
            Self::Tried => "it is asked again when no other machine fits".to_owned(),
            Self::Avoided => "leave it out of `--avoid`".to_owned(),
            Self::Full { .. } => {
                "it gets one when a run there ends; `potluck share` there gives more places".to_owned()
            }
            Self::MapLimit { .. } => "a greater `--jobs`".to_owned(),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |tag: &Option<Tag>| tag.as_ref().map_or_else(|| "an unknown one".to_owned(), Tag::to_string);
        match self {
            Self::RunsIt => f.write_str("runs it"),
            Self::HasIt => f.write_str("has it and has not started it"),
            Self::NotNamed => f.write_str("is not among the machines of `--on`"),
            Self::Unknown => f.write_str("has not said what it is"),
            Self::Offline { silent_s } => write!(f, "cannot be reached; it was last heard {silent_s} s ago"),
            Self::UnsafeEngine => f.write_str("its engine is known to be unsafe"),
            Self::NotLending(why) => write!(f, "does not lend itself now: {why}"),
            Self::Paused => f.write_str("its owner has paused it"),
            Self::Os { has, needed } => write!(f, "runs {}, and the job needs {needed}", or_unknown(has)),
            Self::Arch { has, needed } => write!(f, "is {}, and the job needs {needed}", or_unknown(has)),
            Self::Container(lacks) => write!(f, "{lacks}"),
            Self::NoGpu => f.write_str("has no GPU that it can see"),
            Self::Gpus { has, count, needed } => {
                write!(f, "has {count} GPU{} ({has}), and the job needs {needed}", if *count == 1 { "" } else { "s" })
            }
            Self::GpuMemory { gpus, has: Some(has), needed } => {
                let (has, needed) = (has >> 20, needed.div_ceil(1 << 20));
                write!(f, "has a GPU ({gpus}) with {has} MiB of memory, and the job needs {needed} MiB")
            }
            Self::GpuMemory { gpus, has: None, .. } => {
                write!(f, "has a GPU ({gpus}) and does not say how much memory it has")
            }
            Self::GpuNotGiven { gpus, why } => write!(f, "has a GPU ({gpus}), but {why}"),
            Self::NoTag { needed, .. } => write!(f, "has not the tag {needed}"),
            Self::Cores { has, needed } => write!(f, "has {has} cores, and the job needs {needed}"),
            Self::Memory { has, needed } => {
                write!(
                    f,
                    "lends at most {} MiB of memory, and the job needs {} MiB",
                    has >> 20,
                    needed.div_ceil(1 << 20)
                )
            }
            Self::MemoryNow { free, needed } => {
                write!(f, "has {} MiB of memory free, and the job needs {} MiB", free >> 20, needed.div_ceil(1 << 20))
            }
            Self::Refused(why) => write!(f, "refused it: {why}"),
            Self::AskedToWait { why, .. } => write!(f, "takes nothing for now: {why}"),
            Self::Tried => f.write_str("a run of it vanished there, and others fit"),
            Self::Avoided => f.write_str("is to be avoided, and others fit"),
            Self::Full { places } => write!(f, "all of its places ({places}) are taken"),
            Self::Elsewhere => f.write_str("fits; another machine has it"),
            Self::NotItsTurn => f.write_str("fits; jobs before it go first"),
            Self::MapLimit { jobs_max } => {
                write!(f, "fits; {jobs_max} of its map are with machines, as many as may be")
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
