//! What runs said and left, and the runs that are kept for homes. A short recording is a row; of a long one the row says how
//! much of its file counts.

use super::change::Change;
use super::failure::StoreError;
use super::job_record::Role;
use super::prefix::bounds;
use super::{JobStore, rows};
use crate::store::recording::Recorded;
use crate::wire::JobId;
use rusqlite::{OptionalExtension, Row, Transaction, params};

/// Which recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordingKey {
    /// Of which job.
    pub job: JobId,
    /// Sent: of a job of this home. Ran: of a run that is kept for a home.
    pub role: Role,
    /// The node whose job it is; all 0 for this one.
    pub home: [u8; 32],
    /// Of which run.
    pub attempt: u32,
}

/// A run that is kept for a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRunRow {
    /// Which; its role is Ran.
    pub key: RecordingKey,
    /// How far it is, in the numbers of whoever writes it.
    pub state: u8,
    /// Since when.
    pub since_ms: u64,
    /// What is run; nothing where it was written before.
    pub request: Option<Vec<u8>>,
}

pub(super) const RECORDING_COLUMNS: &str = "job, role, home, attempt, len, bytes";
pub(super) const KEPT_COLUMNS: &str = "job, home, attempt, state, since_ms, request";

/// Writes a recording, in place of what was known of it.
pub(super) fn put(to: &Transaction<'_>, key: &RecordingKey, recorded: &Recorded) -> rusqlite::Result<()> {
    let (len, bytes) = match recorded {
        Recorded::Inline(bytes) => (bytes.len() as u64, Some(rows::sealed(key.job, bytes))),
        Recorded::File { len } => (*len, None),
    };
    let sql =
        "INSERT OR REPLACE INTO recordings (job, role, home, attempt, len, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![key.job.0, key.role.number(), key.home, key.attempt, rows::int(len), bytes];
    to.prepare_cached(sql)?.execute(values).map(drop)
}

/// Forgets what other runs of a job of this home said than these.
pub(super) fn keep_only(to: &Transaction<'_>, job: JobId, attempts: &[u32]) -> rusqlite::Result<()> {
    let role = Role::Sent.number();
    let mut statement = to.prepare_cached("SELECT attempt FROM recordings WHERE job = ?1 AND role = ?2")?;
    let known = statement.query_map(params![job.0, role], |row| row.get(0))?.collect::<Result<Vec<u32>, _>>()?;
    for other in known.iter().filter(|attempt| !attempts.contains(attempt)) {
        let sql = "DELETE FROM recordings WHERE job = ?1 AND role = ?2 AND attempt = ?3";
        to.prepare_cached(sql)?.execute(params![job.0, role, other])?;
    }
    Ok(())
}

/// Forgets all that the runs of an ended job of this home said; its record says that this is kept no more.
pub(super) fn free(to: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    remove(to, job)?;
    let sql = "UPDATE jobs SET keep_until_ms = 0 WHERE id = ?1 AND role = ?2 AND ended_ms IS NOT NULL";
    to.prepare_cached(sql)?.execute(params![job.0, Role::Sent.number()]).map(drop)
}

/// Forgets all that the runs of a job of this home said.
pub(super) fn remove(to: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM recordings WHERE job = ?1 AND role = ?2";
    to.prepare_cached(sql)?.execute(params![job.0, Role::Sent.number()]).map(drop)
}

/// Writes a run that is kept, in place of what was known of it but for its request.
pub(super) fn put_kept(to: &Transaction<'_>, run: &KeptRunRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO kept_runs (job, home, attempt, state, since_ms, request) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (job, home, attempt) DO UPDATE SET state = ?4, since_ms = ?5, request = coalesce(?6, request)";
    let request = run.request.as_ref().map(|request| rows::sealed(run.key.job, request));
    let RecordingKey { job, home, attempt, .. } = run.key;
    to.prepare_cached(sql)?
        .execute(params![job.0, home, attempt, run.state, rows::int(run.since_ms), request])
        .map(drop)
}

/// Forgets a run that was kept, and what it said.
pub(super) fn forget_kept(to: &Transaction<'_>, key: &RecordingKey) -> rusqlite::Result<()> {
    let which = params![key.job.0, key.home, key.attempt];
    to.prepare_cached("DELETE FROM kept_runs WHERE job = ?1 AND home = ?2 AND attempt = ?3")?.execute(which)?;
    let sql = "DELETE FROM recordings WHERE job = ?1 AND home = ?2 AND attempt = ?3 AND role = ?4";
    let which = params![key.job.0, key.home, key.attempt, Role::Ran.number()];
    to.prepare_cached(sql)?.execute(which).map(drop)
}

fn key(row: &Row<'_>) -> rusqlite::Result<RecordingKey> {
    Ok(RecordingKey { job: JobId(row.get(0)?), role: rows::role(row, 1)?, home: row.get(2)?, attempt: row.get(3)? })
}

