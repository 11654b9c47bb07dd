//! The code a worker has loaded: linked, so that a run only makes a store and an instance. What is kept holds nothing of
//! any run. A file is known by its inode and times.

use super::guest::{failed, unusable};
use super::interpreter::Interpreter;
use super::load;
use super::preview1::{self, ModuleGuest};
use super::preview2::{self, ComponentGuest};
use crate::engine;
use crate::file_state::FileState;
use crate::handed::Handed;
use crate::protocol::{Answer, CodeKind, LoadSpec, Purpose};
use std::collections::VecDeque;
use std::sync::Arc;
use wasmtime::{Engine, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

/// The most programs kept. Each is a mapping of its file and some memory for what the engine knows of it: about 0.1 MB
/// for a small one, several for an interpreter.
const LOADED_MAX: usize = 4;

/// Programs ready to be instantiated, the one used last at the end.
#[derive(Default)]
pub(super) struct Loaded {
    engine: Option<Engine>,
    programs: VecDeque<(FileState, Program)>,
}

/// One program, linked with what it may import.
#[derive(Clone)]
pub(super) enum Program {
    Module(InstancePre<ModuleGuest>),
    Component(CommandPre<ComponentGuest>),
    Interpreter(Arc<Interpreter>),
}

impl Loaded {
    /// The program, loaded now if it is not yet.
    pub(super) fn program(&mut self, spec: &LoadSpec) -> Result<Program, Answer> {
        let metadata = spec.code.file().and_then(|code| code.metadata()).map_err(|error| unusable(error.into()))?;
        let state = FileState::by_modification(&metadata);
        let known = self.programs.iter().position(|(known, _)| *known == state);
        let program = match known.and_then(|at| self.programs.remove(at)) {
            Some((_, program)) => program,
            None => self.load(spec)?,
        };
        if self.programs.len() == LOADED_MAX {
            self.programs.pop_front();
        }
        self.programs.push_back((state, program.clone()));
        Ok(program)
    }

    /// An interpreter, loaded now if it is not yet.
    pub(super) fn interpreter(&mut self, code: &Handed, kind: CodeKind) -> Result<Arc<Interpreter>, Answer> {
        let spec = LoadSpec { code: code.clone(), kind, purpose: Purpose::Interpreter };
        match self.program(&spec)? {
            Program::Interpreter(interpreter) => Ok(interpreter),
            Program::Module(_) | Program::Component(_) => Err(failed("a session needs an interpreter")),
        }
    }

    /// Makes the memories of scripts that are over ready for the next ones, which otherwise do it themselves.
    pub(super) fn tidy(&self) {
        for (_, program) in &self.programs {
            if let Program::Interpreter(interpreter) = program {
                interpreter.tidy();
            }
        }
    }

    fn load(&mut self, spec: &LoadSpec) -> Result<Program, Answer> {
        let code = spec.code.file().map_err(|error| unusable(error.into()))?;
        if spec.purpose == Purpose::Interpreter {
            return Interpreter::load(code).map(|interpreter| Program::Interpreter(Arc::new(interpreter)));
        }
        let engine = self.engine()?;
        match spec.kind {
            CodeKind::Image => Err(failed("a memory image is no program")),
            CodeKind::Module => {
                let module = load::module(&engine, code).map_err(unusable)?;
                let linker = preview1::linker(&engine).map_err(failed)?;
                linker.instantiate_pre(&module).map(Program::Module).map_err(failed)
            }
            CodeKind::Component => {
                let component = load::component(&engine, code).map_err(unusable)?;
                let linker = preview2::linker(&engine).map_err(failed)?;
                let pre = linker.instantiate_pre(&component).and_then(CommandPre::new).map_err(failed)?;
                Ok(Program::Component(pre))
            }
        }
    }

    /// The engine of commands; an interpreter has its own.
    fn engine(&mut self) -> Result<Engine, Answer> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let engine = engine::engine(Purpose::Command, None)
            .map_err(|error| Answer::Failed(format!("cannot set up the engine: {error:#}")))?;
        Ok(self.engine.insert(engine).clone())
    }
}
