//! What follows from a decision: who waits is sent away, who is too many is ended, sessions go to disk.

use super::PAUSED;
use crate::dispatch::Role;
use crate::service::containers::Containers;
use crate::service::present::Entry;
use crate::service::{Inner, sessions};
use crate::state::sharing::{Closed, Decision};
use crate::wire::{Fault, FaultCode};
use potluck_runtime::Canceller;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the machine and its owner's rules are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whom a decision has sent away.
#[derive(Default)]
pub(super) struct SentAway {
    /// Those that had a place.
    pub(super) ended: u32,
    /// Those that waited.
    pub(super) waited: u32,
    /// Those of this machine's own queue.
    pub(super) own: u32,
    /// The processes in which guests of theirs ran.
    pub(super) processes: Vec<u32>,
    /// What ends their runs, whose containers are gone later.
    pub(super) cancellers: Vec<Canceller>,
}

/// The process and the canceller of a run, where it has begun.
type Runs = (Option<u32>, Option<Canceller>);

fn runs(entry: &Entry) -> Runs {
    (entry.process, entry.canceller.clone())
}

impl SentAway {
    fn leaves(&mut self, (process, canceller): Runs) {
        self.processes.extend(process);
        self.cancellers.extend(canceller);
    }
}

/// Why one must go.
enum Gone {
    /// Nothing is lent to it.
    Closed(Closed),
    /// Less is lent than before.
    Less,
    /// Its owner offers no containers of that image any more, in words.
    Container(String),
}

/// Keeps to what its owner has decided for as long as the service lives.
pub(in crate::service) async fn keep(inner: Weak<Inner>) {
    loop {
        let Some(here) = inner.upgrade() else { return };
        here.look_at_lending().await;
        act(&here);
        Containers::look_if_due(&here);
        if here.lending.now().closed.is_some() && !here.lending.parks.swap(true, Ordering::AcqRel) {
            tokio::spawn(park(Arc::clone(&here)));
        }
        let lending = Arc::clone(&here.lending);
        drop(here);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = lending.wake.notified() => {}
        }
    }
}

/// Puts the sessions of those to disk to whom nothing is lent; what holds one up now may be over at the next look.
async fn park(inner: Arc<Inner>) {
    let decision = inner.lending.now();
    let rests = |peer: &_| {
        let lent = decision.of(peer);
        lent.closed.is_some() && !lent.goes_on
    };
    sessions::park_of_peers(&inner, rests, sessions::Manner::Unseen).await;
    inner.lending.parks.store(false, Ordering::Release);
}

/// Does what the decision of now asks for.
pub(super) fn act(inner: &Inner) -> SentAway {
    let decision = inner.lending.now();
    inner.gate.resize(decision.places, decision.memory_bytes);
    inner.runtime.lend_cores(decision.cores);
    inner.accounts.set_places(decision.settled().jobs_max);
    inner.accounts.set_disk(decision.disk_bytes);
    inner.images.hold(decision.is_paused());
    inner.containers.settle(&inner.lending.docker());
    let (mut go, mut stay, mut own) = (Vec::new(), Vec::new(), Vec::new());
    inner.present.each(|number, entry| {
        if entry.goes() {
            return;
        }
        if entry.role == Role::Owner {
            own.extend((entry.is_kept && decision.is_paused()).then(|| (number, runs(entry))));
            return;
        }
        if let Some(refusal) = entry.container().and_then(|image| inner.containers.refusal(image, &inner.name)) {
            go.push((number, entry.has_place(), runs(entry), Gone::Container(refusal.text)));
            return;
        }
        let lent = decision.of(&entry.caller);
        match lent.closed {
            Some(closed) if !entry.has_place() || !lent.goes_on => {
                go.push((number, entry.has_place(), runs(entry), Gone::Closed(closed)));
            }
            _ if entry.has_place() => stay.push((number, entry.memory_bytes(), runs(entry))),
            _ => {}
        }
    });
    let memory: Vec<u64> = stay.iter().map(|(_, memory, _)| *memory).collect();
    let first_beyond = stays(&memory, decision.keeps, decision.memory_bytes);
    go.extend(stay.drain(first_beyond..).map(|(number, _, runs)| (number, true, runs, Gone::Less)));
    let mut sent = SentAway::default();
    for (number, had_place, runs, gone) in go {
        if inner.present.dismiss(number, dismissal(&decision, &inner.name, gone, had_place)) {
            *(if had_place { &mut sent.ended } else { &mut sent.waited }) += 1;
            sent.leaves(runs);
        }
    }
    for (number, runs) in own {
        if inner.present.dismiss(number, Fault::new(FaultCode::TAKEN_BACK, PAUSED)) {
            sent.own += 1;
            sent.leaves(runs);
        }
    }
    sent
}

/// How many of these, the oldest first, may stay: the youngest have the least to lose.
fn stays(memory_of: &[u64], most: u32, memory_bytes: Option<u64>) -> usize {
    let mut taken = 0u64;
    let mut fits = |memory: &u64| {
        taken = taken.saturating_add(*memory);
        memory_bytes.is_none_or(|all| taken <= all)
    };
    memory_of.iter().take(usize::try_from(most).unwrap_or(usize::MAX)).take_while(|memory| fits(memory)).count()
}

/// What is told to whoever must go.
fn dismissal(decision: &Decision, name: &str, gone: Gone, had_place: bool) -> Fault {
    let again = match &gone {
        Gone::Closed(closed) => decision.ask_again_s(*closed),
        Gone::Less | Gone::Container(_) => None,
    };
    let why = match gone {
        Gone::Closed(closed) => decision.refusal(name, closed),
        Gone::Container(why) => why,
        Gone::Less => format!("{name} lends less now: it {}", decision.sentence(super::cores())),
    };
    let (code, text) = if had_place {
        let text = format!("{why}; what the job did there is gone, so run it again, there or elsewhere");
        (FaultCode::TAKEN_BACK, text)
    } else {
        (FaultCode::NOT_LENDING, why)
    };
    Fault::new(code, text).again_in(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stay_as_long_as_there_are_places_and_memory() {
        for (memory_of, most, memory, count) in [
            (&[][..], 4, None, 0),
            (&[5, 5, 5], 4, None, 3),
            (&[5, 5, 5], 2, None, 2),
            (&[5, 5, 5], 0, None, 0),
            (&[5, 5, 5], 4, Some(14), 2),
            (&[50, 5, 5], 4, Some(14), 0),
            (&[u64::MAX, u64::MAX], 4, Some(u64::MAX), 2),
        ] {
            assert_eq!(stays(memory_of, most, memory), count, "{memory_of:?} {most} {memory:?}");
        }
    }
}
