//! Finds out what a file is before it is compiled, so that what cannot run is refused in words its author understands.
//! It reads only the outline (imports and exports); whether the rest is valid is the compiler's business. What people are told
//! of a program before it runs comes from the same outline and the same rules.

use super::preview1::{self, ModuleGuest};
use crate::inspection::abilities::Reach;
use crate::inspection::{Inspection, LISTED_MAX, MEMORIES_MAX, ProgramImport, ProgramKind, ProgramMemory};
use crate::protocol::{CodeKind, Purpose, Refusal};
use std::collections::BTreeSet;
use wasmparser::{Chunk, Encoding, Parser, Payload};
use wasmtime::{Engine, Store};

/// The interfaces of preview 2 a component may import, without their versions.
const INTERFACES: &[&str] =
    &["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
const RUN: &str = "wasi:cli/run@0.2.";
/// Bytes of a name that are told.
const NAME_LEN_MAX: usize = 200;
/// Bytes of a page of memory, unless a memory says otherwise.
const PAGE_LEN_LOG2: u32 = 16;

/// What a program imports and exports at its outermost level.
#[derive(Default)]
struct Outline {
    imports: Vec<(String, String)>,
    exports: BTreeSet<String>,
}

/// Says what the program is, or why it cannot run.
pub(crate) fn inspect(program: &[u8], purpose: Purpose, engine: &Engine) -> Result<CodeKind, Refusal> {
    let (kind, outline) = read(program)?;
    match kind {
        CodeKind::Module => check_module(&outline, purpose, engine)?,
        CodeKind::Component => check_component(&outline)?,
        CodeKind::Image => return Err(Refusal::NotAProgram("it is a memory image".to_owned())),
    }
    Ok(kind)
}

/// Says of a program to be run by itself what it wants and offers, and which of its wishes are refused.
pub(crate) fn describe_outline(program: &[u8], engine: &Engine) -> Result<Inspection, Refusal> {
    let (kind, outline) = read(program)?;
    let listed = outline.imports.iter().take(LISTED_MAX);
    let (kind, imports) = match kind {
        CodeKind::Component => (ProgramKind::Component, listed.map(|i| told(i, component_import(i))).collect()),
        CodeKind::Module | CodeKind::Image => {
            let mut refusal = module_import(Purpose::Command, engine)?;
            (ProgramKind::Module, listed.map(|import| told(import, refusal(import))).collect())
        }
    };
    let imports_all = outline.imports.iter().map(|(from, name)| (from.as_str(), name.as_str()));
    Ok(Inspection {
        kind,
        reach: Reach::of(kind, imports_all),
        bytes: program.len() as u64,
        imports,
        imports_count: outline.imports.len() as u64,
        exports: outline.exports.iter().take(LISTED_MAX).map(|name| cut(name)).collect(),
        exports_count: outline.exports.len() as u64,
        memories: memories(program),
    })
}

fn told((from, name): &(String, String), refusal: Option<MissingImport>) -> ProgramImport {
    ProgramImport { from: cut(from), name: cut(name), refused: refusal.map(|refusal| refusal.hint.to_owned()) }
}

/// An import that nobody provides.
struct MissingImport {
    import: String,
    hint: &'static str,
}

impl From<MissingImport> for Refusal {
    fn from(MissingImport { import, hint }: MissingImport) -> Self {
        Self::MissingImport { import, hint: hint.to_owned() }
    }
}

fn cut(name: &str) -> String {
    name[..name.floor_char_boundary(NAME_LEN_MAX)].to_owned()
}

/// The memories of a module, or of all modules inside a component; of a damaged one those before the damage.
fn memories(program: &[u8]) -> Vec<ProgramMemory> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(program) {
        let section = match payload {
            Ok(Payload::MemorySection(section)) => section,
            Ok(_) => continue,
            Err(_) => break,
        };
        for memory in section.into_iter().flatten().take(MEMORIES_MAX - found.len()) {
            let page_len = 1u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE_LEN_LOG2)).unwrap_or(u64::MAX);
            found.push(ProgramMemory {
                initial_bytes: memory.initial.saturating_mul(page_len),
                maximum_bytes: memory.maximum.map(|pages| pages.saturating_mul(page_len)),
            });
        }
    }
    found
}

fn read(program: &[u8]) -> Result<(CodeKind, Outline), Refusal> {
    if !program.starts_with(b"\0asm") {
        return Err(Refusal::NotAProgram(describe(program).to_owned()));
    }
    outline(program).map_err(|error| Refusal::NotAProgram(format!("it is damaged: {error}")))
}

/// What a file that is no binary WebAssembly looks like.
fn describe(program: &[u8]) -> &'static str {
    let start = program.trim_ascii_start();
    if program.is_empty() {
        "the file is empty"
    } else if start.starts_with(b"(module") || start.starts_with(b"(component") || start.starts_with(b";;") {
        "it is WebAssembly as text; translate it first, with 'wasm-tools parse' or 'wat2wasm'"
    } else if program.starts_with(b"\x7fELF") {
        "it is a native program (ELF); compile its source for the target wasm32-wasip1"
    } else if program.starts_with(b"\x1f\x8b") || program.starts_with(b"PK\x03\x04") {
        "it is an archive; unpack it first"
    } else if program.starts_with(b"#!") {
        "it is a script"
    } else if std::str::from_utf8(&program[..program.len().min(512)]).is_ok() {
        "it is text; a script needs a name that ends in its language, such as .py"
    } else {
        "it does not begin as WebAssembly does"
    }
}

