//! The runs this machine keeps for homes: performs what [`crate::state::runs`] decides. Requests of homes and ends of runs
//! come to one place, in one order; all that has come by then is written down together, and only then said or done.

pub(crate) mod records;

mod requests;

mod run;

mod store;

use super::Inner;
use crate::clock::Clock;
use crate::state::home::run::RunId;
use crate::state::home::words::{Kept, Refusal};
use crate::state::now::{Mono, Now, Wall};
use crate::state::placement::Place;
use crate::state::runs::{Effect, Event, Key, Runs};
use crate::store::recording::{self, Follower, Recorded, Recorder};
use records::{RunRecord, RunStore, RunStoreError};
pub(super) use requests::answer;
use run::Task;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Words that wait to be decided about; whoever has more to say waits.
const WORDS_MAX: usize = 1024;
/// Words that are written down together.
const BATCH_MAX: usize = 256;
/// How often runs are looked at whose keeping time may be over.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long the store is left alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The runs a node keeps. Clones are the same.
#[derive(Clone)]
pub(crate) struct KeptRuns {
    words: mpsc::Sender<Word>,
    live: LiveRuns,
    dir: Arc<Path>,
    clock: Clock,
}

/// What lives in this process of each run that is kept.
type LiveRuns = Arc<Mutex<HashMap<Key, Arc<Live>>>>;

/// A run as long as this process knows it.
struct Live {
    recorder: Recorder,
    /// What the recording has come to, once the run has ended.
    recorded: Mutex<Option<Recorded>>,
    /// Its turn has come.
    start: Notify,
    /// Nobody wants it any more.
    stop: CancellationToken,
    /// This node is leaving: that stops it, and not its home.
    leaving: AtomicBool,
}

/// Something to be decided about.
struct Word {
    event: Event,
    /// What is written down with it.
    with: With,
    reply: Option<oneshot::Sender<Said>>,
}

/// What comes with an event.
enum With {
    Nothing,
    /// What is to be run, if the run is new.
    Task(Box<Task>),
    Recorded(Recorded),
}

/// What is said to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The run is kept, and this far.
    Kept(Kept),
    /// It is not.
    Refused(Refusal),
    /// All that is kept for a home.
    All(Vec<(RunId, Kept)>),
    /// Nothing more.
    Done,
}

/// Where and how runs are kept.
pub(crate) struct Keeping {
    /// What remembers them.
    pub(crate) store: Arc<dyn RunStore>,
    /// Where long recordings lie.
    pub(crate) dir: PathBuf,
    /// What time it is.
    pub(crate) clock: Clock,
}

impl KeptRuns {
    /// Goes on with what was kept. Must be called within a Tokio runtime; it ends with the service.
    ///
    /// # Errors
    /// [`RunStoreError`].
    pub(super) fn open(inner: &Weak<Inner>, keeping: Keeping) -> Result<Self, RunStoreError> {
        let saved = keeping.store.load()?;
        let (words, heard) = mpsc::channel(WORDS_MAX);
        let kept = Self { words, live: LiveRuns::default(), dir: keeping.dir.clone().into(), clock: keeping.clock };
        let started = Instant::now();
        let now = now(keeping.clock, started);
        let (runs, effects) = Runs::restored(saved.iter().map(RunRecord::state), now);
        let mut keeper = Keeper {
            runs,
            keeping,
            inner: inner.clone(),
            kept: kept.clone(),
            started,
            tasks: HashMap::new(),
            replies: Vec::new(),
        };
        keeper.recover(saved);
        tokio::spawn(async move {
            keeper.perform(effects.into_iter().map(Step::restored).collect()).await;
            keeper.listen(heard).await;
        });
        Ok(kept)
    }

