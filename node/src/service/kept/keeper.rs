//! Decides about the runs that are kept, and performs: one thing after the other, in the order in which it was heard.

use super::live::{Live, LiveRuns};
use super::records::{RunRecord, RunStoreError};
use super::run::Task;
use super::{Keeping, KeptRuns, Said, With, Word, run};
use crate::service::{Inner, blocking, chain};
use crate::state::home::words::Kept;
use crate::state::now::{Mono, Now, Wall};
use crate::state::placement::Place;
use crate::state::runs::{Effect, Event, Key, Record, Runs};
use std::collections::HashMap;
use std::sync::Weak;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Words that are written down together.
const BATCH_MAX: usize = 256;
/// How often runs are looked at whose keeping time may be over.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long the store is left alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The task that does.
pub(super) struct Keeper {
    runs: Runs,
    keeping: Keeping,
    inner: Weak<Inner>,
    /// So that it ends with those who tell it something.
    words: mpsc::WeakSender<Word>,
    live: LiveRuns,
    started: Instant,
    /// What is to be run, of those that have not begun to wait for it.
    tasks: HashMap<Key, Task>,
    /// Who asked about which run, or for all of a home.
    replies: Vec<(Asked, oneshot::Sender<Said>)>,
}

/// What somebody asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Run(Key),
    All(Place),
    Nothing,
}

/// The store was closed: this node is leaving, and nothing can be promised any more.
struct Closed;

impl Keeper {
    /// Decides about these runs.
    pub(super) fn of(kept: &KeptRuns, keeping: Keeping, inner: Weak<Inner>) -> Self {
        Self {
            runs: Runs::default(),
            keeping,
            inner,
            words: kept.words.downgrade(),
            live: kept.live.clone(),
            started: Instant::now(),
            tasks: HashMap::new(),
            replies: Vec::new(),
        }
    }

    /// Goes on with what was saved, and forgets those that are gone, for as long as anybody is there to tell it something.
    pub(super) async fn keep(mut self, saved: Vec<RunRecord>, gone: Vec<Key>, heard: mpsc::Receiver<Word>) {
        let (runs, effects) = Runs::restored(saved.iter().map(RunRecord::state), self.now());
        self.runs = runs;
        self.recover(saved);
        let live = self.live.clone();
        blocking(move || live.sweep()).await;
        let forgotten = gone.into_iter().map(|key| Effect::Persist(Record::Gone(key)));
        let steps = forgotten.chain(effects).map(Step::restored).collect();
        if self.perform(steps).await.is_ok() {
            // Who is not told any more hears that the node is leaving.
            let _ = self.listen(heard).await;
        }
    }

    /// Takes up what an earlier process has left.
    fn recover(&mut self, saved: Vec<RunRecord>) {
        for RunRecord { key, request, recorded, .. } in saved {
            self.live.enter_again(key, recorded);
            self.tasks.extend(request.map(|request| (key, Task::Saved(Box::new(request)))));
        }
    }

    async fn listen(mut self, mut heard: mpsc::Receiver<Word>) -> Result<(), Closed> {
        let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
        let mut words = Vec::new();
        loop {
            tokio::select! {
                count = heard.recv_many(&mut words, BATCH_MAX) => if count == 0 { return Ok(()) },
                _ = expiry.tick() => words.push(Word { event: Event::Tick, with: With::Nothing, reply: None }),
            }
            let effects = words.drain(..).flat_map(|word| self.decide(word)).collect();
            self.perform(effects).await?;
            // Who was told nothing has nothing to wait for.
            self.replies.drain(..).for_each(|(_, reply)| drop(reply.send(Said::Done)));
        }
    }

    fn decide(&mut self, word: Word) -> Vec<Step> {
        let Word { event, with, reply } = word;
        let asked = match &event {
            Event::Asked(key)
            | Event::Starting(key)
            | Event::Ended(key)
            | Event::Lost(key)
            | Event::Evicted(key)
            | Event::Withdrawn(key)
            | Event::AskedToEnd(key)
            | Event::Released(key) => Asked::Run(*key),
            Event::AskedForAll { home, .. } => Asked::All(*home),
            Event::Tick => Asked::Nothing,
        };
        self.replies.extend(reply.map(|reply| (asked, reply)));
        let (mut request, mut recorded) = (None, None);
        match (with, asked) {
            (With::Task(task), Asked::Run(key)) if self.runs.state(&key).is_none() => {
                request = task.request();
                self.tasks.insert(key, task);
            }
            (With::Recorded(what), Asked::Run(key)) => {
                self.with(&key, |live| live.has_said(what.clone()));
                recorded = Some(what);
            }
            (With::Nothing | With::Task(_) | With::Recorded(_), _) => {}
        }
        let effects = self.runs.handle(self.now(), event);
        let step = |effect| match effect {
            Effect::Persist(record) => Step::Write(Box::new(RunRecord::with(record, request.take(), recorded.take()))),
            effect => Step::Do(effect),
        };
        effects.into_iter().map(step).collect()
    }

