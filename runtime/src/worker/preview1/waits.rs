//! What may wait for long: an interrupt of a session's turn ends it as a signal would.

use super::{BUFFERS_MAX, Call, INVALID, MODULE, ModuleGuest, are_too_many, parts};
use crate::worker::interrupts::Interrupts;
use std::future::Future;
use std::sync::Arc;
use wasmtime::{Caller, Linker, Result};
use wasmtime_wasi::p1::wasi_snapshot_preview1 as preview1;

/// `__WASI_ERRNO_INTR`.
const INTERRUPTED: i32 = 27;
/// The most things one call waits for. Each takes memory of the host's until it is over.
const WAITS_MAX: i32 = 4096;

pub(super) fn add(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, ModuleGuest>, (on, out, count, events): (i32, i32, i32, i32)| {
            Box::new(async move {
                if are_too_many(count, WAITS_MAX) {
                    return Ok(INVALID);
                }
                let (mut memory, guest) = parts(&mut caller)?;
                let interrupts = guest.interrupts.clone();
                let wait = preview1::poll_oneoff(&mut guest.wasi, &mut memory, on, out, count, events);
                or_interrupted(wait, interrupts).await
            }) as Call<'_>
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_read",
        |mut caller: Caller<'_, ModuleGuest>, (fd, at, count, out): (i32, i32, i32, i32)| {
            Box::new(async move {
                if are_too_many(count, BUFFERS_MAX) {
                    return Ok(INVALID);
                }
                let (mut memory, guest) = parts(&mut caller)?;
                let interrupts = guest.interrupts.clone().filter(|_| guest.is_stdio(fd));
                let wait = preview1::fd_read(&mut guest.wasi, &mut memory, fd, at, count, out);
                or_interrupted(wait, interrupts).await
            }) as Call<'_>
        },
    )?;
    Ok(())
}

async fn or_interrupted(wait: impl Future<Output = Result<i32>>, interrupts: Option<Arc<Interrupts>>) -> Result<i32> {
    let Some(interrupts) = interrupts else { return wait.await };
    tokio::select! {
        // What is there already is not lost.
        biased;
        errno = wait => errno,
        () = interrupts.raised() => Ok(INTERRUPTED),
    }
}
