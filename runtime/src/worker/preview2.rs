//! Preview 2 for components: wasmtime-wasi's own interfaces, with those calls that take disk space or open files replaced
//! by ones that charge for it first and then do the same. Sockets are there because standard libraries import them
//! always; every use of one is refused.

mod entries;
mod stream;

use super::memory::MemoryGauge;
use super::meter::Meter;
use super::randomness;
use super::talk::{Events, PIECE_LEN_MAX, Talk};
use std::future::Future;
use std::sync::Arc;
use stream::{EventsStream, MeteredStream};
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceTable, ResourceType};
use wasmtime::{Engine, Result, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor};
use wasmtime_wasi::p2::{FsResult, OutputStream};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The instance whose calls are replaced, under the very name wasmtime-wasi defines it by.
const FILES: &str = "wasi:filesystem/types@0.2.12";

/// What the store of a component holds.
pub(super) struct ComponentGuest {
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) memory: MemoryGauge,
    pub(super) meter: Arc<Meter>,
    pub(super) talk: Talk,
}

impl WasiView for ComponentGuest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What components may import.
pub(super) fn linker(engine: &Engine) -> Result<Linker<ComponentGuest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    check_name(&mut linker)?;
    linker.allow_shadowing(true);
    let mut files = linker.instance(FILES)?;
    add_writes(&mut files)?;
    add_streams(&mut files)?;
    entries::add_making(&mut files)?;
    entries::add_moving(&mut files)?;
    entries::add_opening(&mut files)?;
    entries::add_listing(&mut files)?;
    entries::add_given(&mut linker)?;
    randomness::add_to_components(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// Fails unless [`FILES`] is what wasmtime-wasi defines. Under any other name the limits would stand beside its own
/// functions, and a guest would get those that charge nothing.
fn check_name(linker: &mut Linker<ComponentGuest>) -> Result<()> {
    let free =
        linker.instance(FILES)?.resource("descriptor", ResourceType::host::<Descriptor>(), |_, _| Ok(())).is_ok();
    if free {
        wasmtime::bail!("this build of the engine has no {FILES}, so the limits on files would not hold");
    }
    Ok(())
}

type Guest<'a> = StoreContextMut<'a, ComponentGuest>;
type Call<'a, T> = Box<dyn Future<Output = Result<(Answer<T>,)>> + Send + 'a>;
type Answer<T> = std::result::Result<T, ErrorCode>;

/// A result as the guest gets it: its error code, or a trap.
fn answer<T>(result: FsResult<T>) -> Result<(Answer<T>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn add_writes(files: &mut LinkerInstance<'_, ComponentGuest>) -> Result<()> {
    files.func_wrap_async(
        "[method]descriptor.write",
        |mut store: Guest<'_>, (fd, bytes, offset): (Resource<Descriptor>, Vec<u8>, u64)| {
            Box::new(async move {
                let guest = store.data_mut();
                if let Some(events) = guest.talk.listener(fd.rep()) {
                    for piece in bytes.chunks(PIECE_LEN_MAX as usize) {
                        events.hear(piece).await;
                    }
                    return Ok((Ok(bytes.len() as u64),));
                }
                guest.meter.charge_disk(bytes.len() as u64)?;
                answer(guest.filesystem().write(fd, bytes, offset).await)
            }) as Call<'_, u64>
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.set-size",
        |mut store: Guest<'_>, (fd, size): (Resource<Descriptor>, u64)| {
            Box::new(async move {
                let guest = store.data_mut();
                guest.meter.charge_disk(size)?;
                answer(guest.filesystem().set_size(fd, size).await)
            }) as Call<'_, ()>
        },
    )
}

fn add_streams(files: &mut LinkerInstance<'_, ComponentGuest>) -> Result<()> {
    files.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: Guest<'_>, (fd, offset): (Resource<Descriptor>, u64)| {
            let guest = store.data_mut();
            if let Some(events) = guest.talk.listener(fd.rep()) {
                return answer(listening(guest, events));
            }
            let stream = guest.filesystem().write_via_stream(fd, offset);
            answer(stream.and_then(|stream| metered(guest, stream)))
        },
    )?;
    files.func_wrap("[method]descriptor.append-via-stream", |mut store: Guest<'_>, (fd,): (Resource<Descriptor>,)| {
        let guest = store.data_mut();
        if let Some(events) = guest.talk.listener(fd.rep()) {
            return answer(listening(guest, events));
        }
        let stream = guest.filesystem().append_via_stream(fd);
        answer(stream.and_then(|stream| metered(guest, stream)))
    })
}

/// A stream into the events file.
fn listening(guest: &mut ComponentGuest, events: Arc<Events>) -> FsResult<Resource<Box<dyn OutputStream>>> {
    let stream: Box<dyn OutputStream> = Box::new(EventsStream::new(events));
    Ok(guest.table.push(stream)?)
}

/// Puts a charging stream in the place of a stream.
fn metered(
    guest: &mut ComponentGuest,
    stream: Resource<Box<dyn OutputStream>>,
) -> FsResult<Resource<Box<dyn OutputStream>>> {
    let inner = guest.table.delete(stream)?;
    let metered: Box<dyn OutputStream> = Box::new(MeteredStream::new(inner, guest.meter.clone()));
    Ok(guest.table.push(metered)?)
}
