//! Preview 1 for modules: wasmtime-wasi's own functions, with those that take disk space or open files replaced by ones
//! that charge for it first and then do the same.

mod entries;
mod waits;

use super::anything;
use super::disk::DiskGauge;
use super::fuel;
use super::interrupts::Interrupts;
use super::memory::MemoryGauge;
use super::meter::Meter;
use super::randomness;
use super::talk::{Events, PIECE_LEN_MAX, Talk};
use crate::limits::Limits;
use crate::protocol::Given;
use std::future::Future;
use std::sync::Arc;
use wasmtime::{AsContextMut, Caller, Engine, Extern, Linker, Result};
use wasmtime_wasi::p1::{self, WasiP1Ctx, wasi_snapshot_preview1 as preview1};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};
use wiggle::{GuestMemory, GuestPtr};

pub(super) const MODULE: &str = "wasi_snapshot_preview1";
/// `__WASI_ERRNO_SUCCESS`.
pub(super) const SUCCESS: i32 = 0;
/// `__WASI_ERRNO_INVAL`.
const INVALID: i32 = 28;
/// The most buffers of one call, as in Linux; each is looked at before the call is made.
const BUFFERS_MAX: i32 = 1024;
/// Standard streams have their own limit.
const STDIO: std::ops::Range<i32> = 0..3;
/// What `host.call` answers where there is no host to call.
const NO_HOST: i32 = -1;

/// What the store of a module holds.
pub(super) struct ModuleGuest {
    pub(super) wasi: WasiP1Ctx,
    pub(super) memory: MemoryGauge,
    pub(super) meter: Arc<Meter>,
    pub(super) talk: Talk,
    /// What an interpreter may use in all; other modules' fuel is counted by the engine.
    pub(super) fuel: u64,
    /// Which of the standard descriptors the guest has put something else in the place of.
    pub(super) replaced: [bool; 3],
    /// Where a session's turn hears that it is to end.
    pub(super) interrupts: Option<Arc<Interrupts>>,
}

impl ModuleGuest {
    /// A guest that has nothing and may use nothing; for looking things up in a linker.
    pub(super) fn idle() -> Self {
        let limits = Limits { output_bytes: 0, disk_bytes: 0, open_files: 0, memory_bytes: 0, ..Limits::default() };
        let disk = DiskGauge::new(Vec::new(), &limits, Given::default());
        let meter = Arc::new(Meter::new(&limits, disk));
        let wasi = WasiCtxBuilder::new().build_p1();
        Self {
            wasi,
            memory: MemoryGauge::new(0, meter.clone()),
            meter,
            talk: Talk::none(),
            fuel: 0,
            replaced: [false; 3],
            interrupts: None,
        }
    }

    fn is_stdio(&self, fd: i32) -> bool {
        STDIO.contains(&fd) && usize::try_from(fd).is_ok_and(|fd| !self.replaced[fd])
    }
}

/// What modules may import.
pub(super) fn linker(engine: &Engine) -> Result<Linker<ModuleGuest>> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |guest: &mut ModuleGuest| &mut guest.wasi)?;
    linker.allow_shadowing(true);
    add_writes(&mut linker)?;
    entries::add_making(&mut linker)?;
    entries::add_moving(&mut linker)?;
    entries::add_opening(&mut linker)?;
    entries::add_closing(&mut linker)?;
    waits::add(&mut linker)?;
    randomness::add_to_modules(&mut linker)?;
    add_exit(&mut linker)?;
    linker.allow_shadowing(false);
    anything::add(&mut linker)?;
    Ok(linker)
}

/// What interpreters may import: also fuel, and a host to call, which answers that there is none.
pub(super) fn interpreter_linker(engine: &Engine) -> Result<Linker<ModuleGuest>> {
    let mut linker = linker(engine)?;
    linker.func_wrap("host", "call", |_: i32, _: i32, _: i32, _: i32| NO_HOST)?;
    fuel::add_pause(&mut linker)?;
    Ok(linker)
}

pub(super) type Call<'a> = Box<dyn Future<Output = Result<i32>> + Send + 'a>;

/// The guest's memory and state, as the functions of preview 1 want them.
pub(super) fn parts<'a>(caller: &'a mut Caller<'_, ModuleGuest>) -> Result<(GuestMemory<'a>, &'a mut ModuleGuest)> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => {
            let (bytes, guest) = memory.data_and_store_mut(caller);
            wiggle_fuel(guest, fuel);
            Ok((GuestMemory::Unshared(bytes), guest))
        }
        _ => wasmtime::bail!("missing required memory export"),
    }
}

