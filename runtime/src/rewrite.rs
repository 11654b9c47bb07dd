//! The interpreter's module as it is compiled: without what its memory holds at the start, which comes from an image.
//!
//! What comes out, always: one empty data segment stands for all there were; every mutable global is exported; names and other custom sections are gone. With its functions imported, the
//! whole state of an instance is then its one memory and these globals, and a module that could keep state elsewhere is
//! refused. What runs is charged to a meter that is part of the module (see `meter`), with two globals of its own that are
//! no state. The same bytes in give the same bytes out. This is pure: it opens no file and compiles nothing.

mod calls;
mod encode;
mod meter;
mod outline;
mod profile;
mod teller;
#[cfg(test)]
mod tests;

pub(crate) use crate::image::GlobalValue;
use encode::Encoder;
use meter::Plan;
use outline::Outline;
use std::ops::Range;

/// The global that holds the fuel that is left; exported under this name, an `i64`, zero at the start. Below zero the
/// program ends: at a loop with the trap `unreachable`, elsewhere with a call for a pause, which must not return.
pub(crate) const FUEL_GLOBAL: &str = "potluck_fuel";
/// The global with the mark below which the fuel must fall for a pause; exported under this name, an `i64`, zero at the
/// start. It must not be set below zero, or recursion would not end.
pub(crate) const PAUSE_GLOBAL: &str = "potluck_pause";
/// The module and the name of the import that is called for a pause: `() -> ()`. It lowers the mark, or is called again at
/// once. A program that only turns in loops does not pause: what must hold in time needs another thread.
pub(crate) const PAUSE_IMPORT: (&str, &str) = ("potluck", "pause");
/// How the exported names of the mutable globals begin, which together with the memory are the program's state.
pub(crate) const GLOBAL_PREFIX: &str = "potluck_global_";
/// The longest module that is rewritten, in bytes; the result and its parts take about as much again.
const PROGRAM_BYTES_MAX: usize = 512 << 20;

/// The interpreter as it is compiled, and what its memory holds at the start.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// The module to compile.
    pub(crate) module: Vec<u8>,
    /// The active data segments that are not empty, in the order they are laid out: later ones overwrite earlier ones.
    /// Each lies within the first `memory_bytes` of the memory.
    pub(crate) segments: Vec<Segment>,
    /// The size of the memory at the start, in bytes; at most 4 GiB, and a multiple of 64 KiB.
    pub(crate) memory_bytes: u64,
    /// The exported name of each mutable global, and its value at the start.
    pub(crate) globals: Vec<(String, GlobalValue)>,
}

/// Bytes the memory holds at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where in the memory they lie, in bytes.
    pub(crate) offset: u64,
    /// Where in the original program they stand.
    pub(crate) bytes: Range<usize>,
}

/// A module cannot be run over memory images.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error("it is {0} bytes long, and at most {PROGRAM_BYTES_MAX} are rewritten")]
    TooLong(usize),
    #[error("it is damaged")]
    Damaged(#[source] wasmparser::Error),
    #[error("it cannot be written again: {0}")]
    Unwritable(&'static str),
    #[error("it has a start section, which would change the memory of an image; build it as a reactor")]
    Start,
    #[error("it has {0} memories, and an image holds exactly one")]
    Memories(usize),
    #[error("it imports its memory, and an image holds only a memory of its own")]
    MemoryImported,
    #[error("its memory is {0}, and an image holds only an unshared 32-bit memory of 64 KiB pages")]
    MemoryKind(&'static str),
    #[error("its memory starts with {0} pages of 64 KiB, and 4 GiB is the most")]
    MemoryTooLarge(u64),
    #[error("data segment {0} is passive and not empty: what it holds would be missing from an image")]
    Passive(usize),
    #[error("the offset of data segment {0} is no constant")]
    Offset(usize),
    #[error("data segment {0} does not lie within the memory")]
    OutOfMemory(usize),
    #[error("it has more than {0} {1}")]
    TooMany(usize, &'static str),
    #[error("it imports the mutable global '{0}', whose value would be missing from an image")]
    GlobalImported(String),
    #[error("mutable global {0} does not start as a number, and an image holds only numbers")]
    Global(u32),
    #[error("it already exports '{0}', a name that is added to it")]
    NameTaken(String),
    #[error("it has no {0}, and no interpreter does without")]
    Lacks(&'static str),
    #[error("it changes its tables with '{0}', and an image holds no tables")]
    TableChanged(&'static str),
}

/// Rewrites an interpreter's module.
///
/// # Errors
/// The module is damaged, or keeps state where an image does not.
pub(crate) fn rewrite(program: &[u8]) -> Result<Rewritten, RewriteError> {
    if program.len() > PROGRAM_BYTES_MAX {
        return Err(RewriteError::TooLong(program.len()));
    }
    let outline = Outline::read(program)?;
    let plan = Plan::new(program, &outline)?;
    let module = Encoder::new(&outline, &plan).encode(program)?;
    let globals = outline.globals.into_iter().map(|global| (global.name, global.value)).collect();
    Ok(Rewritten { module, segments: outline.segments, memory_bytes: outline.memory_bytes, globals })
}

impl From<wasmparser::Error> for RewriteError {
    fn from(error: wasmparser::Error) -> Self {
        Self::Damaged(error)
    }
}
