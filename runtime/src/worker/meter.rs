//! What a guest has used of its output, disk, open files and randomness. The first limit that bites is remembered: whatever the
//! guest's end looks like afterwards, that limit is its outcome.

use super::disk::DiskGauge;
use super::paths::{PathGauge, Place};
use super::tree;
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
    open_allowed: u64,
    random_used: u64,
    random_allowed: u64,
    disk: DiskGauge,
    paths: PathGauge,
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
            open_allowed: u64::from(limits.open_files),
            random_used: 0,
            random_allowed: limits.random_bytes,
            disk,
            paths: PathGauge::new(limits),
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

    /// Charges something that a call makes at this place, before it is made.
    pub(super) fn charge_entry(&self, place: Place) -> Result<(), LimitReached> {
        let mut state = self.lock();
        let fits = state.paths.check(place).and_then(|()| state.disk.charge_entry());
        fits.map_err(|hit| state.reach(hit))
    }

    /// A file was put into the guest's directories that is not its own.
    pub(super) fn give_entry(&self) {
        self.lock().disk.give_entry();
    }

    /// Charges randomness, before it is drawn.
    pub(super) fn charge_random(&self, len: u64) -> Result<(), LimitReached> {
        let mut state = self.lock();
        state.random_used = state.random_used.saturating_add(len);
        if state.random_used <= state.random_allowed {
            return Ok(());
        }
        let hit = LimitHit { kind: LimitKind::RandomBytes, used: state.random_used, allowed: state.random_allowed };
        Err(state.reach(hit))
    }

    /// Where a path leads from what the guest knows by this number.
    pub(super) fn place(&self, handle: u32, path: &[u8]) -> Place {
        self.lock().paths.place(handle, path)
    }

    /// Something was made under a name of so many bytes.
    pub(super) fn made(&self, name: usize) -> Result<(), LimitReached> {
        let mut state = self.lock();
        let MeterState { paths, disk, .. } = &mut *state;
        paths.made(name, || farthest(disk)).map_err(|hit| state.reach(hit))
    }

    /// A link was made: from now on a path may lead farther than it says.
    pub(super) fn linked(&self) {
        self.lock().paths.linked();
    }

    /// Checks that something may be moved there.
    pub(super) fn check_place(&self, place: Place) -> Result<(), LimitReached> {
        let mut state = self.lock();
        state.paths.check(place).map_err(|hit| state.reach(hit))
    }

    /// Something was moved.
    pub(super) fn moved(&self, from: Place, to: Place) -> Result<(), LimitReached> {
        let mut state = self.lock();
        let MeterState { paths, disk, .. } = &mut *state;
        paths.moved(from, to, || farthest(disk)).map_err(|hit| state.reach(hit))
    }

    /// Checks, before something is opened, that one more is allowed.
    pub(super) fn check_open(&self) -> Result<(), LimitReached> {
        let mut state = self.lock();
        let open = state.paths.open_count();
        if open < state.open_allowed {
            return Ok(());
        }
        let hit = LimitHit { kind: LimitKind::OpenFiles, used: open + 1, allowed: state.open_allowed };
        Err(state.reach(hit))
    }

    /// How many files and directories are open, besides those that were given.
    pub(super) fn files_open(&self) -> u64 {
        self.lock().paths.open_count()
    }

    /// Something was opened, which the guest knows by this number.
    pub(super) fn opened(&self, handle: u32, place: Place) {
        self.lock().paths.opened(handle, place);
    }

    /// What a guest knows by this number was closed. It may close what it did not open, its preopened directories.
    pub(super) fn closed(&self, handle: u32) {
        self.lock().paths.closed(handle);
    }

    /// What was `from` is `to` from now on, and what that was is closed.
    pub(super) fn renumbered(&self, from: u32, to: u32) {
        self.lock().paths.renumbered(from, to);
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
}

/// The farthest thing there is. A tree that cannot be walked has been made too deep for it.
fn farthest(disk: &DiskGauge) -> Place {
    tree::measure(disk.directories()).map_or(Place::FARTHEST, |held| held.deepest)
}

impl MeterState {
    fn reach(&mut self, hit: LimitHit) -> LimitReached {
        LimitReached(self.hit.get_or_insert(hit).clone())
    }
}
