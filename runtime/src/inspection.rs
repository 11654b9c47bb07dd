//! What a program is, found by looking at its outline and without running or compiling it: for people who want to know before
//! they run it, or before they lend their machine to it. The bytes are read by a confined worker. Whether it runs is not
//! decided here: that is what [`Runtime::prepare`] says, of this program as of every other.

pub(crate) mod abilities;

use self::abilities::Reach;
use crate::handed::Handed;
use crate::job::Tenant;
use crate::prepare::PrepareError;
use crate::protocol::{Answer, InspectSpec, Refusal, Spec, decode, tag};
use crate::runtime::Runtime;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Imports, and exports, that are listed; of more only the number is told.
pub(crate) const LISTED_MAX: usize = 1024;
/// Memories that are counted.
pub(crate) const MEMORIES_MAX: usize = 64;
/// How long an outline may take; the largest program's takes a second.
const TIME_MAX: Duration = Duration::from_secs(60);

/// What a program is built as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramKind {
    /// A core module, for WASI preview 1.
    Module,
    /// A component, for WASI preview 2.
    Component,
}

/// What a program shows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// What it is.
    pub kind: ProgramKind,
    /// Its size.
    pub bytes: u64,
    /// What it wants from outside, at most 1024.
    pub imports: Vec<ProgramImport>,
    /// How many imports it has in all.
    pub imports_count: u64,
    /// What it could do by all of its imports, those that are not listed included.
    pub reach: Reach,
    /// What it offers, at most 1024, in alphabetical order.
    pub exports: Vec<String>,
    /// How many exports it has in all.
    pub exports_count: u64,
    /// Its own memories, those of modules inside a component included, at most 64.
    pub memories: Vec<ProgramMemory>,
}

/// One thing that a program wants from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramImport {
    /// The module or interface.
    pub from: String,
    /// The function in it; empty for an interface as a whole.
    pub name: String,
    /// Why a job does not get it, and what to do; nothing when it does.
    pub refused: Option<String>,
}

/// One linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramMemory {
    /// Bytes it begins with.
    pub initial_bytes: u64,
    /// Bytes it may grow to by its own word; nothing said is no bound.
    pub maximum_bytes: Option<u64>,
}

impl Inspection {
    /// Bytes of memory that it takes from the start.
    #[must_use]
    pub fn initial_bytes(&self) -> u64 {
        self.memories.iter().fold(0, |sum, memory| sum.saturating_add(memory.initial_bytes))
    }

    /// Bytes of memory that it can take at most by its own word; nothing said is no bound.
    #[must_use]
    pub fn maximum_bytes(&self) -> Option<u64> {
        self.memories.iter().try_fold(0u64, |sum, memory| Some(sum.saturating_add(memory.maximum_bytes?)))
    }
}

impl Runtime {
    /// What the program in this file is; `name` is what it is called where it is at fault.
    ///
    /// # Errors
    /// The [`PrepareError`] that a run of it would end in, where it shows nothing of itself.
    pub async fn inspect(&self, path: &Path, name: &str) -> Result<Inspection, PrepareError> {
        let fail = |error: io::Error| PrepareError::Worker { path: name.into(), why: error.to_string() };
        let source = File::open(path).map_err(|source| PrepareError::NotFound { path: name.into(), source })?;
        let mut line = self.pool().start().map_err(fail)?;
        self.pool().serve(Tenant::OWNER, &line);
        let spec = InspectSpec { source: Handed::new(source), memory_bytes: self.compile().memory_bytes };
        line.order(&Spec::Inspect(spec)).await.map_err(fail)?;
        let Ok(answer) = tokio::time::timeout(TIME_MAX, line.frames.next()).await else {
            line.worker.kill();
            return Err(fail(io::Error::other(format!("it has no answer after {} s", TIME_MAX.as_secs()))));
        };
        match answer.map_err(fail)? {
            Some((tag::ANSWER, payload)) => match decode(&payload).map_err(fail)? {
                Answer::Inspected(inspection) => Ok(*inspection),
                Answer::Refused(Refusal::NotAProgram(why)) => Err(PrepareError::NotAProgram { path: name.into(), why }),
                Answer::Refused(Refusal::Unreadable(why)) => {
                    Err(PrepareError::NotFound { path: name.into(), source: io::Error::other(why) })
                }
                Answer::Refused(Refusal::Compile(why)) => Err(PrepareError::Compile { path: name.into(), why }),
                _ => Err(fail(io::Error::other("the worker gave an answer that is none"))),
            },
            Some(_) => Err(fail(io::Error::other("the worker gave an answer that is none"))),
            None => Err(fail(io::Error::other(line.worker.exited().await.explain()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_add_up_and_one_without_a_bound_leaves_all_without() {
        let memory = |initial_bytes, maximum_bytes| ProgramMemory { initial_bytes, maximum_bytes };
        let with = |memories| Inspection {
            kind: ProgramKind::Module,
            bytes: 0,
            imports: vec![],
            imports_count: 0,
            reach: Reach::default(),
            exports: vec![],
            exports_count: 0,
            memories,
        };
        let both = with(vec![memory(1, Some(5)), memory(2, Some(6))]);
        assert_eq!((both.initial_bytes(), both.maximum_bytes()), (3, Some(11)));
        assert_eq!(with(vec![memory(1, Some(5)), memory(u64::MAX, None)]).maximum_bytes(), None);
        assert_eq!(with(vec![]).maximum_bytes(), Some(0));
    }
}
