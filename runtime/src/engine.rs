//! How wasmtime is set up. Compiling and running use the same settings, and wasmtime refuses code made under others.

use crate::protocol::Purpose;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use wasmtime::{Config, Engine, MemoryCreator, OptLevel};

/// The version of the engine, as peers and people see it. A test keeps it equal to the one in the lock file.
pub const ENGINE_VERSION: &str = "48.0.8";
/// Stack of a guest's native frames. CPython needs most of it for deep recursion.
pub(crate) const GUEST_STACK_BYTES: usize = 4 << 20;
/// Stack of guest and host frames together; mapped, touched only as far as used.
const ASYNC_STACK_BYTES: usize = 8 << 20;
/// Changes whenever what our linkers provide changes, or how an interpreter is rewritten: cached code counts as checked
/// against the one and made by the other.
pub(crate) const HOST_CONTRACT: u32 = 3;

/// An engine for compiling or running. Interpreters have their memories from `memories` when they run.
pub(crate) fn engine(purpose: Purpose, memories: Option<Arc<dyn MemoryCreator>>) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        // An interpreter's code is rewritten to count for itself, which costs less.
        .consume_fuel(purpose == Purpose::Command)
        // Its rewriting says which of its branches are the meter's, hardly ever taken.
        .wasm_branch_hinting(purpose == Purpose::Interpreter)
        // An interpreter's memory comes from an image of ours, which the engine's own would replace.
        .memory_init_cow(purpose == Purpose::Command)
        .wasm_exceptions(true)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .cranelift_opt_level(OptLevel::Speed)
        // Backtraces name functions without it; it would double the size of large programs.
        .generate_address_map(false)
        // Only native debuggers read it, and registering it costs time at each start.
        .native_unwind_info(false);
    if let Some(memories) = memories {
        config.with_host_memory(memories);
    }
    Engine::new(&config)
}

/// Two engines with the same fingerprint can use each other's code.
pub(crate) fn fingerprint(engine: &Engine, purpose: Purpose) -> u64 {
    let mut hasher = Stable(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    HOST_CONTRACT.hash(&mut hasher);
    (purpose == Purpose::Interpreter).hash(&mut hasher);
    ENGINE_VERSION.hash(&mut hasher);
    hasher.finish()
}

/// A hasher whose result is the same in every process (the standard one's is not promised to be).
struct Stable(blake3::Hasher);

impl Hasher for Stable {
    fn finish(&self) -> u64 {
        let digest = self.0.finalize();
        digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::ENGINE_VERSION;

    #[test]
    fn the_engine_version_is_the_one_in_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{ENGINE_VERSION}\"\n")));
    }
}
