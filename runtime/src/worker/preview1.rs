//! Preview 1 for modules: wasmtime-wasi's own functions, with those that take disk space or open files replaced by ones
//! that charge for it first and then do the same.

use super::disk::{DiskGauge, ENTRY_BYTES};
use super::fuel;
use super::interrupts::Interrupts;
use super::memory::MemoryGauge;
use super::meter::Meter;
use crate::limits::Limits;
use std::future::Future;
use std::sync::Arc;
use wasmtime::{AsContextMut, Caller, Engine, Extern, Linker, Result};
use wasmtime_wasi::p1::{self, WasiP1Ctx, wasi_snapshot_preview1 as preview1};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};
use wiggle::GuestMemory;

const MODULE: &str = "wasi_snapshot_preview1";
/// `__WASI_ERRNO_SUCCESS`.
const SUCCESS: i32 = 0;
/// `__WASI_ERRNO_INTR`.
const INTERRUPTED: i32 = 27;
/// `__WASI_OFLAGS_CREAT`.
const OFLAGS_CREAT: i32 = 1;
/// Standard streams have their own limit.
const STDIO: std::ops::Range<i32> = 0..3;
/// What `host.call` answers where there is no host to call.
const NO_HOST: i32 = -1;

/// What the store of a module holds.
pub(super) struct ModuleGuest {
    pub(super) wasi: WasiP1Ctx,
    pub(super) memory: MemoryGauge,
    pub(super) meter: Arc<Meter>,
    /// What an interpreter may use in all; other modules' fuel is counted by the engine.
    pub(super) fuel: u64,
    /// Which of the standard descriptors the guest has put something else in the place of.
    pub(super) replaced: [bool; 3],
    /// Where a session's turn hears that it is to end.
    pub(super) interrupts: Option<Arc<Interrupts>>,
}

impl ModuleGuest {
    /// A guest that has nothing and may use nothing; for looking things up in a linker.
    pub(super) fn idle() -> std::io::Result<Self> {
        let limits = Limits { output_bytes: 0, disk_bytes: 0, open_files: 0, memory_bytes: 0, ..Limits::default() };
        let meter = Arc::new(Meter::new(&limits, DiskGauge::new(Vec::new(), 0)?));
        let wasi = WasiCtxBuilder::new().build_p1();
        Ok(Self {
            wasi,
            memory: MemoryGauge::new(0, meter.clone()),
            meter,
            fuel: 0,
            replaced: [false; 3],
            interrupts: None,
        })
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
    add_entries(&mut linker)?;
    add_opens(&mut linker)?;
    add_closes(&mut linker)?;
    add_exit(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// What interpreters may import: also fuel, and a host to call, which answers that there is none.
pub(super) fn interpreter_linker(engine: &Engine) -> Result<Linker<ModuleGuest>> {
    let mut linker = linker(engine)?;
    linker.func_wrap("host", "call", |_: i32, _: i32, _: i32, _: i32| NO_HOST)?;
    fuel::add_pause(&mut linker)?;
    linker.allow_shadowing(true);
    add_waits(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

type Call<'a> = Box<dyn Future<Output = Result<i32>> + Send + 'a>;

/// The guest's memory and state, as the functions of preview 1 want them.
fn parts<'a>(caller: &'a mut Caller<'_, ModuleGuest>) -> Result<(GuestMemory<'a>, &'a mut ModuleGuest)> {
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

/// The sum of the lengths in an array of `(pointer, length)`.
fn iovec_len(memory: &GuestMemory<'_>, at: i32, count: i32) -> Result<u64> {
    let mut total = 0u64;
    for index in 0..count.cast_unsigned() {
        let offset = index.checked_mul(8).and_then(|offset| offset.checked_add(4));
        let at = offset.and_then(|offset| at.cast_unsigned().checked_add(offset));
        let Some(at) = at else { wasmtime::bail!("pointer overflow in an array of buffers") };
        total += u64::from(memory.read(wiggle::GuestPtr::<u32>::new(at))?);
    }
    Ok(total)
}

fn add_writes(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, ModuleGuest>, (fd, at, count, out): (i32, i32, i32, i32)| {
            Box::new(async move {
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

fn add_entries(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_create_directory",
        |mut caller: Caller<'_, ModuleGuest>, (fd, path, len): (i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                guest.meter.charge_disk(ENTRY_BYTES)?;
                preview1::path_create_directory(&mut guest.wasi, &mut memory, fd, path, len).await
            }) as Call<'_>
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_symlink",
        |mut caller: Caller<'_, ModuleGuest>, (old, old_len, fd, new, new_len): (i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                guest.meter.charge_disk(ENTRY_BYTES)?;
                preview1::path_symlink(&mut guest.wasi, &mut memory, old, old_len, fd, new, new_len).await
            }) as Call<'_>
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_link",
        |mut caller: Caller<'_, ModuleGuest>,
         (old_fd, flags, old, old_len, new_fd, new, new_len): (i32, i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                guest.meter.charge_disk(ENTRY_BYTES)?;
                let wasi = &mut guest.wasi;
                preview1::path_link(wasi, &mut memory, old_fd, flags, old, old_len, new_fd, new, new_len).await
            }) as Call<'_>
        },
    )?;
    Ok(())
}

fn add_opens(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_open",
        |mut caller: Caller<'_, ModuleGuest>,
         (fd, lookup, path, len, flags, rights, inheriting, fd_flags, out): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i64,
            i64,
            i32,
            i32,
        )| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                guest.meter.check_open()?;
                if flags & OFLAGS_CREAT != 0 {
                    guest.meter.charge_disk(ENTRY_BYTES)?;
                }
                let wasi = &mut guest.wasi;
                let errno = preview1::path_open(
                    wasi,
                    &mut memory,
                    fd,
                    lookup,
                    path,
                    len,
                    flags,
                    rights,
                    inheriting,
                    fd_flags,
                    out,
                )
                .await?;
                if errno == SUCCESS {
                    guest.meter.opened();
                }
                Ok(errno)
            }) as Call<'_>
        },
    )?;
    Ok(())
}