fn outline(mut rest: &[u8]) -> Result<(CodeKind, Outline), wasmparser::BinaryReaderError> {
    let mut parser = Parser::new(0);
    let mut outline = Outline::default();
    let mut kind = CodeKind::Module;
    loop {
        let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
            // With all the bytes at hand the parser never asks for more.
            return Ok((kind, outline));
        };
        rest = &rest[consumed..];
        let mut skipped = 0;
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => kind = CodeKind::Component,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    outline.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    outline.exports.insert(export?.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    outline.imports.push((import?.name.name.to_owned(), String::new()));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    outline.exports.insert(export?.name.name.to_owned());
                }
            }
            // What is inside a component is its own affair.
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                skipped = unchecked_range.len();
            }
            Payload::CodeSectionStart { size, .. } => {
                parser.skip_section();
                skipped = size as usize;
            }
            Payload::End(_) => return Ok((kind, outline)),
            _ => {}
        }
        rest = rest.get(skipped..).unwrap_or_default();
    }
}

fn check_module(outline: &Outline, purpose: Purpose, engine: &Engine) -> Result<(), Refusal> {
    if let Some(missing) = outline.imports.iter().find_map(module_import(purpose, engine)?) {
        return Err(missing.into());
    }
    let exports = |name: &str| outline.exports.contains(name);
    if purpose == Purpose::Interpreter || exports("_start") {
        return Ok(());
    }
    let why = if exports("_initialize") {
        "it is a reactor (a library) without '_start'; build it as a command, with a 'main'"
    } else {
        "it has no '_start'; build it as a program with a 'main' for the target wasm32-wasip1"
    };
    Err(Refusal::NoEntryPoint(why.to_owned()))
}

/// Says of an import of a module whether it is missing.
fn module_import(
    purpose: Purpose,
    engine: &Engine,
) -> Result<impl FnMut(&(String, String)) -> Option<MissingImport>, Refusal> {
    let internal = |error: wasmtime::Error| Refusal::Compile(format!("{error:#}"));
    let linker = match purpose {
        Purpose::Command => preview1::linker(engine).map_err(internal)?,
        Purpose::Interpreter => preview1::interpreter_linker(engine).map_err(internal)?,
    };
    let mut store = Store::new(engine, ModuleGuest::idle());
    Ok(move |(module, name): &(String, String)| {
        let missing = || MissingImport { import: format!("{module}.{name}"), hint: module_hint(module, name) };
        linker.get(&mut store, module, name).is_err().then(missing)
    })
}

fn module_hint(module: &str, name: &str) -> &'static str {
    if name.starts_with("sock_") {
        return "jobs have no network; send the data along with -f";
    }
    match module {
        "wasi_snapshot_preview1" => "all of WASI preview 1 is provided, and this is not part of it",
        "wasi_unstable" => "it was built for an older WASI; build it for wasm32-wasip1",
        "wasi" if name.contains("thread") => "jobs have one thread; build it without threads",
        "env" if name == "memory" => "its memory must be its own; build it without threads and without --import-memory",
        "wbg" | "__wbindgen_placeholder__" => "it was built for a browser; build it for wasm32-wasip1",
        _ => "provided are the functions of WASI preview 1 (wasi_snapshot_preview1)",
    }
}

fn check_component(outline: &Outline) -> Result<(), Refusal> {
    if let Some(missing) = outline.imports.iter().find_map(component_import) {
        return Err(missing.into());
    }
    if outline.exports.iter().any(|export| export.starts_with(RUN)) {
        return Ok(());
    }
    let why = if outline.exports.iter().any(|export| export.starts_with("wasi:http/")) {
        "it answers HTTP requests, and jobs have no network; build it as a command (wasi:cli/run)"
    } else {
        "it does not export 'wasi:cli/run'; build it as a command, with a 'main' for the target wasm32-wasip2"
    };
    Err(Refusal::NoEntryPoint(why.to_owned()))
}

/// Says of an import of a component whether it is missing.
fn component_import((import, _): &(String, String)) -> Option<MissingImport> {
    let is_there = INTERFACES.iter().any(|interface| import.starts_with(interface)) && import.contains("@0.2.");
    (!is_there).then(|| MissingImport { import: import.clone(), hint: component_hint(import) })
}

fn component_hint(import: &str) -> &'static str {
    if import.starts_with("wasi:http/") || import.starts_with("wasi:tls/") {
        "jobs have no network; send the data along with -f"
    } else if import.starts_with("wasi:") && import.contains("@0.3") {
        "it was built for WASI 0.3; build it for wasm32-wasip2"
    } else {
        "provided are the interfaces of WASI 0.2: cli, clocks, filesystem, io, random"
    }
}
