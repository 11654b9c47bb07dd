//! The memory limit: all linear memories and tables of a run together, and what its host holds for it. Growth beyond it ends the run there and then; answering the
//! guest with a failed `memory.grow` would leave each language to invent its own way of dying.

use super::meter::{LimitReached, Meter};
use crate::limits::{LimitHit, LimitKind};
use std::sync::Arc;
use wasmtime::{ResourceLimiter, ResourcesRequired};

/// The most elements of one table; CPython's largest has 30,000.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// What one element of a table takes at most.
const TABLE_ELEMENT_BYTES: u64 = 16;
/// The most tables, memories and instances of one run; a component brings several of each.
const TABLES_MAX: usize = 64;
const MEMORIES_MAX: usize = 64;
const INSTANCES_MAX: usize = 256;

/// How much memory a run holds and held at most.
pub(super) struct MemoryGauge {
    allowed: u64,
    held: u64,
    peak: u64,
    /// What the last granted growth added, until it is known to have worked.
    last: u64,
    meter: Arc<Meter>,
}

impl MemoryGauge {
    pub(super) fn new(allowed: u64, meter: Arc<Meter>) -> Self {
        Self { allowed, held: 0, peak: 0, last: 0, meter }
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// Counts memory that an image brings beyond what the module asks for.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), LimitReached> {
        self.grow(bytes)
    }

    /// Memory that was held is given back.
    pub(super) fn let_go(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// Refuses a program that needs more memories or tables than one may have.
    pub(super) fn admit(&self, required: &ResourcesRequired) -> Result<(), LimitReached> {
        let most = [
            (LimitKind::Memories, required.num_memories, MEMORIES_MAX),
            (LimitKind::Tables, required.num_tables, TABLES_MAX),
        ];
        for (kind, used, allowed) in most {
            let (used, allowed) = (u64::from(used), allowed as u64);
            if used > allowed {
                return Err(self.meter.reach(LimitHit { kind, used, allowed }));
            }
        }
        Ok(())
    }

    fn grow(&mut self, bytes: u64) -> Result<(), LimitReached> {
        let used = self.held.saturating_add(bytes);
        if used > self.allowed {
            let hit = LimitHit { kind: LimitKind::Memory, used, allowed: self.allowed };
            return Err(self.meter.reach(hit));
        }
        self.last = bytes;
        self.held = used;
        self.peak = self.peak.max(used);
        Ok(())
    }

    /// The growth granted last did not work.
    fn take_back(&mut self) {
        self.held -= std::mem::take(&mut self.last).min(self.held);
    }
}

impl ResourceLimiter for MemoryGauge {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The module's own bound, and its own business.
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current) as u64)?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > TABLE_ELEMENTS_MAX {
            let (used, allowed) = (desired as u64, TABLE_ELEMENTS_MAX as u64);
            return Err(self.meter.reach(LimitHit { kind: LimitKind::TableElements, used, allowed }).into());
        }
        self.grow(desired.saturating_sub(current) as u64 * TABLE_ELEMENT_BYTES)?;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
