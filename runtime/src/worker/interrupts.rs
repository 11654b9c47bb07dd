//! Interrupts of a session's turn. A guest that computes asks nobody; but an interpreter looks at words of its own memory
//! before it goes on, and those are set here from another thread, as its own signal handler would. What waits in the host is told
//! as well. An interrupt is for one turn, by its number, and has no effect on any other.
#![expect(unsafe_code, reason = "words of a guest's memory are written while the guest runs")]

use crate::script::SignalPlaces;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use wasmtime::{AsContextMut, Memory};

/// How often it is looked whether the guest has seen an interrupt: it may have written the same word meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// What a session's turns hear of interrupts.
pub(super) struct Interrupts {
    state: Mutex<State>,
    raised: Notify,
}

struct State {
    /// The number of the last turn that has begun.
    last: u64,
    /// Those of the turn that runs.
    words: Option<Words>,
}

/// What came of an interrupt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raised {
    /// The turn has not begun: its order is on the way.
    Early,
    Set,
    Over,
}

/// The words of the guest that runs a turn.
struct Words {
    number: u64,
    memory: *const u8,
    len: usize,
    places: SignalPlaces,
}

// SAFETY: the pointer is used only under the lock around it, and is taken away before the memory goes.
unsafe impl Send for Words {}

impl Interrupts {
    /// Takes the numbers of turns to interrupt from a pipe, until its other end is closed. The turns up to `last` are over.
    pub(super) fn listen(mut pipe: File, last: u64) -> io::Result<Arc<Self>> {
        let interrupts = Arc::new(Self { state: Mutex::new(State { last, words: None }), raised: Notify::new() });
        let listening = interrupts.clone();
        std::thread::Builder::new().name("interrupts".to_owned()).stack_size(256 << 10).spawn(move || {
            let mut number = [0; 8];
            while pipe.read_exact(&mut number).is_ok() {
                let number = u64::from_le_bytes(number);
                loop {
                    let raised = listening.raise(number);
                    if raised == Raised::Over {
                        break;
                    }
                    std::thread::sleep(PAUSE);
                    if raised == Raised::Set && !listening.is_unseen(number) {
                        break;
                    }
                }
            }
        })?;
        Ok(interrupts)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, until the answer is dropped, this turn can be interrupted.
    pub(super) fn begin(
        self: &Arc<Self>,
        number: u64,
        memory: Memory,
        store: impl AsContextMut,
        places: SignalPlaces,
    ) -> Turn {
        let words = Words { number, memory: memory.data_ptr(&store), len: memory.data_size(&store), places };
        words.clear();
        let mut state = self.lock();
        state.last = state.last.max(number);
        state.words = Some(words);
        drop(state);
        Turn { interrupts: self.clone() }
    }

    /// Waits until an interrupt came that the guest has not seen.
    pub(super) async fn raised(&self) {
        loop {
            let raised = self.raised.notified();
            if self.lock().words.as_ref().is_some_and(Words::is_set) {
                return;
            }
            raised.await;
        }
    }

    /// Interrupts a turn.
    fn raise(&self, number: u64) -> Raised {
        let state = self.lock();
        if number > state.last {
            return Raised::Early;
        }
        let Some(words) = state.words.as_ref().filter(|words| words.number == number) else { return Raised::Over };
        words.set();
        drop(state);
        self.raised.notify_waiters();
        Raised::Set
    }

    /// Whether a turn runs that has yet to see its interrupt.
    fn is_unseen(&self, number: u64) -> bool {
        self.lock().words.as_ref().is_some_and(|words| words.number == number && words.is_set())
    }
}

/// A turn that can be interrupted.
pub(super) struct Turn {
    interrupts: Arc<Interrupts>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(words) = self.interrupts.lock().words.take() {
            words.clear();
        }
    }
}

impl Words {
    /// A word of the guest's memory, if it lies in it.
    fn word(&self, at: u32) -> Option<&AtomicU32> {
        let at = usize::try_from(at).ok().filter(|at| at % 4 == 0)?;
        at.checked_add(4).filter(|end| *end <= self.len)?;
        // SAFETY: the word lies in the accessible part of the memory, which never moves and outlives the turn; it is
        // aligned. The guest's own accesses to it are single instructions of the machine.
        Some(unsafe { AtomicU32::from_ptr(self.memory.add(at).cast::<u32>().cast_mut()) })
    }

    fn breaker(&self) -> Option<&AtomicU32> {
        let thread = self.word(self.places.thread)?.load(Ordering::Relaxed);
        self.word(thread.checked_add(self.places.breaker).filter(|_| thread != 0)?)
    }

    fn set(&self) {
        let words = (self.word(self.places.interrupted), self.word(self.places.any), self.breaker());
        if let (Some(interrupted), Some(any), Some(breaker)) = words {
            interrupted.store(1, Ordering::Relaxed);
            any.store(1, Ordering::Relaxed);
            breaker.fetch_or(self.places.bit, Ordering::Relaxed);
        }
    }

    fn is_set(&self) -> bool {
        self.word(self.places.any).is_some_and(|any| any.load(Ordering::Relaxed) != 0)
    }

    fn clear(&self) {
        for word in [self.places.interrupted, self.places.any].into_iter().filter_map(|at| self.word(at)) {
            // A page that is not written to stays shared.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}
