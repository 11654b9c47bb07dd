//! The runs this machine keeps for homes: performs what [`crate::state::runs`] decides. Requests of homes and ends of runs
//! come to one place, in one order; all that has come by then is written down together, and only then said or done.

mod checkpoints;

mod keeper;

mod live;

pub(crate) mod records;

mod requests;

mod run;

mod store;

use super::Inner;
use crate::clock::Clock;
use crate::identity::NodeId;
use crate::state::home::run::RunId;
use crate::state::home::words::{Kept, Refusal};
use crate::state::placement::Place;
use crate::state::runs::{Event, Key};
use crate::store::recording::Recorded;
pub(super) use checkpoints::Checkpoints;
use keeper::Keeper;
use live::LiveRuns;
use records::{RunRecord, RunStore, RunStoreError};
pub(super) use requests::answer;
use run::Task;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

/// Words that wait to be decided about; whoever has more to say waits.
const WORDS_MAX: usize = 1024;

/// The runs a node keeps. Clones are the same.
#[derive(Clone)]
pub(crate) struct KeptRuns {
    words: mpsc::Sender<Word>,
    live: LiveRuns,
    clock: Clock,
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
    /// Goes on with what an earlier process has kept for this machine and for these peers; what it kept for others goes. No
    /// other process may keep runs there now. Must be called within a Tokio runtime; it ends with the service. Blocks.
    ///
    /// # Errors
    /// [`RunStoreError`].
    pub(super) fn begin(inner: &Weak<Inner>, keeping: Keeping, trusted: &[NodeId]) -> Result<Self, RunStoreError> {
        let is_strange = |record: &RunRecord| matches!(record.key.home, Place::Peer(peer) if !trusted.contains(&peer));
        let (gone, saved): (Vec<_>, Vec<_>) = keeping.store.load()?.into_iter().partition(is_strange);
        let (words, heard) = mpsc::channel(WORDS_MAX);
        let kept = Self { words, live: LiveRuns::in_dir(&keeping.dir), clock: keeping.clock };
        let keeper = Keeper::of(&kept, keeping, inner.clone());
        tokio::spawn(keeper.keep(saved, gone.iter().map(|record| record.key).collect(), heard));
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

    /// Gives up all that runs or waits: this node is leaving, and their homes are to go elsewhere.
    pub(super) async fn evict_all(&self) {
        for key in self.live.keys() {
            self.live.get(&key).into_iter().for_each(|live| live.is_left());
            self.tell(Event::Evicted(key), With::Nothing).await;
        }
    }

    /// Ends and removes all of a peer that is not trusted any more.
    pub(super) async fn forget(&self, peer: NodeId) {
        let home = Place::Peer(peer);
        // Asked in its turn, so that what was asked for before is among it, also what has not begun.
        let Said::All(runs) = self.tell(Event::AskedForAll { home, ask: 0 }, With::Nothing).await else { return };
        for (run, _) in runs {
            self.tell(Event::Released(Key { home, run }), With::Nothing).await;
        }
    }

    /// Bytes that runs have said and left here, of the homes that are asked about.
    pub(super) fn stored_bytes(&self, of: impl Fn(Place) -> bool) -> u64 {
        self.live.stored_bytes(of)
    }
}

fn leaving() -> Refusal {
    Refusal::NotNow { why: "the node is leaving".to_owned(), retry_after_ms: 5_000 }
}
