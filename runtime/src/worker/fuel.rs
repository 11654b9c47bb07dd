//! The fuel of an interpreter, whose code counts for itself: it takes from a global, ends when that is below zero, and
//! now and then calls for a pause, in which the worker moves its bytes.

use super::meter::Meter;
use super::preview1::ModuleGuest;
use crate::limits::{LimitHit, LimitKind};
use crate::rewrite::{FUEL_GLOBAL, PAUSE_GLOBAL, PAUSE_IMPORT};
use wasmtime::{Caller, Extern, Global, Instance, Linker, Result, Store, Trap, Val};

/// After this much fuel a guest lets the worker move its bytes; about a millisecond.
pub(super) const FUEL_PER_TURN: u64 = 10_000_000;

/// Adds the call for a pause.
pub(super) fn add_pause(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    let (module, name) = PAUSE_IMPORT;
    linker.func_wrap_async(module, name, |mut caller: Caller<'_, ModuleGuest>, (): ()| {
        Box::new(async move {
            let global = |caller: &mut Caller<'_, ModuleGuest>, name| match caller.get_export(name) {
                Some(Extern::Global(global)) => Ok(global),
                _ => Err(missing(name)),
            };
            let (fuel, mark) = (global(&mut caller, FUEL_GLOBAL)?, global(&mut caller, PAUSE_GLOBAL)?);
            let left = fuel.get(&mut caller).i64().unwrap_or_default();
            if left < 0 {
                let allowed = caller.data().fuel;
                return Err(caller.data().meter.reach(used_up(allowed)).into());
            }
            mark.set(&mut caller, Val::I64(next_mark(left)))?;
            tokio::task::yield_now().await;
            Ok(())
        }) as Box<dyn Future<Output = Result<()>> + Send + '_>
    })?;
    Ok(())
}

/// Gives a fresh instance all it may use.
pub(super) fn fill(store: &mut Store<ModuleGuest>, instance: Instance) -> Result<()> {
    let fuel = i64::try_from(store.data().fuel).unwrap_or(i64::MAX);
    for (name, value) in [(FUEL_GLOBAL, fuel), (PAUSE_GLOBAL, next_mark(fuel))] {
        global(store, instance, name)?.set(&mut *store, Val::I64(value))?;
    }
    Ok(())
}

/// What an instance has used. A trap is the end of its fuel if there was none left, which its meter then remembers.
pub(super) fn settle(
    store: &mut Store<ModuleGuest>,
    instance: Instance,
    result: Option<&Result<i32>>,
    meter: &Meter,
) -> Result<u64> {
    let allowed = store.data().fuel;
    let left = global(store, instance, FUEL_GLOBAL)?.get(&mut *store).i64().unwrap_or_default();
    let Ok(left) = u64::try_from(left) else {
        let trapped = result.is_some_and(|result| {
            result.as_ref().is_err_and(|error| error.downcast_ref() == Some(&Trap::UnreachableCodeReached))
        });
        if trapped {
            meter.reach(used_up(allowed));
        }
        return Ok(allowed);
    };
    Ok(allowed.saturating_sub(left))
}

/// Where the fuel must have fallen to for the next pause.
fn next_mark(left: i64) -> i64 {
    left.saturating_sub_unsigned(FUEL_PER_TURN).max(0)
}

fn global(store: &mut Store<ModuleGuest>, instance: Instance, name: &'static str) -> Result<Global> {
    instance.get_global(store, name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the interpreter does not export {name}"))
}

fn used_up(allowed: u64) -> LimitHit {
    LimitHit { kind: LimitKind::Fuel, used: allowed, allowed }
}
