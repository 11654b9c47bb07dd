//! The runs a node keeps, in its store of jobs.

use super::Keeping;
use super::records::{RunRecord, RunStore, RunStoreError};
use crate::clock::Clock;
use crate::identity::NodeId;
use crate::state::home::run::RunId;
use crate::state::home::words::Kept;
use crate::state::now::Wall;
use crate::state::placement::Place;
use crate::state::runs::Key;
use crate::store::jobs::{Change, JobStore, KeptRunRow, RecordingKey, Role, StoreError};
use crate::wire::{decode, encode};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

/// The home of runs of this machine's own jobs.
const HERE: [u8; 32] = [0; 32];

/// Remembers runs.
struct KeptRecords {
    store: JobStore,
}

impl Keeping {
    /// Runs are kept in these records; what they say, where it is long, in this directory, which is made.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn in_records(store: JobStore, dir: PathBuf) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Self { store: Arc::new(KeptRecords { store }), dir, clock: Clock::system() })
    }
}

#[async_trait::async_trait]
impl RunStore for KeptRecords {
    fn load(&self) -> Result<Vec<RunRecord>, RunStoreError> {
        let rows = self.store.kept_runs().map_err(unusable)?;
        rows.into_iter().map(|row| self.record(row)).collect()
    }

    async fn write(&self, records: Vec<RunRecord>) -> Result<(), RunStoreError> {
        let changes = records.into_iter().flat_map(changes).collect();
        self.store.synced(changes).await.map_err(unusable)
    }
}

impl KeptRecords {
    fn record(&self, row: KeptRunRow) -> Result<RunRecord, RunStoreError> {
        let KeptRunRow { key, state, since_ms, request } = row;
        // A state of a later version says at least that the run is not what it was.
        let kept = kept_of(state).unwrap_or(Kept::Lost);
        let recorded = self.store.recording(key).map_err(unusable)?;
        let home = if key.home == HERE { Place::Here } else { Place::Peer(NodeId::from_bytes(key.home)) };
        Ok(RunRecord {
            key: Key { home, run: RunId { job: key.job, attempt: key.attempt } },
            kept: Some((kept, Wall(since_ms))),
            request: request.and_then(|request| decode(&request).ok()),
            recorded,
        })
    }
}

fn unusable(error: StoreError) -> RunStoreError {
    match error {
        StoreError::Closed { .. } => RunStoreError::Closed,
        error => RunStoreError::Unusable(error.into()),
    }
}

fn changes(record: RunRecord) -> Vec<Change> {
    let RunRecord { key, kept, request, recorded } = record;
    let home = match key.home {
        Place::Here => HERE,
        Place::Peer(id) => *id.as_bytes(),
    };
    let key = RecordingKey { job: key.run.job, role: Role::Ran, home, attempt: key.run.attempt };
    let Some((kept, since)) = kept else { return vec![Change::ForgetKept(key)] };
    let request = request.map(|request| encode(&request).to_vec());
    let run = Change::KeptRun(Box::new(KeptRunRow { key, state: number_of(kept), since_ms: since.0, request }));
    let recording = recorded.map(|recorded| Change::Recording { key, recorded });
    std::iter::once(run).chain(recording).collect()
}

const fn number_of(kept: Kept) -> u8 {
    match kept {
        Kept::Waiting => 0,
        Kept::Running => 1,
        Kept::Ended => 2,
        Kept::Evicted => 3,
        Kept::Lost => 4,
    }
}

const fn kept_of(number: u8) -> Option<Kept> {
    Some(match number {
        0 => Kept::Waiting,
        1 => Kept::Running,
        2 => Kept::Ended,
        3 => Kept::Evicted,
        4 => Kept::Lost,
        _ => return None,
    })
}
