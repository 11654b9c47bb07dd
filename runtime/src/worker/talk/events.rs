//! What takes what a guest says in its events file, and tells it in the order of its output. A guest that says more than is
//! read waits, as one does that prints; one that gives a checkpoint waits until it is copied.

use super::checkpoint::{Places, State};
use crate::guest_event::{GuestEvent, GuestLog, Heard, Listener, LogLevel};
use crate::protocol::CHUNK_LEN_MAX;
use crate::worker::stdio::Teller;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes of checkpoints in a second, on an average over the run: a guest that gives more waits.
const CHECKPOINTS_PACE: u64 = 64 << 20;

/// Takes what one run says.
pub(in crate::worker) struct Events {
    state: Mutex<EventsState>,
    teller: Teller,
    places: Places,
    began: Instant,
    /// Something waits for its time.
    waits: Notify,
}

#[derive(Default)]
struct EventsState {
    listener: Listener,
    /// What was heard behind a checkpoint that is not copied yet.
    behind: VecDeque<Heard>,
    /// Bytes of checkpoints so far.
    copied: u64,
    /// Whether it was told that a checkpoint cannot be had.
    has_warned: bool,
}

impl Events {
    pub(super) fn told_by(teller: Teller, places: Places) -> Self {
        Self { state: Mutex::default(), teller, places, began: Instant::now(), waits: Notify::new() }
    }

    /// The guest writes this: no more than is looked at without a pause.
    pub(in crate::worker) async fn hear(&self, bytes: &[u8]) {
        self.take(bytes);
        self.room().await;
    }

    /// The guest writes this, and waits for [`Self::room`] before it writes more.
    pub(in crate::worker) fn take(&self, bytes: &[u8]) {
        let mut state = self.state();
        let heard = state.listener.hear(bytes, self.began.elapsed());
        state.behind.extend(heard);
        while matches!(state.behind.front(), Some(Heard::Event(_))) {
            if let Some(Heard::Event(event)) = state.behind.pop_front() {
                self.teller.said(&event);
            }
        }
        if state.listener.due().is_some() {
            self.waits.notify_one();
        }
    }

    /// Waits until there is room for more, and what was said is through.
    pub(in crate::worker) async fn room(&self) {
        loop {
            let next = self.state().behind.pop_front();
            match next {
                Some(Heard::Event(event)) => self.teller.said(&event),
                Some(Heard::Checkpoint(Some(path))) => self.checkpoint(&path).await,
                Some(Heard::Checkpoint(None)) => self.teller.checkpoint(None),
                None => break,
            }
        }
        self.teller.room().await;
        tokio::task::yield_now().await;
    }

    /// Waits until something is to be passed on that has waited.
    pub(super) async fn due(&self) {
        loop {
            let due = self.state().listener.due();
            match due {
                Some(due) => return tokio::time::sleep_until((self.began + due).into()).await,
                None => self.waits.notified().await,
            }
        }
    }

    /// Passes on what has waited long enough.
    pub(super) fn flush(&self) {
        let due = self.state().listener.take_due(self.began.elapsed());
        due.iter().for_each(|event| self.teller.said(event));
    }

    /// The guest says no more. A checkpoint that it gives with its last words is of no use to anybody.
    pub(in crate::worker) fn finish(&self) {
        let mut state = self.state();
        let last = state.listener.finish(self.began.elapsed());
        for heard in state.behind.drain(..).chain(last) {
            if let Heard::Event(event) = heard {
                self.teller.said(&event);
            }
        }
    }

    /// Copies a checkpoint to the parent.
    async fn checkpoint(&self, path: &str) {
        let copied = match self.places.open(path) {
            Ok(state) => self.copy(state).await,
            Err(why) => Err(why),
        };
        if let Err(why) = copied
            && !std::mem::replace(&mut self.state().has_warned, true)
        {
            let message = format!("the checkpoint's file {path:?} {why}");
            self.teller.said(&GuestEvent::Log(GuestLog { level: LogLevel::Warn, message, fields: None }));
        }
    }

    async fn copy(&self, state: State) -> Result<(), String> {
        let State { mut file, len } = state;
        self.pace(len).await;
        self.teller.checkpoint(Some(len));
        let mut left = len;
        let mut piece = vec![0; CHUNK_LEN_MAX.min(usize::try_from(len).unwrap_or(CHUNK_LEN_MAX))];
        while left > 0 {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut piece[..wanted]).map_err(|error| format!("cannot be read: {error}"))?;
            self.teller.checkpoint_part(&piece[..wanted]);
            left -= wanted as u64;
            self.teller.room().await;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Waits until so much more is no more than is copied in this time.
    async fn pace(&self, len: u64) {
        let copied = {
            let mut state = self.state();
            state.copied = state.copied.saturating_add(len);
            state.copied
        };
        // The first, and what comes in its time, waits for nothing.
        let ahead = copied.saturating_sub(2 * CHECKPOINTS_PACE);
        let due = Duration::from_millis(ahead.saturating_mul(1000) / CHECKPOINTS_PACE);
        tokio::time::sleep_until((self.began + due).into()).await;
    }

    fn state(&self) -> MutexGuard<'_, EventsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
