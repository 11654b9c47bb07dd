//! The task of a home that decides and performs.

use super::conversation::{self, Teller};
use super::records::Write;
use super::shared::Shared;
use super::{With, Word};
use crate::clock::Clock;
use crate::state::home::Home;
use crate::state::home::end::End;
use crate::state::home::run::RunId;
use crate::state::home::words::{Effect, Event, Record};
use crate::state::now::{Mono, Now, Wall};
use crate::state::placement::Place;
use crate::store::jobs::StoreError;
use crate::wire::{JobAt, JobId, JobNow};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Words that are written down together.
const BATCH_MAX: usize = 512;
/// How long the store is left alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    home: Home,
    clock: Clock,
    started: Instant,
    shared: Arc<Shared>,
    words: mpsc::WeakSender<Word>,
    wake_at: Option<Mono>,
    /// Conversations with machines.
    talks: JoinSet<()>,
    /// Who submitted, by the first of their jobs.
    replies: HashMap<JobId, oneshot::Sender<Result<(), String>>>,
}

impl Keeper {
    pub(super) fn new(
        home: Home,
        clock: Clock,
        started: Instant,
        shared: Arc<Shared>,
        words: mpsc::WeakSender<Word>,
    ) -> Self {
        let (talks, replies) = (JoinSet::new(), HashMap::new());
        Self { home, clock, started, shared, words, wake_at: None, talks, replies }
    }

    pub(super) async fn keep(
        mut self,
        effects: Vec<Effect>,
        mut heard: mpsc::Receiver<Word>,
        mut seen: mpsc::Receiver<Event>,
    ) {
        if self.perform(effects, Vec::new()).await.is_none() {
            return;
        }
        let (mut machines, mut words) = (Vec::new(), Vec::new());
        loop {
            let wake = self.wake_in();
            tokio::select! {
                count = heard.recv_many(&mut words, BATCH_MAX) => if count == 0 { return },
                Some(event) = seen.recv() => machines.push(Word::of(event)),
                Some(_) = self.talks.join_next(), if !self.talks.is_empty() => continue,
                () = tokio::time::sleep(wake) => {
                    self.wake_at = None;
                    words.push(Word::of(Event::Tick));
                }
            }
            let (mut effects, mut writes) = (Vec::new(), Vec::new());
            // What became of machines comes first: the rest is decided by it.
            machines.extend(std::iter::from_fn(|| seen.try_recv().ok()).take(BATCH_MAX).map(Word::of));
            for word in machines.drain(..).chain(words.drain(..)) {
                effects.extend(self.decide(word, &mut writes));
            }
            if self.perform(effects, writes).await.is_none() {
                return;
            }
        }
    }

    fn now(&self) -> Now {
        now(self.clock, self.started)
    }

    /// How long until time alone moves something.
    fn wake_in(&self) -> Duration {
        let now = self.now().mono;
        self.wake_at.map_or(Duration::MAX, |at| Duration::from_millis(at.since(now)))
    }

    fn decide(&mut self, word: Word, writes: &mut Vec<Write>) -> Vec<Effect> {
        let Word { event, with, reply } = word;
        self.take(with, writes);
        let first = match &event {
            Event::Submitted { jobs, .. } => jobs.first().map(|job| job.id),
            _ => None,
        };
        let effects = self.home.handle(self.now(), event);
        if let Some((job, reply)) = first.zip(reply) {
            self.replies.insert(job, reply);
        }
        effects
    }

    /// What comes with an event.
    fn take(&self, with: With, writes: &mut Vec<Write>) {
        match with {
            With::Asked(all) => {
                let now_ms = self.clock.unix_now_ms();
                for asked in all {
                    self.shared.enter(asked.clone());
                    writes.push(Write::Asked(Box::new(asked), now_ms));
                }
            }
            // What a job came to stays what it is, whatever a second run of it says too late.
            With::Left(run, _) if !self.home.has(run.job) => {}
            With::Left(run, left) => {
                self.shared.recorded(run, &left.recorded);
                writes.push(Write::Left(run, left));
            }
            // Whoever does not wait any more is told nothing.
            With::Why(job, reply) => drop(reply.send(self.home.why(self.now(), job))),
            With::Nothing => {}
        }
    }

