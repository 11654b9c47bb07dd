//! The requests that run something, from their coming to their end: whose they are, what they do, and how they are told that
//! they must go. Whoever serves one watches for that; what it had started ends with it.

use crate::clock::Clock;
use crate::dispatch::{Caller, Role};
use crate::identity::NodeId;
use crate::state::containers::Image;
use crate::wire::{Fault, JobId, JobState};
use potluck_runtime::{Canceller, GuestProgress, Limits};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// Those that are here.
pub(super) struct Present {
    table: Mutex<Table>,
    /// How many of peers.
    of_peers: watch::Sender<u32>,
}

#[derive(Default)]
struct Table {
    given: u64,
    entries: BTreeMap<u64, Entry>,
}

/// One that is here.
pub(super) struct Entry {
    pub(super) caller: NodeId,
    pub(super) role: Role,
    pub(super) who: String,
    /// Unknown until it was understood.
    pub(super) about: Option<About>,
    /// Whether its home sees to it: nobody waits for it here.
    pub(super) is_kept: bool,
    pub(super) state: JobState,
    pub(super) since_unix: u64,
    /// The process in which its guest runs.
    pub(super) process: Option<u32>,
    /// What ends it, where it runs in a container.
    pub(super) canceller: Option<Canceller>,
    /// What its guest has said last of how far it is.
    pub(super) progress: Option<GuestProgress>,
    dismiss: Option<oneshot::Sender<Fault>>,
}

/// What a request asks for.
#[derive(Clone)]
pub(super) struct About {
    pub(super) job: JobId,
    pub(super) what: String,
    pub(super) limits: Limits,
    /// The image of its container, where it runs in one.
    pub(super) container: Option<Image>,
    /// Bytes of memory that it may take.
    pub(super) memory_bytes: u64,
}

/// A request that is here for as long as this lives.
pub(super) struct Here {
    present: Arc<Present>,
    number: u64,
    is_peer: bool,
}

impl Present {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), of_peers: watch::Sender::new(0) })
    }

    /// A request comes. What is received is why it must go.
    pub(super) fn arrive(self: &Arc<Self>, caller: &Caller) -> (Here, oneshot::Receiver<Fault>) {
        let (dismiss, dismissed) = oneshot::channel();
        let is_peer = caller.role == Role::Peer;
        let entry = Entry {
            caller: caller.id,
            role: caller.role,
            who: caller.name.clone(),
            about: None,
            is_kept: false,
            state: JobState::Waiting,
            since_unix: Clock::system().unix_now(),
            process: None,
            canceller: None,
            progress: None,
            dismiss: Some(dismiss),
        };
        let mut table = self.table();
        table.given += 1;
        let number = table.given;
        table.entries.insert(number, entry);
        drop(table);
        if is_peer {
            self.of_peers.send_modify(|count| *count += 1);
        }
        (Here { present: Arc::clone(self), number, is_peer }, dismissed)
    }

    /// Shows each, the oldest first.
    pub(super) fn each(&self, mut show: impl FnMut(u64, &Entry)) {
        self.table().entries.iter().for_each(|(number, entry)| show(*number, entry));
    }

    /// Sends one away; what it had started ends. False when it is not here, or was sent away before.
    pub(super) fn dismiss(&self, number: u64, why: Fault) -> bool {
        let dismiss = self.table().entries.get_mut(&number).and_then(|entry| entry.dismiss.take());
        dismiss.is_some_and(|dismiss| dismiss.send(why).is_ok())
    }

    /// Waits until none of a peer is here.
    pub(super) async fn without_peers(&self) {
        // The sender lives in `self`, so this cannot fail while we borrow it.
        let _ = self.of_peers.subscribe().wait_for(|count| *count == 0).await;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether it has a place.
    pub(super) fn has_place(&self) -> bool {
        self.state != JobState::Waiting
    }

    /// Whether it has been told to go.
    pub(super) const fn goes(&self) -> bool {
        self.dismiss.is_none()
    }

    /// Memory it may ask for.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.about.as_ref().map_or(0, |about| about.memory_bytes)
    }

    /// The image of its container, where it runs in one.
    pub(super) fn container(&self) -> Option<&Image> {
        self.about.as_ref().and_then(|about| about.container.as_ref())
    }
}

impl Here {
    /// It was understood.
    pub(super) fn asks_for(&self, about: About) {
        self.change(|entry| entry.about = Some(about));
    }

    /// It was understood, and its home sees to it.
    pub(super) fn is_kept(&self, about: About) {
        self.change(|entry| (entry.about, entry.is_kept) = (Some(about), true));
    }

    /// It has a place.
    pub(super) fn has_place(&self) {
        self.change(|entry| entry.state = JobState::Preparing);
    }

    /// Its guest runs.
    pub(super) fn runs(&self, process: Option<u32>) {
        self.change(|entry| (entry.state, entry.process) = (JobState::Running, process));
    }

    /// Its container is ended by this.
    pub(super) fn ends_by(&self, canceller: Canceller) {
        self.change(|entry| entry.canceller = Some(canceller));
    }

    /// Its guest says how far it is.
    pub(super) fn is_so_far(&self, progress: &GuestProgress) {
        self.change(|entry| entry.progress = Some(progress.clone()));
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.present.table().entries.get_mut(&self.number) {
            change(entry);
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.present.table().entries.remove(&self.number);
        if self.is_peer {
            self.present.of_peers.send_modify(|count| *count -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FaultCode;

    #[tokio::test]
    async fn whoever_is_here_is_listed_until_it_goes_and_is_told_once() {
        let present = Present::new();
        let caller = |role| Caller { id: NodeId::from_bytes([1; 32]), role, name: "ann".into(), link: None };
        let (owner, _kept) = present.arrive(&caller(Role::Owner));
        present.without_peers().await;
        let (peer, dismissed) = present.arrive(&caller(Role::Peer));
        peer.has_place();
        let mut states = Vec::new();
        present.each(|number, entry| states.push((number, entry.has_place(), entry.goes())));
        assert_eq!(states, [(1, false, false), (2, true, false)]);
        assert!(present.dismiss(2, Fault::new(FaultCode::TAKEN_BACK, "go")));
        assert!(
            !present.dismiss(2, Fault::new(FaultCode::TAKEN_BACK, "go"))
                && !present.dismiss(3, Fault::new(FaultCode::BUSY, ""))
        );
        assert_eq!(dismissed.await.unwrap().code, FaultCode::TAKEN_BACK);
        drop(peer);
        present.without_peers().await;
        drop(owner);
        present.each(|_, _| panic!("nobody is here"));
    }
}
