//! Randomness is charged before it is drawn, and drawn in pieces, between which the worker moves its bytes and watches its
//! time: a single call may ask for gigabytes.

use super::preview1::{Call, MODULE, ModuleGuest, SUCCESS, parts};
use super::preview2::ComponentGuest;
use std::future::Future;
use wasmtime::component::Linker as ComponentLinker;
use wasmtime::{Caller, Linker, Result, StoreContextMut};
use wasmtime_wasi::p1::wasi_snapshot_preview1 as preview1;
use wasmtime_wasi::p2::bindings::random::{insecure, random};
use wasmtime_wasi::random::WasiRandomCtx;

/// How much is drawn at once; a fraction of a millisecond's worth.
const PIECE_LEN: u32 = 64 << 10;
/// The most a component gets by one call: what it gets is made here first.
const CALL_LEN_MAX: u64 = 64 << 20;
/// What a number takes.
const NUMBER_LEN: u64 = 8;
/// The instances whose calls are replaced, under the very names wasmtime-wasi defines them by.
const RANDOM: &str = "wasi:random/random@0.2.12";
const INSECURE: &str = "wasi:random/insecure@0.2.12";

pub(super) fn add_to_modules(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(MODULE, "random_get", |mut caller: Caller<'_, ModuleGuest>, (at, len): (i32, i32)| {
        Box::new(async move {
            let (mut memory, guest) = parts(&mut caller)?;
            let (mut at, mut left) = (at.cast_unsigned(), len.cast_unsigned());
            guest.meter.charge_random(left.into())?;
            while left > 0 {
                let piece = left.min(PIECE_LEN);
                let (to, len) = (at.cast_signed(), piece.cast_signed());
                let errno = preview1::random_get(&mut guest.wasi, &mut memory, to, len)?;
                if errno != SUCCESS {
                    return Ok(errno);
                }
                left -= piece;
                // Past the end of what 32 bits address there is no memory either, which the next piece meets.
                at = at.saturating_add(piece);
                tokio::task::yield_now().await;
            }
            Ok(SUCCESS)
        }) as Call<'_>
    })?;
    Ok(())
}

type Guest<'a> = StoreContextMut<'a, ComponentGuest>;
type Bytes<'a> = Box<dyn Future<Output = Result<(Vec<u8>,)>> + Send + 'a>;

pub(super) fn add_to_components(linker: &mut ComponentLinker<ComponentGuest>) -> Result<()> {
    let mut secure = linker.instance(RANDOM)?;
    secure.func_wrap_async("get-random-bytes", |mut store: Guest<'_>, (len,): (u64,)| {
        Box::new(async move { bytes(store.data_mut(), len, random::Host::get_random_bytes).await }) as Bytes<'_>
    })?;
    secure.func_wrap("get-random-u64", |mut store: Guest<'_>, (): ()| {
        let guest = store.data_mut();
        guest.meter.charge_random(NUMBER_LEN)?;
        Ok((random::Host::get_random_u64(guest.wasi.random())?,))
    })?;
    let mut quick = linker.instance(INSECURE)?;
    quick.func_wrap_async("get-insecure-random-bytes", |mut store: Guest<'_>, (len,): (u64,)| {
        Box::new(async move { bytes(store.data_mut(), len, insecure::Host::get_insecure_random_bytes).await })
            as Bytes<'_>
    })?;
    quick.func_wrap("get-insecure-random-u64", |mut store: Guest<'_>, (): ()| {
        let guest = store.data_mut();
        guest.meter.charge_random(NUMBER_LEN)?;
        Ok((insecure::Host::get_insecure_random_u64(guest.wasi.random())?,))
    })
}

async fn bytes(
    guest: &mut ComponentGuest,
    len: u64,
    draw: impl Fn(&mut WasiRandomCtx, u64) -> Result<Vec<u8>>,
) -> Result<(Vec<u8>,)> {
    guest.meter.charge_random(len)?;
    if len > CALL_LEN_MAX {
        wasmtime::bail!("{len} random bytes were asked for by one call, which gives {CALL_LEN_MAX} at most");
    }
    let mut bytes = Vec::new();
    while let left @ 1.. = len - bytes.len() as u64 {
        bytes.extend(draw(guest.wasi.random(), left.min(PIECE_LEN.into()))?);
        tokio::task::yield_now().await;
    }
    Ok((bytes,))
}
