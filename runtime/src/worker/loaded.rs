//! The code a worker has loaded: linked, so that a run only makes a store and an instance. What is kept holds nothing of
//! any run. A file is known by its inode and times and not by its name, under which other bytes may come to lie.

use super::guest::{failed, unusable};
use super::load;
use super::preview1::{self, ModuleGuest};
use super::preview2::{self, ComponentGuest};
use crate::engine;
use crate::protocol::{Answer, CodeKind, LoadSpec, Purpose};
use std::collections::VecDeque;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use wasmtime::{Engine, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

/// The most programs kept. Each is a mapping of its file and some memory for what the engine knows of it: about 0.1 MB
/// for a small one, several for an interpreter.
const LOADED_MAX: usize = 4;

/// Programs ready to be instantiated, the one used last at the end.
#[derive(Default)]
pub(super) struct Loaded {
    command: Option<Engine>,
    interpreter: Option<Engine>,
    programs: VecDeque<(FileId, Program)>,
}

/// One program, linked with what it may import.
#[derive(Clone)]
pub(super) enum Program {
    Module(InstancePre<ModuleGuest>),
    Component(CommandPre<ComponentGuest>),
}

/// What tells a file from all others, and from itself with other content.
#[derive(PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Loaded {
    /// The program, loaded now if it is not yet.
    pub(super) fn program(&mut self, spec: &LoadSpec) -> Result<Program, Answer> {
        let metadata = std::fs::metadata(&spec.code).map_err(|error| unusable(error.into()))?;
        let id = FileId::of(&metadata);
        let known = self.programs.iter().position(|(known, _)| *known == id);
        let program = match known.and_then(|at| self.programs.remove(at)) {
            Some((_, program)) => program,
            None => self.load(spec)?,
        };
        if self.programs.len() == LOADED_MAX {
            self.programs.pop_front();
        }
        self.programs.push_back((id, program.clone()));
        Ok(program)
    }

    fn load(&mut self, spec: &LoadSpec) -> Result<Program, Answer> {
        let engine = self.engine(spec.purpose)?;
        match spec.kind {
            CodeKind::Module => {
                let module = load::module(&engine, &spec.code).map_err(unusable)?;
                let mut linker = preview1::linker(&engine).map_err(failed)?;
                if spec.purpose == Purpose::Interpreter {
                    preview1::add_absent_host(&mut linker).map_err(failed)?;
                }
                linker.instantiate_pre(&module).map(Program::Module).map_err(failed)
            }
            CodeKind::Component => {
                let component = load::component(&engine, &spec.code).map_err(unusable)?;
                let linker = preview2::linker(&engine).map_err(failed)?;
                let pre = linker.instantiate_pre(&component).and_then(CommandPre::new).map_err(failed)?;
                Ok(Program::Component(pre))
            }
        }
    }

    fn engine(&mut self, purpose: Purpose) -> Result<Engine, Answer> {
        let place = match purpose {
            Purpose::Command => &mut self.command,
            Purpose::Interpreter => &mut self.interpreter,
        };
        if let Some(engine) = place {
            return Ok(engine.clone());
        }
        let engine =
            engine::engine(purpose).map_err(|error| Answer::Failed(format!("cannot set up the engine: {error:#}")))?;
        Ok(place.insert(engine).clone())
    }
}
