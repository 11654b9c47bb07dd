//! What takes what a guest says in its events file, and tells it in the order of its output. A guest that says more than is
//! read waits, as one does that prints.

use crate::guest_event::{Heard, Listener};
use crate::worker::stdio::Teller;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Takes what one run says.
pub(in crate::worker) struct Events {
    listener: Mutex<Listener>,
    teller: Teller,
    began: Instant,
    /// Something waits for its time.
    waits: Notify,
}

impl Events {
    pub(super) fn told_by(teller: Teller) -> Self {
        Self { listener: Mutex::default(), teller, began: Instant::now(), waits: Notify::new() }
    }

    /// The guest writes this: no more than is looked at without a pause.
    pub(in crate::worker) async fn hear(&self, bytes: &[u8]) {
        self.take(bytes);
        self.room().await;
    }

    /// The guest writes this, and waits for [`Self::room`] before it writes more.
    pub(in crate::worker) fn take(&self, bytes: &[u8]) {
        let heard = self.listener().hear(bytes, self.began.elapsed());
        self.tell(heard);
        if self.listener().due().is_some() {
            self.waits.notify_one();
        }
    }

    /// Waits until there is room for more.
    pub(in crate::worker) async fn room(&self) {
        self.teller.room().await;
        tokio::task::yield_now().await;
    }

    /// Waits until something is to be passed on that has waited.
    pub(super) async fn due(&self) {
        loop {
            let due = self.listener().due();
            match due {
                Some(due) => return tokio::time::sleep_until((self.began + due).into()).await,
                None => self.waits.notified().await,
            }
        }
    }

    /// Passes on what has waited long enough.
    pub(super) fn flush(&self) {
        let due = self.listener().take_due(self.began.elapsed());
        due.iter().for_each(|event| self.teller.said(event));
    }

    /// The guest says no more.
    pub(in crate::worker) fn finish(&self) {
        let heard = self.listener().finish(self.began.elapsed());
        self.tell(heard);
    }

    fn tell(&self, heard: Vec<Heard>) {
        for heard in heard {
            match heard {
                Heard::Event(event) => self.teller.said(&event),
                Heard::Checkpoint(_) => {}
            }
        }
    }

    fn listener(&self) -> MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
