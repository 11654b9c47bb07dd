//! A door in the first wall, for the test of the second one and for nobody else: a worker that is started through here lets its
//! guests call a function of the test's own, with which they do what native code could. Nothing in Potluck starts one.

use super::preview1::ModuleGuest;
use super::worker_main;
use std::process::ExitCode;
use std::sync::OnceLock;
use wasmtime::{Caller, Extern, Linker, Result};

/// What such a guest calls: the beginning of its memory, and what it says.
pub type Anything = fn(memory: *mut u8, arguments: [i64; 7]) -> i64;

/// The import, as module and name.
const IMPORT: (&str, &str) = ("anything", "call");

static ANYTHING: OnceLock<Anything> = OnceLock::new();

/// The life of a worker whose guests can do anything, with all that confines a worker.
#[doc(hidden)]
#[must_use]
pub fn worker_of_anything(anything: Anything) -> ExitCode {
    ANYTHING.get_or_init(|| anything);
    worker_main()
}

/// Gives guests the function, where there is one.
pub(super) fn add(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    let Some(anything) = ANYTHING.get() else { return Ok(()) };
    let call =
        |mut caller: Caller<'_, ModuleGuest>, call: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64| match caller
            .get_export("memory")
        {
            Some(Extern::Memory(memory)) => Ok(anything(memory.data_ptr(&caller), [call, a, b, c, d, e, f])),
            _ => wasmtime::bail!("it has no memory"),
        };
    linker.func_wrap(IMPORT.0, IMPORT.1, call)?;
    Ok(())
}
