//! What a guest has used of its output, disk and open files. The first limit that bites is remembered: whatever the
//! guest's end looks like afterwards, that limit is its outcome.

use super::disk::DiskGauge;
use crate::limits::{LimitHit, LimitKind, Limits};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The gauges of one run.
pub(super) struct Meter {
    state: Mutex<MeterState>,
}

struct MeterState {
    hit: Option<LimitHit>,
    output_used: u64,
    output_allowed: u64,
    files_open: u64,
    files_allowed: u64,
    disk: DiskGauge,
    /// Streams into files; one that is open may still be written to behind the guest's back.
    streams: usize,
}

/// A limit ended the guest; as an error it unwinds the guest's stack.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LimitReached(pub(super) LimitHit);

impl Meter {
    pub(super) fn new(limits: &Limits, disk: DiskGauge) -> Self {
        let state = MeterState {
            hit: None,
            output_used: 0,
            output_allowed: limits.output_bytes,
            files_open: 0,
            files_allowed: u64::from(limits.open_files),
            disk,
            streams: 0,
        };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, MeterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is printed from now on is charged anew; disk and open files stay what they are.
    pub(super) fn begin_turn(&self, output_allowed: u64) {
        let mut state = self.lock();
        state.hit = None;
        state.output_used = 0;
        state.output_allowed = output_allowed;
    }

    /// The limit that bit first, if any did.
    pub(super) fn hit(&self) -> Option<LimitHit> {
        self.lock().hit.clone()
    }

    /// Remembers that a limit bit.
    pub(super) fn reach(&self, hit: LimitHit) -> LimitReached {
        self.lock().reach(hit)
    }

    /// How many of `len` bytes may be printed, and the limit if that is not all.
    pub(super) fn charge_output(&self, len: usize) -> (usize, Option<LimitReached>) {
        let mut state = self.lock();
        let wanted = state.output_used.saturating_add(len as u64);
        if wanted <= state.output_allowed {
            state.output_used = wanted;
            return (len, None);
        }
        let room = usize::try_from(state.output_allowed - state.output_used).unwrap_or(len).min(len);
        state.output_used = state.output_allowed;
        let hit = LimitHit { kind: LimitKind::Output, used: wanted, allowed: state.output_allowed };
        (room, Some(state.reach(hit)))
    }

    /// Charges what a call may add to the disk, before it is made.
    pub(super) fn charge_disk(&self, len: u64) -> Result<(), LimitReached> {
        let mut state = self.lock();
        state.disk.charge(len).map_err(|hit| state.reach(hit))
    }

    /// Checks, before something is opened, that one more is allowed.
    pub(super) fn check_open(&self) -> Result<(), LimitReached> {
        let mut state = self.lock();
        if state.files_open < state.files_allowed {
            return Ok(());
        }
        let hit = LimitHit { kind: LimitKind::OpenFiles, used: state.files_open + 1, allowed: state.files_allowed };
        Err(state.reach(hit))
    }

    /// How many files and directories are open, besides those that were given.
    pub(super) fn files_open(&self) -> u64 {
        self.lock().files_open
    }

    /// Something was opened.
    pub(super) fn opened(&self) {
        self.lock().files_open += 1;
    }

    /// A stream into a file was opened.
    pub(super) fn stream_opened(&self) {
        self.lock().streams += 1;
    }

    /// A stream into a file was closed, and what was written to it is in the file.
    pub(super) fn stream_closed(&self) {
        self.lock().streams -= 1;
    }

    /// Whether streams into files are open.
    pub(super) fn has_streams(&self) -> bool {
        self.lock().streams > 0
    }

    /// Something was closed. A guest may close what it did not open, its preopened directories.
    pub(super) fn closed(&self) {
        let mut state = self.lock();
        state.files_open = state.files_open.saturating_sub(1);
    }
}

impl MeterState {
    fn reach(&mut self, hit: LimitHit) -> LimitReached {
        LimitReached(self.hit.get_or_insert(hit).clone())
    }
}
