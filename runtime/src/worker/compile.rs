//! Compiles one program: inspects it, makes native code, checks that it links, and writes it where it was told. An
//! interpreter is rewritten first: it counts its own fuel, and its memory comes from an image, whose first is made here too.

use super::{confine, inspect, make, preview1, preview2};
use crate::digest::Digest;
use crate::engine;
use crate::handed::Handed;
use crate::image::{ImageTail, write_image};
use crate::inspection::Inspection;
use crate::protocol::{Answer, BaseSpec, CodeKind, CompileSpec, InspectSpec, Made, Purpose, Refusal};
use crate::rewrite::rewrite;
use rustix::process::Resource;
use std::io::{self, Read, Write};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// The largest program; compiling takes memory in proportion.
const PROGRAM_LEN_MAX: u64 = 512 << 20;

/// Compiles as told.
pub(super) fn compile(spec: &CompileSpec) -> Answer {
    try_compile(spec).map_or_else(Answer::Refused, Answer::Made)
}

fn try_compile(spec: &CompileSpec) -> Result<Made, Refusal> {
    if let Some(most) = spec.memory_bytes {
        // What cannot be had then ends this process, and the parent tells why.
        confine::limit(Resource::Data, most).map_err(|error| Refusal::Compile(error.to_string()))?;
    }
    let program = read(&spec.source)?;
    let engine = engine::engine(spec.purpose, None).map_err(compile_error)?;
    let kind = inspect::inspect(&program, spec.purpose, &engine)?;
    let code = match (spec.purpose, kind) {
        (Purpose::Interpreter, _) => compile_interpreter(&engine, &program)?,
        (Purpose::Command, CodeKind::Component) => compile_component(&engine, &program)?,
        (Purpose::Command, _) => compile_module(&engine, &program)?,
    };
    drop(program);
    let displaced = make::store(&spec.destination, |mut file| file.write_all(&code))?;
    Ok(Made { kind, len: code.len() as u64, digest: Digest::of(&code), displaced })
}

/// Says what a program is.
pub(super) fn inspect(spec: &InspectSpec) -> Answer {
    try_inspect(spec).map_or_else(Answer::Refused, |inspection| Answer::Inspected(Box::new(inspection)))
}

fn try_inspect(spec: &InspectSpec) -> Result<Inspection, Refusal> {
    confine::limit(Resource::Data, spec.memory_bytes).map_err(|error| Refusal::Compile(error.to_string()))?;
    let program = read(&spec.source)?;
    let engine = engine::engine(Purpose::Command, None).map_err(compile_error)?;
    inspect::describe_outline(&program, &engine)
}

/// Lays out the memory of an interpreter that has not run yet.
pub(super) fn base(spec: &BaseSpec) -> Answer {
    try_base(spec).map_or_else(Answer::Refused, Answer::Made)
}

fn try_base(spec: &BaseSpec) -> Result<Made, Refusal> {
    let program = read(&spec.source)?;
    let rewritten = rewrite(&program).map_err(|error| Refusal::Compile(error.to_string()))?;
    let tail = ImageTail::whole(rewritten.memory_bytes, rewritten.globals);
    let pieces = || rewritten.segments.iter().map(|segment| (segment.offset, &program[segment.bytes.clone()]));
    make::image(&spec.destination, |file| write_image(file, &tail, pieces()))
}

fn read(source: &Handed) -> Result<Vec<u8>, Refusal> {
    let unreadable = |error: io::Error| Refusal::Unreadable(error.to_string());
    let file = source.file().map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    if len > PROGRAM_LEN_MAX {
        return Err(Refusal::Compile(format!("it has {len} bytes; the most is {PROGRAM_LEN_MAX}")));
    }
    let mut program = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    file.take(PROGRAM_LEN_MAX + 1).read_to_end(&mut program).map_err(unreadable)?;
    Ok(program)
}

fn compile_interpreter(engine: &Engine, program: &[u8]) -> Result<Vec<u8>, Refusal> {
    let rewritten = rewrite(program).map_err(|error| Refusal::Compile(error.to_string()))?;
    let module = Module::new(engine, &rewritten.module).map_err(compile_error)?;
    drop(rewritten);
    let linker = preview1::interpreter_linker(engine).map_err(compile_error)?;
    linker.instantiate_pre(&module).map_err(compile_error)?;
    module.serialize().map_err(compile_error)
}

fn compile_module(engine: &Engine, program: &[u8]) -> Result<Vec<u8>, Refusal> {
    let module = Module::new(engine, program).map_err(compile_error)?;
    let linker = preview1::linker(engine).map_err(compile_error)?;
    linker.instantiate_pre(&module).map_err(compile_error)?;
    module.serialize().map_err(compile_error)
}

fn compile_component(engine: &Engine, program: &[u8]) -> Result<Vec<u8>, Refusal> {
    let component = Component::new(engine, program).map_err(compile_error)?;
    let linker = preview2::linker(engine).map_err(compile_error)?;
    linker.instantiate_pre(&component).map_err(compile_error)?;
    component.serialize().map_err(compile_error)
}

fn compile_error(error: wasmtime::Error) -> Refusal {
    Refusal::Compile(format!("{error:#}"))
}