    /// Has something decided and done, and says what is said to whoever asks.
    async fn tell(&self, event: Event, with: With) -> Said {
        let (reply, said) = oneshot::channel();
        // The keeper is there as long as the service.
        if self.words.send(Word { event, with, reply: Some(reply) }).await.is_err() {
            return Said::Refused(leaving());
        }
        said.await.unwrap_or_else(|_| Said::Refused(leaving()))
    }

    /// Follows what a run says, from this byte on.
    fn follow(&self, key: &Key, from: u64) -> Option<io::Result<Follower>> {
        let live = self.lock().get(key).cloned()?;
        let recorded = live.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(match recorded {
            Some(recorded) => Follower::of(recorded, &path_of(&self.dir, key), from),
            None => Ok(live.recorder.follow(from)),
        })
    }

    /// Gives up all that runs or waits: this node is leaving, and their homes are to go elsewhere.
    pub(super) async fn evict_all(&self) {
        let keys: Vec<Key> = self.lock().keys().copied().collect();
        for key in keys {
            self.lock().get(&key).into_iter().for_each(|live| live.leaving.store(true, Ordering::Relaxed));
            self.tell(Event::Evicted(key), With::Nothing).await;
        }
    }

    /// Bytes that runs have said and left here, of the homes that are asked about.
    pub(super) fn stored_bytes(&self, of: impl Fn(Place) -> bool) -> u64 {
        let live = self.lock();
        let runs = live.iter().filter(|(key, _)| of(key.home));
        runs.fold(0, |sum, (_, live)| sum.saturating_add(live.stored_bytes()))
    }

    /// Removes recordings of runs that are not kept: an earlier process forgot them and was killed before they were gone. No
    /// other process may keep runs there now.
    pub(super) fn sweep(&self) {
        // Looked at first: what is made from now on is of a run that is kept by then.
        let files: Vec<PathBuf> =
            std::fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let kept: HashSet<PathBuf> = self.lock().keys().map(|key| path_of(&self.dir, key)).collect();
        for file in files.iter().filter(|file| !kept.contains(*file)) {
            // What cannot be removed is tried again at the next start.
            let _ = recording::remove(file);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn at(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            recorder: Recorder::new(path),
            recorded: Mutex::default(),
            start: Notify::new(),
            stop: CancellationToken::new(),
            leaving: AtomicBool::new(false),
        })
    }

    fn stored_bytes(&self) -> u64 {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.as_ref().map_or_else(|| self.recorder.len(), Recorded::len)
    }
}

/// Decides and performs, one thing after the other.
struct Keeper {
    runs: Runs,
    keeping: Keeping,
    inner: Weak<Inner>,
    kept: KeptRuns,
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

impl Keeper {
    /// Takes up what an earlier process has left.
    fn recover(&mut self, saved: Vec<RunRecord>) {
        for record in saved {
            let key = record.key;
            let live = Live::at(&path_of(&self.kept.dir, &key));
            *live.recorded.lock().unwrap_or_else(PoisonError::into_inner) = record.recorded;
            self.kept.lock().insert(key, live);
            if let Some(request) = record.request {
                self.tasks.insert(key, Task::Saved(request));
            }
        }
    }

    async fn listen(mut self, mut heard: mpsc::Receiver<Word>) {
        let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
        let mut words = Vec::new();
        loop {
            tokio::select! {
                count = heard.recv_many(&mut words, BATCH_MAX) => if count == 0 { return },
                _ = expiry.tick() => words.push(Word { event: Event::Tick, with: With::Nothing, reply: None }),
            }
            let effects = words.drain(..).flat_map(|word| self.decide(word)).collect();
            self.perform(effects).await;
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
            | Event::Released(key) => Asked::Run(*key),
            Event::AskedForAll { home, .. } => Asked::All(*home),
            Event::Tick => Asked::Nothing,
        };
        self.replies.extend(reply.map(|reply| (asked, reply)));
        let (mut request, mut recorded) = (None, None);
        match (with, asked) {
            (With::Task(task), Asked::Run(key)) if self.runs.state(&key).is_none() => {
                request = task.request();
                self.tasks.insert(key, *task);
            }
            (With::Recorded(what), Asked::Run(key)) => {
                if let Some(live) = self.kept.lock().get(&key) {
                    *live.recorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.clone());
                }
                recorded = Some(what);
            }
            (With::Nothing | With::Task(_) | With::Recorded(_), _) => {}
        }
        let effects = self.runs.handle(now(self.keeping.clock, self.started), event);
        let step = |effect| match effect {
            Effect::Persist(record) => Step::Write(Box::new(RunRecord::with(record, request.take(), recorded.take()))),
            effect => Step::Do(effect),
        };
        effects.into_iter().map(step).collect()
    }