/// The recording whose length is in column `at`, and its bytes, if it is short, in the next.
fn recorded(row: &Row<'_>, at: usize, job: JobId) -> rusqlite::Result<Recorded> {
    let is_inline = row.get_ref(at + 1)? != rusqlite::types::ValueRef::Null;
    if is_inline {
        return rows::opened(row, at + 1, job).map(Recorded::Inline);
    }
    Ok(Recorded::File { len: row.get(at)? })
}

/// The recording in a row of [`RECORDING_COLUMNS`].
pub(super) fn recording(row: &Row<'_>) -> rusqlite::Result<Change> {
    let key = key(row)?;
    Ok(Change::Recording { key, recorded: recorded(row, 4, key.job)? })
}

/// The kept run in a row of [`KEPT_COLUMNS`].
pub(super) fn kept(row: &Row<'_>) -> rusqlite::Result<KeptRunRow> {
    let job = JobId(row.get(0)?);
    let key = RecordingKey { job, role: Role::Ran, home: row.get(1)?, attempt: row.get(2)? };
    let has_request = row.get_ref(5)? != rusqlite::types::ValueRef::Null;
    let request = if has_request { Some(rows::opened(row, 5, job)?) } else { None };
    Ok(KeptRunRow { key, state: row.get(3)?, since_ms: row.get(4)?, request })
}

impl JobStore {
    /// What a run said.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recording(&self, key: RecordingKey) -> Result<Option<Recorded>, StoreError> {
        self.read(|records| {
            let sql = "SELECT len, bytes FROM recordings WHERE job = ?1 AND role = ?2 AND home = ?3 AND attempt = ?4";
            let which = params![key.job.0, key.role.number(), key.home, key.attempt];
            records.prepare_cached(sql)?.query_row(which, |row| recorded(row, 0, key.job)).optional()
        })
    }

    /// The last run of a job of this home that said something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recorded_run(&self, job: JobId) -> Result<Option<u32>, StoreError> {
        self.read(|records| {
            let sql = "SELECT max(attempt) FROM recordings WHERE job = ?1 AND role = ?2";
            records.prepare_cached(sql)?.query_row(params![job.0, Role::Sent.number()], |row| row.get(0))
        })
    }

    /// The ended jobs of this home whose output is not to be kept any more: its time is over, or more than so many bytes are
    /// kept of jobs that ended later. What ended last is kept however long it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recordings_to_free(&self, bytes_max: u64, now_ms: u64) -> Result<Vec<JobId>, StoreError> {
        self.read(|records| {
            let sql = "SELECT jobs.id, coalesce(jobs.keep_until_ms, 0), sum(recordings.len) FROM recordings \
                 JOIN jobs ON jobs.id = recordings.job AND jobs.role = recordings.role \
                 WHERE recordings.role = ?1 AND jobs.ended_ms IS NOT NULL GROUP BY jobs.id ORDER BY jobs.ended_ms DESC";
            let mut statement = records.prepare_cached(sql)?;
            let mut rows = statement.query([Role::Sent.number()])?;
            let (mut kept_bytes, mut over) = (0u64, Vec::new());
            while let Some(row) = rows.next()? {
                let (keep_until_ms, bytes): (u64, u64) = (row.get(1)?, row.get(2)?);
                let total = kept_bytes.saturating_add(bytes);
                if keep_until_ms <= now_ms || (kept_bytes > 0 && total > bytes_max) {
                    over.push(JobId(row.get(0)?));
                } else {
                    kept_bytes = total;
                }
            }
            Ok(over)
        })
    }

    /// Every recording that is a file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recording_files(&self) -> Result<Vec<RecordingKey>, StoreError> {
        self.read(|records| {
            let sql = "SELECT job, role, home, attempt FROM recordings WHERE bytes IS NULL";
            records.prepare_cached(sql)?.query_map([], key)?.collect()
        })
    }

    /// The jobs with runs that are kept and whose ids begin so; two at most, which tells whether it is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn kept_jobs(&self, beginning: &str) -> Result<Vec<JobId>, StoreError> {
        let Some((first, last)) = bounds(beginning) else { return Ok(Vec::new()) };
        self.read(|records| {
            let sql = "SELECT DISTINCT job FROM kept_runs WHERE job BETWEEN ?1 AND ?2 ORDER BY job LIMIT 2";
            records.prepare_cached(sql)?.query_map([first.0, last.0], |row| row.get(0).map(JobId))?.collect()
        })
    }

    /// The runs of one job that are kept, for whomever.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn kept_runs_of(&self, job: JobId) -> Result<Vec<KeptRunRow>, StoreError> {
        self.read(|records| {
            let sql = format!("SELECT {KEPT_COLUMNS} FROM kept_runs WHERE job = ?1 ORDER BY row");
            records.prepare_cached(&sql)?.query_map([job.0], kept)?.collect()
        })
    }

    /// Every run that is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn kept_runs(&self) -> Result<Vec<KeptRunRow>, StoreError> {
        self.read(|records| {
            let sql = format!("SELECT {KEPT_COLUMNS} FROM kept_runs ORDER BY row");
            records.prepare_cached(&sql)?.query_map([], kept)?.collect()
        })
    }
}