/// What may wait for long: an interrupt ends it as a signal would.
fn add_waits(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, ModuleGuest>, (on, out, count, events): (i32, i32, i32, i32)| {
            Box::new(async move {
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

/// What gives a descriptor back.
fn add_closes(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(MODULE, "fd_close", |mut caller: Caller<'_, ModuleGuest>, (fd,): (i32,)| {
        Box::new(async move {
            let (mut memory, guest) = parts(&mut caller)?;
            let stdio = guest.is_stdio(fd);
            let errno = preview1::fd_close(&mut guest.wasi, &mut memory, fd).await?;
            if errno == SUCCESS {
                if !stdio {
                    guest.meter.closed();
                }
                mark_replaced(guest, fd);
            }
            Ok(errno)
        }) as Call<'_>
    })?;
    linker.func_wrap_async(MODULE, "fd_renumber", |mut caller: Caller<'_, ModuleGuest>, (from, to): (i32, i32)| {
        Box::new(async move {
            let (mut memory, guest) = parts(&mut caller)?;
            let stdio = guest.is_stdio(to);
            let errno = preview1::fd_renumber(&mut guest.wasi, &mut memory, from, to).await?;
            if errno == SUCCESS && from != to {
                if !stdio {
                    guest.meter.closed();
                }
                mark_replaced(guest, from);
                mark_replaced(guest, to);
            }
            Ok(errno)
        }) as Call<'_>
    })?;
    Ok(())
}

/// Every exit code is the program's own, cut to a byte as the systems it was written for do; wasmtime-wasi's function
/// traps from 126 on.
fn add_exit(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> { Err(I32Exit(code & 0xff).into()) })?;
    Ok(())
}

/// From now on this number may mean a file.
fn mark_replaced(guest: &mut ModuleGuest, fd: i32) {
    if let Some(replaced) = usize::try_from(fd).ok().and_then(|fd| guest.replaced.get_mut(fd)) {
        *replaced = true;
    }
}
