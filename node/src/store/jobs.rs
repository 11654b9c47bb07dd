//! What is known of jobs, those this machine gave away and those it ran for others: one SQLite file in the data directory,
//! which the daemon and any command may have open at once.
//!
//! 1. What was synced survives a power cut; what was only recorded survives the process, soon.
//! 2. A damaged file is put aside, never overwritten, and what can be read of it is taken over.
//! 3. A full disk is an error of whoever asks for more; what was accepted before stays.

pub mod job_record;

pub mod change;

mod failure;

mod schema;

mod rows;

mod opening;

mod rescue;

mod writer;

mod spool;

pub mod prefix;

pub mod history;

pub mod ledger;

pub mod recordings;

pub use change::Change;
pub use failure::StoreError;
pub use job_record::{End, JobRecord, OtherEnd, Role, RunRecord};
pub use ledger::KeptReceipt;
pub use prefix::IdError;
pub use recordings::{KeptRunRow, RecordingKey};
pub use rescue::Rescued;
pub use spool::Spooled;
pub use writer::Kept;

use crate::wire::JobId;
use opening::{Depth, Opened, Place};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use writer::Writer;

/// The records of jobs. Clones share everything; with the last, what waits is written and the file closed.
#[derive(Clone)]
pub struct JobStore {
    inner: Arc<Inner>,
}

/// Fields are dropped in this order: the writer ends, then the reader, then the lock.
struct Inner {
    writer: Mutex<Option<Arc<Writer>>>,
    reader: Mutex<Connection>,
    place: Place,
    kept: Kept,
    rescued: Option<Rescued>,
    _lock: opening::Lock,
}

