//! Compiles one program: inspects it, makes native code, checks that it links, and writes it where it was told.

use super::inspect;
use super::{preview1, preview2};
use crate::digest::Digest;
use crate::engine;
use crate::protocol::{Answer, CodeKind, CompileSpec, Compiled, Purpose, Refusal};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// The largest program; compiling takes memory in proportion.
const PROGRAM_LEN_MAX: u64 = 512 << 20;

/// Compiles as told.
pub(super) fn compile(spec: &CompileSpec) -> Answer {
    match try_compile(spec) {
        Ok(compiled) => Answer::Compiled(compiled),
        Err(refusal) => Answer::Refused(refusal),
    }
}

fn try_compile(spec: &CompileSpec) -> Result<Compiled, Refusal> {
    let program = read(&spec.source)?;
    let engine = engine::engine(spec.purpose).map_err(compile_error)?;
    let kind = inspect::inspect(&program, spec.purpose, &engine)?;
    let code = match kind {
        CodeKind::Module => compile_module(&engine, &program, spec.purpose)?,
        CodeKind::Component => compile_component(&engine, &program)?,
    };
    drop(program);
    let displaced = store(spec, &code)?;
    Ok(Compiled { kind, len: code.len() as u64, digest: Digest::of(&code), displaced })
}

fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    let unreadable = |error: io::Error| Refusal::Unreadable(error.to_string());
    let file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    if len > PROGRAM_LEN_MAX {
        return Err(Refusal::Compile(format!("it has {len} bytes; the most is {PROGRAM_LEN_MAX}")));
    }
    let mut program = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    file.take(PROGRAM_LEN_MAX + 1).read_to_end(&mut program).map_err(unreadable)?;
    Ok(program)
}

fn compile_module(engine: &Engine, program: &[u8], purpose: Purpose) -> Result<Vec<u8>, Refusal> {
    let module = Module::new(engine, program).map_err(compile_error)?;
    let mut linker = preview1::linker(engine).map_err(compile_error)?;
    if purpose == Purpose::Interpreter {
        preview1::add_absent_host(&mut linker).map_err(compile_error)?;
    }
    linker.instantiate_pre(&module).map_err(compile_error)?;
    module.serialize().map_err(compile_error)
}

fn compile_component(engine: &Engine, program: &[u8]) -> Result<Vec<u8>, Refusal> {
    let component = Component::new(engine, program).map_err(compile_error)?;
    let linker = preview2::linker(engine).map_err(compile_error)?;
    linker.instantiate_pre(&component).map_err(compile_error)?;
    component.serialize().map_err(compile_error)
}

/// Writes the code; the text is why it lies at the fallback, if it does.
fn store(spec: &CompileSpec, code: &[u8]) -> Result<Option<String>, Refusal> {
    let Err(error) = write_new(&spec.output, code) else { return Ok(None) };
    let why = error.to_string();
    let Some(fallback) = &spec.fallback else { return Err(Refusal::Store(why)) };
    tracing::debug!(%why, "compiled code goes to memory");
    // What was written so far would only keep the disk full.
    let _absent = std::fs::remove_file(&spec.output);
    let written = File::options().write(true).open(fallback).and_then(|mut file| file.write_all(code));
    match written {
        Ok(()) => Ok(Some(why)),
        Err(error) => Err(Refusal::Store(format!("{why}; in memory: {error}"))),
    }
}

fn write_new(path: &Path, code: &[u8]) -> io::Result<()> {
    File::options().write(true).create_new(true).mode(0o600).open(path)?.write_all(code)
}

fn compile_error(error: wasmtime::Error) -> Refusal {
    Refusal::Compile(format!("{error:#}"))
}
