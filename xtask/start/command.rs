//! The start-up object that rustc links into a WASI command (crt1-command.o): constructors, main, destructors, exit
//! code. A module that was started once cannot be started again. It is the same as `command.c`, for a machine that
//! makes the Rust compiler only, and is compiled for the guest, never as part of this workspace.
#![no_std]

use core::ffi::c_int;

unsafe extern "C" {
    fn __wasm_call_ctors();
    fn __main_void() -> c_int;
    fn __wasm_call_dtors();
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    #[link_name = "proc_exit"]
    fn start_exit(code: c_int) -> !;
}

static mut STARTED: bool = false;

/// # Safety
/// The host calls it, once: it runs the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _start() {
    // SAFETY: the guest has one thread, and the symbols are those that the linker and wasi-libc provide for this use.
    unsafe {
        let started = &raw mut STARTED;
        if started.read_volatile() {
            core::arch::wasm32::unreachable()
        }
        started.write_volatile(true);
        __wasm_call_ctors();
        let code = __main_void();
        __wasm_call_dtors();
        if code != 0 {
            start_exit(code)
        }
    }
}