impl JobStore {
    /// Opens the records in this data directory, which are made if there are none. What waits in the spool is taken in.
    /// Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(data_dir: &Path, kept: Kept) -> Result<Self, StoreError> {
        Self::open_at(Place::new(data_dir), kept)
    }

    fn open_at(place: Place, kept: Kept) -> Result<Self, StoreError> {
        let Opened { lock, mut connection, rescued } = opening::open(&place)?;
        spool::take_in(&place.spool(), |entries| take_in(&mut connection, &place.file(), &entries))?;
        let inner =
            Inner { writer: Mutex::default(), reader: Mutex::new(connection), place, kept, rescued, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether jobs were recorded in this data directory.
    #[must_use]
    pub fn is_in(data_dir: &Path) -> bool {
        Place::new(data_dir).file().exists()
    }

    /// Leaves a record for whoever opens the store next, without opening it: a command that ends now does not wait for a
    /// database. Only when much has been left the store is opened.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn leave(data_dir: &Path, entry: &Spooled, kept: Kept) -> Result<(), StoreError> {
        match spool::append(&Place::new(data_dir).spool(), entry)? {
            spool::Appended::Yes => Ok(()),
            spool::Appended::AndFull => Self::open(data_dir, kept).map(drop),
        }
    }

    /// Where the records lie.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.inner.place.file()
    }

    /// What became of a damaged file when this store was opened.
    #[must_use]
    pub fn rescued(&self) -> Option<&Rescued> {
        self.inner.rescued.as_ref()
    }

    /// Makes these changes, together or not at all; once this returns they survive a power cut.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them is made.
    pub async fn synced(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.writer()?.synced(changes).await
    }

    /// Makes these changes soon, together or not at all.
    ///
    /// # Errors
    /// [`StoreError`] when too much waits already, or the store is closed.
    pub fn recorded(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.writer()?.recorded(changes)
    }

    /// Writes what waits. Blocks; nothing can be changed afterwards.
    pub fn close(&self) {
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(writer) = writer {
            writer.close();
        }
    }

    /// What is wrong with the file, looked at closely; nothing, if it is whole. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be looked at.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        let reader = self.inner.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let faults = opening::check(&reader, &self.file(), Depth::Full)?;
        if !faults.is_empty() {
            self.inner.place.suspect();
        }
        Ok(faults)
    }

    /// What is known of a job. Blocks, as all that read here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn job(&self, id: JobId, role: Role) -> Result<Option<JobRecord>, StoreError> {
        self.read(|records| {
            let sql = format!("SELECT {} FROM jobs WHERE id = ?1 AND role = ?2", rows::JOB_COLUMNS);
            let mut statement = records.prepare_cached(&sql)?;
            let found = statement.query_row(params![id.0, role.number()], rows::job).optional()?;
            // An index that leads astray is damage.
            match found {
                Some(job) if (job.id, job.role) != (id, role) => Err(rows::astray()),
                found => Ok(found),
            }
        })
    }

    /// Those of these jobs that are known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn known(&self, ids: &[JobId], role: Role) -> Result<HashSet<JobId>, StoreError> {
        self.read(|records| {
            let mut statement = records.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND role = ?2")?;
            let mut known = HashSet::new();
            for id in ids {
                if statement.exists(params![id.0, role.number()])? {
                    known.insert(*id);
                }
            }
            Ok(known)
        })
    }

    /// What a job asks for, whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn request(&self, id: JobId, role: Role) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|records| {
            let sql = "SELECT bytes FROM requests WHERE id = ?1 AND role = ?2";
            let mut statement = records.prepare_cached(sql)?;
            statement.query_row(params![id.0, role.number()], |row| rows::opened(row, 0, id)).optional()
        })
    }

    /// The runs of a job, in the order of their numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn runs(&self, job: JobId, role: Role) -> Result<Vec<RunRecord>, StoreError> {
        self.read(|records| {
            let sql = format!("SELECT {} FROM runs WHERE job = ?1 AND role = ?2 ORDER BY attempt", rows::RUN_COLUMNS);
            let mut statement = records.prepare_cached(&sql)?;
            statement.query_map(params![job.0, role.number()], rows::run)?.collect()
        })
    }

    /// Everything the deciding code has said and that is not forgotten, in its order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn each_event(&self, mut tell: impl FnMut(JobId, &[u8])) -> Result<(), StoreError> {
        self.read(|records| {
            let mut statement = records.prepare_cached("SELECT job, bytes FROM events ORDER BY row")?;
            let mut events = statement.query([])?;
            while let Some(row) = events.next()? {
                let job = JobId(row.get(0)?);
                tell(job, &rows::opened(row, 1, job)?);
            }
            Ok(())
        })
    }

    /// What those who follow a job of this home are told of its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn told(&self, job: JobId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|records| {
            let mut statement = records.prepare_cached("SELECT bytes FROM ends WHERE job = ?1")?;
            statement.query_row([job.0], |row| rows::opened(row, 0, job)).optional()
        })
    }

    /// The jobs of a map of this home that ended at this time or later, in that order, with when; at most so many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ended_of_map(&self, map: JobId, from_ms: u64, max: u32) -> Result<Vec<(JobId, u64)>, StoreError> {
        self.read(|records| {
            // By its map, all of it would be looked at each time.
            let sql = "SELECT id, ended_ms FROM jobs INDEXED BY jobs_by_end WHERE map = ?1 AND role = ?2 AND ended_ms >= ?3 \
                 ORDER BY ended_ms, row LIMIT ?4";
            let which = params![map.0, Role::Sent.number(), rows::int(from_ms), max];
            let mut statement = records.prepare_cached(sql)?;
            statement.query_map(which, |row| Ok((JobId(row.get(0)?), row.get(1)?)))?.collect()
        })
    }

    /// The one job whose id begins so.
    ///
    /// # Errors
    /// [`IdError`].
    pub fn find(&self, prefix: &str) -> Result<JobId, IdError> {
        self.read(|records| prefix::find(records, prefix))?
    }

    /// The beginning of a job's id that tells it from every other here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn shortened(&self, id: JobId) -> Result<String, StoreError> {
        let digits = self.read(|records| prefix::digits_that_tell(records, id))?;
        Ok(id.to_string()[..digits].to_owned())
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let reader = self.inner.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let result = read(&reader).map_err(|error| StoreError::sqlite("read", &self.file(), error));
        if matches!(result, Err(StoreError::Damaged { .. })) {
            self.inner.place.suspect();
        }
        result
    }

    /// The writer, which begins with the first change.
    fn writer(&self) -> Result<Arc<Writer>, StoreError> {
        let mut writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = &*writer {
            return Ok(Arc::clone(writer));
        }
        let place = self.inner.place.clone();
        let started = Writer::start(place.connect()?, place.file(), self.inner.kept, move || place.suspect())?;
        Ok(Arc::clone(writer.insert(Arc::new(started))))
    }
}

/// Takes in what was left in the spool.
fn take_in(records: &mut Connection, path: &Path, entries: &[Spooled]) -> Result<(), StoreError> {
    let failed = |error| StoreError::sqlite("write", path, error);
    let taking = records.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    for Spooled { job, receipt } in entries {
        rows::put_job(&taking, job).map_err(failed)?;
        if let Some(kept) = receipt {
            ledger::keep(&taking, job.id, job.role, kept).map_err(failed)?;
        }
    }
    taking.commit().map_err(failed)
}

#[cfg(test)]
pub(crate) mod tests;
