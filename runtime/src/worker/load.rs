//! Loads native code. This is the one place where bytes of a file become instructions of this process.
#![expect(unsafe_code, reason = "native code cannot be verified; it is loaded only from the user's own private cache")]

use std::path::Path;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Loads a module compiled earlier.
pub(super) fn module(engine: &Engine, code: &Path) -> wasmtime::Result<Module> {
    // SAFETY: the path comes from our parent, which hands out only files it found in a directory of mode 0700 owned by
    // this user, of mode 0600, with the length and BLAKE3 recorded when the compiler's worker wrote them, and holds a lock
    // that keeps the file; wasmtime checks that version and settings match.
    unsafe { Module::deserialize_file(engine, code) }
}

/// Loads a component compiled earlier.
pub(super) fn component(engine: &Engine, code: &Path) -> wasmtime::Result<Component> {
    // SAFETY: as for `module`.
    unsafe { Component::deserialize_file(engine, code) }
}