    /// Writes down what is to be written down, and then does the rest in order.
    async fn perform(&mut self, steps: Vec<Step>) -> Result<(), Closed> {
        let (mut writes, mut rest) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Write(record) => writes.push(*record),
                Step::Do(effect) => rest.push(effect),
            }
        }
        self.write(writes).await?;
        for effect in rest {
            self.perform_one(effect);
        }
        Ok(())
    }

    /// Returns when it is on disk; nothing is said before.
    async fn write(&self, records: Vec<RunRecord>) -> Result<(), Closed> {
        if records.is_empty() {
            return Ok(());
        }
        loop {
            match self.keeping.store.write(records.clone()).await {
                Ok(()) => return Ok(()),
                Err(RunStoreError::Closed) => return Err(Closed),
                Err(error) => tracing::error!(error = %chain(&error), "runs wait because they cannot be written down"),
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(_) => {}
            Effect::Accept(key) => self.reply(Asked::Run(key), &Said::Kept(Kept::Waiting)),
            Effect::Refuse(key, why) => {
                self.tasks.remove(&key);
                self.reply(Asked::Run(key), &Said::Refused(why));
            }
            Effect::Tell(key, kept) => {
                if matches!(kept, Kept::Evicted | Kept::Lost) {
                    self.with(&key, Live::give_up);
                }
                self.reply(Asked::Run(key), &Said::Kept(kept));
            }
            Effect::Inventory { home, runs, .. } => self.reply(Asked::All(home), &Said::All(runs)),
            Effect::Queue(key) => self.queue(key),
            Effect::Start(key) => self.with(&key, |live| live.start.notify_one()),
            Effect::AskToEnd(key) => self.with(&key, |live| live.asked.cancel()),
            Effect::Unqueue(key) | Effect::Stop(key) => self.with(&key, |live| live.stop.cancel()),
            Effect::Discard(key) => {
                self.tasks.remove(&key);
                self.live.remove(&key);
            }
        }
    }

    /// Has the run wait for its turn, in a task of its own.
    fn queue(&mut self, key: Key) {
        let live = self.live.enter(key);
        let (Some(task), Some(inner), Some(words)) =
            (self.tasks.remove(&key), self.inner.upgrade(), self.words.upgrade())
        else {
            return;
        };
        let kept = KeptRuns { words, live: self.live.clone(), clock: self.keeping.clock };
        tokio::spawn(async move {
            let running = tokio::spawn(run::run(inner, kept.clone(), key, task, live));
            if let Err(error) = running.await {
                tracing::error!(%error, run = %key.run, "a run that is kept broke off");
                // It ran, or it waited still.
                kept.tell(Event::Lost(key), With::Nothing).await;
                kept.tell(Event::Evicted(key), With::Nothing).await;
            }
        });
    }

    fn with(&self, key: &Key, act: impl FnOnce(&Live)) {
        if let Some(live) = self.live.get(key) {
            act(&live);
        }
    }

    /// Answers whoever asked about this first.
    fn reply(&mut self, about: Asked, said: &Said) {
        if let Some(at) = self.replies.iter().position(|(asked, _)| *asked == about) {
            // Who does not listen any more asks again.
            let _ = self.replies.remove(at).1.send(said.clone());
        }
    }

    fn now(&self) -> Now {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono: Mono(since), wall: Wall(self.keeping.clock.unix_now_ms()) }
    }
}

/// Something to be written down, or done.
enum Step {
    Write(Box<RunRecord>),
    Do(Effect),
}

impl Step {
    /// As it follows from what was written before.
    fn restored(effect: Effect) -> Self {
        match effect {
            Effect::Persist(record) => Self::Write(Box::new(RunRecord::with(record, None, None))),
            effect => Self::Do(effect),
        }
    }
}