    /// Writes down what is to be written down, and then does the rest in order.
    async fn perform(&mut self, steps: Vec<Step>) {
        let (mut writes, mut rest) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Write(record) => writes.push(*record),
                Step::Do(effect) => rest.push(effect),
            }
        }
        self.write(writes).await;
        for effect in rest {
            self.perform_one(effect);
        }
    }

    /// Returns when it is on disk; nothing is said before.
    async fn write(&self, records: Vec<RunRecord>) {
        if records.is_empty() {
            return;
        }
        while let Err(error) = self.keeping.store.write(records.clone()).await {
            tracing::error!(error = %super::chain(&error), "runs wait because they cannot be written down");
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
            Effect::Tell(key, kept) => self.reply(Asked::Run(key), &Said::Kept(kept)),
            Effect::Inventory { home, runs, .. } => self.reply(Asked::All(home), &Said::All(runs)),
            Effect::Queue(key) => self.queue(key),
            Effect::Start(key) => self.with(&key, |live| live.start.notify_one()),
            Effect::Unqueue(key) | Effect::Stop(key) => self.with(&key, |live| live.stop.cancel()),
            Effect::Discard(key) => self.discard(key),
        }
    }

    /// Has the run wait for its turn, in a task of its own.
    fn queue(&mut self, key: Key) {
        let live = Live::at(&path_of(&self.kept.dir, &key));
        self.kept.lock().insert(key, live.clone());
        let (Some(task), Some(inner)) = (self.tasks.remove(&key), self.inner.upgrade()) else { return };
        tokio::spawn(run::run(inner, self.kept.clone(), key, task, live));
    }

    fn discard(&mut self, key: Key) {
        self.tasks.remove(&key);
        let live = self.kept.lock().remove(&key);
        if let Some(live) = live {
            live.recorder.give_up();
            live.stop.cancel();
        }
        let path = path_of(&self.kept.dir, &key);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = recording::remove(&path) {
                tracing::warn!(path = %path.display(), %error, "what a run left cannot be removed");
            }
        });
    }

    fn with(&self, key: &Key, act: impl FnOnce(&Live)) {
        if let Some(live) = self.kept.lock().get(key) {
            act(live);
        }
    }

    /// Answers whoever asked about this first.
    fn reply(&mut self, about: Asked, said: &Said) {
        if let Some(at) = self.replies.iter().position(|(asked, _)| *asked == about) {
            // Who does not listen any more asks again.
            let _ = self.replies.remove(at).1.send(said.clone());
        }
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

fn leaving() -> Refusal {
    Refusal::NotNow { why: "the node is leaving".to_owned(), retry_after_ms: 5_000 }
}

fn now(clock: Clock, started: Instant) -> Now {
    let since = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Now { mono: Mono(since), wall: Wall(clock.unix_now_ms()) }
}

/// Where a run's recording lies, should it be long.
fn path_of(dir: &Path, key: &Key) -> PathBuf {
    let home = match key.home {
        Place::Here => "here".to_owned(),
        Place::Peer(id) => data_encoding::HEXLOWER.encode(id.as_bytes()),
    };
    dir.join(format!("{home}-{}-{}", key.run.job, key.run.attempt))
}
