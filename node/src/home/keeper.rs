//! The task of a home that decides and performs.

use super::conversation::{self, Teller};
use super::records::Write;
use super::shared::Shared;
use super::{With, Word};
use crate::clock::Clock;
use crate::service::{blocking, chain};
use crate::state::home::Home;
use crate::state::home::end::End;
use crate::state::home::run::RunId;
use crate::state::home::spec::Input;
use crate::state::home::words::{Cancel, Effect, Event, Record};
use crate::state::now::{Mono, Now, Wall};
use crate::state::placement::Place;
use crate::store::blobs::BlobLease;
use crate::store::jobs::StoreError;
use crate::wire::{JobAt, JobId, JobNow};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// Words that are written down together.
const BATCH_MAX: usize = 512;
/// How long the store is left alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is to be done after some words were decided about: first written down, then said and done.
#[derive(Default)]
struct Doing {
    writes: Vec<Write>,
    effects: Vec<Effect>,
    /// Runs that are over, and those that decide their jobs.
    over: Vec<RunId>,
    winners: Vec<RunId>,
    /// Who waits for nothing but that it is written down.
    replies: Vec<oneshot::Sender<Result<(), String>>>,
}

pub(super) struct Keeper {
    home: Home,
    clock: Clock,
    started: Instant,
    shared: Arc<Shared>,
    words: mpsc::WeakSender<Word>,
    wake_at: Option<Mono>,
    /// Conversations with machines, and whoever frees what is not to be kept.
    talks: JoinSet<()>,
    /// Those of them that give a run to a machine. One may send gigabytes first, and need not be begun again meanwhile.
    starts: HashMap<(Place, RunId), AbortHandle>,
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
        let (talks, starts, replies) = (JoinSet::new(), HashMap::new(), HashMap::new());
        Self { home, clock, started, shared, words, wake_at: None, talks, starts, replies }
    }

    /// Has this go on as long as it does.
    pub(super) fn sweeps(&mut self, sweeper: impl Future<Output = ()> + Send + 'static) {
        self.talks.spawn(sweeper);
    }

    pub(super) async fn keep(
        mut self,
        effects: Vec<Effect>,
        mut heard: mpsc::Receiver<Word>,
        mut seen: mpsc::Receiver<Event>,
    ) {
        let mut doing = Doing::default();
        self.plan(effects, &mut doing);
        if self.perform(doing).await.is_none() {
            return;
        }
        let (mut machines, mut words) = (Vec::new(), Vec::new());
        loop {
            let wake = self.wake_in();
            tokio::select! {
                count = heard.recv_many(&mut words, BATCH_MAX) => if count == 0 { return },
                Some(event) = seen.recv() => machines.push(Word::of(event)),
                Some(_) = self.talks.join_next(), if !self.talks.is_empty() => {
                    self.forget_starts();
                    continue;
                }
                () = tokio::time::sleep(wake) => {
                    self.wake_at = None;
                    words.push(Word::of(Event::Tick));
                }
            }
            let mut doing = Doing::default();
            // What became of machines comes first: the rest is decided by it.
            machines.extend(std::iter::from_fn(|| seen.try_recv().ok()).take(BATCH_MAX).map(Word::of));
            for word in machines.drain(..).chain(words.drain(..)) {
                self.decide(word, &mut doing).await;
            }
            if self.perform(doing).await.is_none() {
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

    async fn decide(&mut self, word: Word, doing: &mut Doing) {
        let Word { mut event, mut with, mut reply } = word;
        if let (Event::Submitted { jobs, .. }, With::Asked(asked)) = (&mut event, &mut with) {
            let known = match self.known(jobs.iter().map(|job| job.id).collect()).await {
                Ok(known) => known,
                Err(error) => return reply.into_iter().for_each(|reply| drop(reply.send(Err(chain(&error))))),
            };
            jobs.retain(|job| !known.contains(&job.id));
            asked.retain(|asked| !known.contains(&asked.submit.job));
            match jobs.first() {
                Some(first) => self.replies.extend(reply.take().map(|reply| (first.id, reply))),
                // What this home has had already is accepted, once all that was said before is written down.
                None => return doing.replies.extend(reply),
            }
        }
        let with = match with {
            With::Checkpoint(lease) => {
                let effects = self.home.handle(self.now(), event);
                self.goes_on_from(&effects, lease);
                return self.plan(effects, doing);
            }
            with => with,
        };
        self.take(with, &mut doing.writes);
        let effects = self.home.handle(self.now(), event);
        self.plan(effects, doing);
        doing.replies.extend(reply);
    }

    /// Holds the bytes of a checkpoint that counts.
    fn goes_on_from(&self, effects: &[Effect], lease: Option<(BlobLease, u64)>) {
        let counts = effects.iter().find_map(|effect| match effect {
            Effect::Persist(Record::Checkpointed { run, .. }) => Some(run.job),
            _ => None,
        });
        if let Some(job) = counts {
            self.shared.goes_on_from(job, lease);
        }
    }

    /// Those of these jobs that this home has had.
    async fn known(&self, mut jobs: Vec<JobId>) -> Result<HashSet<JobId>, StoreError> {
        let mut known: HashSet<JobId> = jobs.iter().copied().filter(|job| self.home.has(*job)).collect();
        jobs.retain(|job| !known.contains(job));
        let shared = self.shared.clone();
        known.extend(blocking(move || shared.records.known(&jobs)).await?);
        Ok(known)
    }

    /// What comes with an event.
    fn take(&mut self, with: With, writes: &mut Vec<Write>) {
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
            With::Rehearse(spec, reply) => drop(reply.send(self.home.rehearse(self.now(), *spec))),
            With::Nothing | With::Checkpoint(_) => {}
        }
    }

    /// Adds what follows from one event to what is to be done.
    fn plan(&self, effects: Vec<Effect>, doing: &mut Doing) {
        for effect in effects {
            let record = match effect {
                Effect::Persist(record) => record,
                effect => {
                    if let Effect::NotAccepted { jobs, .. } = &effect {
                        let jobs: HashSet<JobId> = jobs.iter().copied().collect();
                        doing.writes.retain(|write| !jobs.contains(&write.job()));
                    }
                    doing.effects.push(effect);
                    continue;
                }
            };
            match &record {
                Record::End { job, end, winner, .. } => {
                    doing.writes.push(Write::Told(self.told(*job, end, *winner)));
                    doing.winners.extend(winner.map(|(run, _)| run));
                }
                Record::RunOver { run, .. } => doing.over.push(*run),
                Record::Batch(_)
                | Record::Job(_)
                | Record::Run { .. }
                | Record::Checkpointed { .. }
                | Record::Ending { .. } => {}
            }
            doing.writes.push(Write::Decided(record));
        }
    }

    /// Writes down what is to be written down, and then does the rest in order. None when nothing can be written any more,
    /// because the node is leaving: then nothing is done either.
    async fn perform(&mut self, mut doing: Doing) -> Option<()> {
        while let Err(error) = self.write(&doing.writes).await {
            if matches!(error, StoreError::Closed { .. }) {
                return None;
            }
            // Whoever asks for more is told; the rest was promised before, and is tried until it can be written.
            if !self.take_back(&mut doing, &chain(&error)) {
                tracing::error!(error = %chain(&error), "jobs wait because they cannot be written down");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
        doing.replies.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
        doing.over.into_iter().for_each(|run| self.shared.run_is_over(run));
        doing.winners.into_iter().for_each(|run| self.shared.decides(run));
        for effect in doing.effects {
            self.perform_one(effect);
        }
        Some(())
    }

    /// Takes back the jobs that were about to be accepted, as if they had never been given. False when there are none.
    fn take_back(&mut self, doing: &mut Doing, why: &str) -> bool {
        let asked = |write: &Write| matches!(write, Write::Asked(..)).then(|| write.job());
        let jobs: HashSet<JobId> = doing.writes.iter().filter_map(asked).collect();
        for job in &jobs {
            let effects = self.home.handle(self.now(), Event::Cancelled { job: *job, how: Cancel::Now });
            self.plan(effects, doing);
        }
        // A map is written down with its first jobs.
        doing.writes.retain(|write| !jobs.contains(&write.job()) && !write.is_map());
        doing.over.retain(|run| !jobs.contains(&run.job));
        doing.winners.retain(|run| !jobs.contains(&run.job));
        for effect in std::mem::take(&mut doing.effects) {
            match effect {
                Effect::Accepted { jobs: accepted } if accepted.iter().any(|job| jobs.contains(job)) => {
                    self.answer(&accepted, &Err(why.to_owned()));
                }
                effect if effect.job().is_some_and(|job| jobs.contains(&job)) => {}
                effect => doing.effects.push(effect),
            }
        }
        jobs.iter().for_each(|job| self.shared.forget(*job));
        !jobs.is_empty()
    }

    /// What is told of a job that ends.
    fn told(&self, job: JobId, end: &End, winner: Option<(RunId, Place)>) -> JobNow {
        let view = self.shared.view(job);
        let (map, task) = view.as_ref().map_or((None, None), |view| (view.now.map, view.now.task));
        // Where no run counts, it is the last that was heard of.
        let counts = winner.or_else(|| view.as_ref().and_then(|view| view.run));
        let named = counts.map(|(_, place)| self.shared.name_of(place));
        let place = named.or_else(|| view.and_then(|view| view.now.place));
        let attempt = counts.map_or(0, |(run, _)| run.attempt);
        JobNow { job, map, task, at: JobAt::Ended(end.clone()), place, attempt, progress: None, checkpoint: None }
    }

    async fn write(&self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.shared.records.write(writes, |id| self.shared.name_of(Place::Peer(id))).await
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(_) => {}
            Effect::Accepted { jobs } => self.answer(&jobs, &Ok(())),
            Effect::NotAccepted { jobs, why } => {
                jobs.iter().for_each(|job| self.shared.forget(*job));
                self.answer(&jobs, &Err(why));
            }
            Effect::Start { place, run, restore } => self.start(place, run, restore),
            Effect::Collect { place, run } => drop(self.talk(conversation::collect, place, run)),
            Effect::Withdraw { place, run } => drop(self.talk(conversation::withdraw, place, run)),
            Effect::AskToEnd { place, run } => drop(self.talk(conversation::ask_to_end, place, run)),
            Effect::Release { place, run } => {
                // Whatever is on its way is of no use any more.
                if let Some(start) = self.starts.remove(&(place, run)) {
                    start.abort();
                }
                drop(self.talk(conversation::release, place, run));
            }
            Effect::Attach { place, ask } => {
                if let Some(teller) = self.teller() {
                    self.talks.spawn(conversation::attach(teller, place, ask));
                }
            }
            Effect::Tell { job, news } => self.shared.tell(job, news),
            Effect::WakeAt(at) => self.wake_at = Some(at),
        }
    }

    /// Gives a run to a machine, unless that is under way.
    fn start(&mut self, place: Place, run: RunId, restore: Option<Input>) {
        if self.starts.get(&(place, run)).is_some_and(|start| !start.is_finished()) {
            return;
        }
        let begin = move |teller, place, run| conversation::start(teller, place, run, restore);
        if let Some(start) = self.talk(begin, place, run) {
            self.starts.insert((place, run), start);
        }
    }

    /// Forgets the starts that are over, when there are twice as many as conversations.
    fn forget_starts(&mut self) {
        if self.starts.len() > 2 * self.talks.len() {
            self.starts.retain(|_, start| !start.is_finished());
        }
    }

    fn talk<F>(&mut self, talk: impl FnOnce(Teller, Place, RunId) -> F, place: Place, run: RunId) -> Option<AbortHandle>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let teller = self.teller()?;
        Some(self.talks.spawn(talk(teller, place, run)))
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