fn wiggle_fuel(guest: &mut ModuleGuest, fuel: usize) {
    preview1::WasiSnapshotPreview1::set_hostcall_fuel(&mut guest.wasi, fuel);
}

/// Whether one call may have so many buffers or waits; beyond, it would take long before it can be stopped.
fn are_too_many(count: i32, max: i32) -> bool {
    !(0..=max).contains(&count)
}

/// The sum of the lengths in an array of `(pointer, length)`.
fn iovec_len(memory: &GuestMemory<'_>, at: i32, count: i32) -> Result<u64> {
    let mut total = 0u64;
    for index in 0..count.cast_unsigned() {
        let offset = index.checked_mul(8).and_then(|offset| offset.checked_add(4));
        let at = offset.and_then(|offset| at.cast_unsigned().checked_add(offset));
        let Some(at) = at else { wasmtime::bail!("pointer overflow in an array of buffers") };
        total += u64::from(memory.read(GuestPtr::<u32>::new(at))?);
    }
    Ok(total)
}

/// Gives the host what the buffers of a write hold, and says that all of it was written.
async fn say(caller: &mut Caller<'_, ModuleGuest>, events: &Events, (at, count, out): (i32, i32, i32)) -> Result<i32> {
    let (mut memory, _) = parts(caller)?;
    // No buffer lies beyond the address space.
    iovec_len(&memory, at, count)?;
    let mut written = 0u32;
    for index in 0..count.cast_unsigned() {
        let buffer = at.cast_unsigned() + 8 * index;
        let start = memory.read(GuestPtr::<u32>::new(buffer))?;
        let len = memory.read(GuestPtr::<u32>::new(buffer + 4))?;
        let mut said = 0;
        while said < len {
            let piece = PIECE_LEN_MAX.min(len - said);
            let Some(from) = start.checked_add(said) else { return Ok(INVALID) };
            let bytes = memory.as_cow(GuestPtr::<[u8]>::new((from, piece)))?.into_owned();
            events.hear(&bytes).await;
            said += piece;
        }
        let Some(sum) = written.checked_add(len) else { return Ok(INVALID) };
        written = sum;
    }
    memory.write(GuestPtr::<u32>::new(out.cast_unsigned()), written)?;
    Ok(SUCCESS)
}

fn add_writes(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, ModuleGuest>, (fd, at, count, out): (i32, i32, i32, i32)| {
            Box::new(async move {
                if are_too_many(count, BUFFERS_MAX) {
                    return Ok(INVALID);
                }
                if let Some(events) = caller.data().talk.listener(fd.cast_unsigned()) {
                    return say(&mut caller, &events, (at, count, out)).await;
                }
                let (mut memory, guest) = parts(&mut caller)?;
                let stdio = guest.is_stdio(fd);
                if !stdio {
                    guest.meter.charge_disk(iovec_len(&memory, at, count)?)?;
                }
                let errno = preview1::fd_write(&mut guest.wasi, &mut memory, fd, at, count, out).await?;
                if stdio {
                    // What is printed goes out now: an interpreter may compute for long before it pauses.
                    tokio::task::yield_now().await;
                }
                Ok(errno)
            }) as Call<'_>
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_pwrite",
        |mut caller: Caller<'_, ModuleGuest>, (fd, at, count, offset, out): (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                if are_too_many(count, BUFFERS_MAX) {
                    return Ok(INVALID);
                }
                if let Some(events) = caller.data().talk.listener(fd.cast_unsigned()) {
                    return say(&mut caller, &events, (at, count, out)).await;
                }
                let (mut memory, guest) = parts(&mut caller)?;
                guest.meter.charge_disk(iovec_len(&memory, at, count)?)?;
                preview1::fd_pwrite(&mut guest.wasi, &mut memory, fd, at, count, offset, out).await
            }) as Call<'_>
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_filestat_set_size",
        |mut caller: Caller<'_, ModuleGuest>, (fd, size): (i32, i64)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                guest.meter.charge_disk(size.cast_unsigned())?;
                preview1::fd_filestat_set_size(&mut guest.wasi, &mut memory, fd, size).await
            }) as Call<'_>
        },
    )?;
    Ok(())
}

/// Every exit code is the program's own, cut to a byte as the systems it was written for do; wasmtime-wasi's function
/// traps from 126 on.
fn add_exit(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> { Err(I32Exit(code & 0xff).into()) })?;
    Ok(())
}
