//! Loads native code. This is the one place where bytes of a file become instructions of this process.
#![expect(unsafe_code, reason = "native code cannot be verified; it is loaded only from the user's own private cache")]

use std::fs::File;
use std::io::Read;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Loads a module compiled earlier.
pub(super) fn module(engine: &Engine, code: File) -> wasmtime::Result<Module> {
    // SAFETY: the file comes from our parent, which hands over only files it found in a directory of mode 0700 owned by
    // this user, of mode 0600, with the length and BLAKE3 recorded when the compiler's worker wrote them, and holds a lock
    // that keeps the file; wasmtime checks that version and settings match.
    unsafe { Module::deserialize_open_file(engine, code) }
}

/// Loads a component compiled earlier.
pub(super) fn component(engine: &Engine, mut code: File) -> wasmtime::Result<Component> {
    let mut bytes = Vec::new();
    code.read_to_end(&mut bytes)?;
    // SAFETY: as for `module`.
    unsafe { Component::deserialize(engine, bytes) }
}
