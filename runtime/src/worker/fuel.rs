//! The fuel of an interpreter, whose code counts for itself: a global that it takes from and, when that is below zero, a
//! call for more. Each call is also where the guest lets the worker move its bytes.

use super::meter::LimitReached;
use super::preview1::ModuleGuest;
use crate::limits::{LimitHit, LimitKind};
use crate::rewrite::{FUEL_GLOBAL, REFUEL};
use wasmtime::{AsContextMut, Caller, Extern, Global, Instance, Linker, Result, Store, Val};

/// After this much fuel a guest lets the worker move its bytes; about a millisecond.
pub(super) const FUEL_PER_TURN: u64 = 10_000_000;

/// What a guest may still be given.
#[derive(Debug)]
pub(super) struct FuelTank {
    allowed: u64,
    left: u64,
}

impl FuelTank {
    pub(super) fn new(allowed: u64) -> Self {
        Self { allowed, left: allowed }
    }

    /// The next portion for a guest whose global stands at `level`; nothing if all is used.
    fn pour(&mut self, level: i64) -> Option<i64> {
        let debt = level.min(0).unsigned_abs();
        if debt >= self.left && (debt > 0 || self.left == 0) {
            self.left = 0;
            return None;
        }
        self.left -= debt;
        let portion = self.left.min(FUEL_PER_TURN);
        self.left -= portion;
        i64::try_from(portion).ok().map(|portion| level.max(0).saturating_add(portion))
    }

    /// What was used, if the guest's global stands at `level`.
    fn used(&self, level: i64) -> u64 {
        self.allowed.saturating_sub(self.left).saturating_sub(level.max(0).unsigned_abs())
    }

    fn empty(&self) -> LimitHit {
        LimitHit { kind: LimitKind::Fuel, used: self.allowed, allowed: self.allowed }
    }
}

/// Adds the call for more fuel.
pub(super) fn add_refuel(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    let (module, name) = REFUEL;
    linker.func_wrap_async(module, name, |mut caller: Caller<'_, ModuleGuest>, (): ()| {
        Box::new(async move {
            let Some(Extern::Global(global)) = caller.get_export(FUEL_GLOBAL) else {
                wasmtime::bail!("the interpreter does not export {FUEL_GLOBAL}");
            };
            refill(caller.as_context_mut(), global)?;
            tokio::task::yield_now().await;
            Ok(())
        }) as Box<dyn Future<Output = Result<()>> + Send + '_>
    })?;
    Ok(())
}

/// Gives a fresh instance its first portion.
pub(super) fn fill(store: &mut Store<ModuleGuest>, instance: Instance) -> Result<()> {
    let Some(global) = instance.get_global(&mut *store, FUEL_GLOBAL) else {
        return Ok(()); // TEMP
    };
    global.set(&mut *store, Val::I64(0))?;
    refill(store.as_context_mut(), global)
}

fn refill(mut store: wasmtime::StoreContextMut<'_, ModuleGuest>, global: Global) -> Result<()> {
    let level = global.get(&mut store).i64().unwrap_or_default();
    let guest = store.data_mut();
    let Some(level) = guest.fuel.pour(level) else {
        let hit = guest.fuel.empty();
        let reached: LimitReached = guest.meter.reach(hit);
        return Err(reached.into());
    };
    global.set(&mut store, Val::I64(level))
}

/// What an instance has used so far.
pub(super) fn used(store: &mut Store<ModuleGuest>, instance: Option<Instance>) -> u64 {
    let global = instance.and_then(|instance| instance.get_global(&mut *store, FUEL_GLOBAL));
    let level = global.and_then(|global| global.get(&mut *store).i64()).unwrap_or_default();
    store.data().fuel.used(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tank_gives_all_it_has_and_no_more() {
        let mut tank = FuelTank::new(2 * FUEL_PER_TURN + 5);
        assert_eq!(tank.pour(0), Some(FUEL_PER_TURN as i64));
        assert_eq!(tank.used(FUEL_PER_TURN as i64), 0);
        assert_eq!(tank.used(10), FUEL_PER_TURN - 10);
        assert_eq!(tank.pour(-3), Some(FUEL_PER_TURN as i64));
        assert_eq!(tank.pour(-1), Some(1), "what was overdrawn is paid from the next portion");
        assert_eq!(tank.used(1), tank.allowed - 1);
        assert_eq!(tank.pour(-1), None);
        assert_eq!(tank.used(-1), tank.allowed);
    }

    #[test]
    fn no_fuel_is_none_at_all() {
        assert_eq!(FuelTank::new(0).pour(0), None);
        let mut tank = FuelTank::new(5);
        assert_eq!(tank.pour(-5), None, "a debt of all that is left leaves nothing to run on");
        assert_eq!(tank.used(-5), 5);
    }
}
