//! What a runner remembers of its runs over a crash, and who remembers it.

use crate::state::home::words::Kept;
use crate::state::now::Wall;
use crate::state::runs::{Key, Record};
use crate::store::recording::Recorded;
use crate::wire::SubmitJob;

/// A run, as it is written down. What is not said again stays as it was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunRecord {
    /// Which.
    pub(crate) key: Key,
    /// How far it is, and since when; gone if nothing.
    pub(crate) kept: Option<(Kept, Wall)>,
    /// What is run; said once, with the first record.
    pub(crate) request: Option<SubmitJob>,
    /// What it left; said once, when it has ended.
    pub(crate) recorded: Option<Recorded>,
}

impl RunRecord {
    /// What is written of a decision.
    pub(super) fn with(record: Record, request: Option<SubmitJob>, recorded: Option<Recorded>) -> Self {
        match record {
            Record::Is { key, kept, at } => Self { key, kept: Some((kept, at)), request, recorded },
            Record::Gone(key) => Self { key, kept: None, request: None, recorded: None },
        }
    }

    /// The decision it was written for.
    pub(super) fn state(&self) -> Record {
        match self.kept {
            Some((kept, at)) => Record::Is { key: self.key, kept, at },
            None => Record::Gone(self.key),
        }
    }
}

/// Why runs cannot be written down or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunStoreError {
    /// They were closed, and will not be opened again.
    #[error("the records of runs are closed")]
    Closed,
    /// They cannot be used now.
    #[error("the records of runs cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Remembers runs.
#[async_trait::async_trait]
pub(crate) trait RunStore: Send + Sync {
    /// Every run that is not gone, as it was said last.
    ///
    /// # Errors
    /// [`RunStoreError`].
    fn load(&self) -> Result<Vec<RunRecord>, RunStoreError>;

    /// Writes all of these or none. They survive a crash when this returns.
    ///
    /// # Errors
    /// [`RunStoreError`]; nothing has changed then.
    async fn write(&self, records: Vec<RunRecord>) -> Result<(), RunStoreError>;
}