    /// Writes down what is to be written down, and then does the rest in order. None when nothing can be written any more,
    /// because the node is leaving: then nothing is done either.
    async fn perform(&mut self, effects: Vec<Effect>, mut writes: Vec<Write>) -> Option<()> {
        let mut rest = Vec::new();
        let mut refused = HashSet::new();
        for effect in effects {
            match effect {
                Effect::Persist(record) => {
                    if let Record::End { job, end, winner, .. } = &record {
                        writes.push(Write::Told(self.told(*job, end, *winner)));
                    }
                    writes.push(Write::Decided(record));
                }
                effect => {
                    if let Effect::NotAccepted { jobs, .. } = &effect {
                        refused.extend(jobs.iter().copied());
                    }
                    rest.push(effect);
                }
            }
        }
        writes.retain(|write| !matches!(write, Write::Asked(asked, _) if refused.contains(&asked.submit.job)));
        self.write(&writes).await?;
        for effect in rest {
            self.perform_one(effect);
        }
        Some(())
    }

    /// What is told of a job that ends.
    fn told(&self, job: JobId, end: &End, winner: Option<(RunId, Place)>) -> JobNow {
        let view = self.shared.view(job);
        let task = view.as_ref().and_then(|view| view.now.task);
        // Where no run counts, it is the last that was heard of.
        let counts = winner.or_else(|| view.as_ref().and_then(|view| view.run));
        let named = counts.map(|(_, place)| self.shared.name_of(place));
        let place = named.or_else(|| view.and_then(|view| view.now.place));
        JobNow { job, task, at: JobAt::Ended(end.clone()), place, attempt: counts.map_or(0, |(run, _)| run.attempt) }
    }

    async fn write(&self, writes: &[Write]) -> Option<()> {
        if writes.is_empty() {
            return Some(());
        }
        let name_of = |id| self.shared.name_of(Place::Peer(id));
        while let Err(error) = self.shared.records.write(writes, name_of).await {
            if matches!(error, StoreError::Closed { .. }) {
                return None;
            }
            tracing::error!(error = %crate::service::chain(&error), "jobs wait because they cannot be written down");
            tokio::time::sleep(STORE_PAUSE).await;
        }
        Some(())
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(_) => {}
            Effect::Accepted { jobs } => self.answer(&jobs, &Ok(())),
            Effect::NotAccepted { jobs, why } => {
                jobs.iter().for_each(|job| self.shared.forget(*job));
                self.answer(&jobs, &Err(why));
            }
            Effect::Start { place, run } => self.talk(conversation::start, place, run),
            Effect::Collect { place, run } => self.talk(conversation::collect, place, run),
            Effect::Withdraw { place, run } => self.talk(conversation::withdraw, place, run),
            Effect::Release { place, run } => self.talk(conversation::release, place, run),
            Effect::Attach { place, ask } => {
                if let Some(teller) = self.teller() {
                    self.talks.spawn(conversation::attach(teller, place, ask));
                }
            }
            Effect::Tell { job, news } => self.shared.tell(job, news),
            Effect::WakeAt(at) => self.wake_at = Some(at),
        }
    }

    fn talk<F>(&mut self, talk: impl FnOnce(Teller, Place, RunId) -> F, place: Place, run: RunId)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(teller) = self.teller() {
            self.talks.spawn(talk(teller, place, run));
        }
    }

    /// None when nobody is here any more to whom it could be told.
    fn teller(&self) -> Option<Teller> {
        Some(Teller::new(self.words.upgrade()?, self.shared.clone()))
    }

    fn answer(&mut self, jobs: &[JobId], said: &Result<(), String>) {
        if let Some(reply) = jobs.first().and_then(|job| self.replies.remove(job)) {
            // Who does not listen any more asks again.
            let _ = reply.send(said.clone());
        }
    }
}

pub(super) fn now(clock: Clock, started: Instant) -> Now {
    let since = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Now { mono: Mono(since), wall: Wall(clock.unix_now_ms()) }
}
