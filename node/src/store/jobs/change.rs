//! What can be changed in the store. The changes of one request are made together or not at all.

use super::job_record::{JobRecord, Role, RunRecord};
use super::ledger::{self, KeptReceipt, LedgerRow};
use super::recordings::{self, KeptRunRow, RecordingKey};
use super::rows;
use crate::store::recording::Recorded;
use crate::wire::JobId;
use rusqlite::{Transaction, params};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A job is known, or more is known of it.
    Job(Box<JobRecord>),
    /// What a job asks for, whole. Whoever writes it puts a version into it.
    Request {
        /// The job.
        id: JobId,
        /// Which side of it this machine is.
        role: Role,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A run is known, or more is known of it.
    Run(Box<RunRecord>),
    /// The deciding code said this of a job; it is told again, in order, after a crash.
    Event {
        /// The job, or the map.
        job: JobId,
        /// The bytes, with a version of their own.
        bytes: Vec<u8>,
    },
    /// What the deciding code said of this job is of no use any more.
    ForgetEvents(JobId),
    /// What was signed about a job; it follows the job's end.
    Receipt {
        /// The job.
        job: JobId,
        /// Which side of it this machine is.
        role: Role,
        /// The receipt.
        kept: Box<KeptReceipt>,
    },
    /// How a job of this home has ended, as those who follow it are told.
    Told {
        /// The job.
        job: JobId,
        /// The bytes, with a version of their own.
        bytes: Vec<u8>,
    },
    /// What a run said and left.
    Recording {
        /// Which.
        key: RecordingKey,
        /// What.
        recorded: Recorded,
    },
    /// Of what the runs of a job of this home said only that of these is kept.
    OnlyRecordings {
        /// The job.
        job: JobId,
        /// The runs, by their numbers.
        attempts: Vec<u32>,
    },
    /// What a job of this home said is not kept any more, and its record says so.
    FreeRecordings(JobId),
    /// A run that is kept for a home, or more of it.
    KeptRun(Box<KeptRunRow>),
    /// A run is not kept any more, nor what it said.
    ForgetKept(RecordingKey),
    /// A line of the book of work, as it was read from a damaged file.
    LedgerRow(Box<LedgerRow>),
    /// Forget the job, and all that belongs to it.
    Remove {
        /// Which.
        id: JobId,
        /// Which side of it.
        role: Role,
    },
    /// Forget what ended longest ago and is kept for nobody, beyond so many jobs and before that time.
    Prune {
        /// Jobs that have ended and may stay.
        jobs_max: u64,
        /// Those that ended before this time go.
        ended_before_ms: u64,
        /// What is kept for somebody until later than this stays.
        now_ms: u64,
    },
}

/// Jobs that are forgotten at once at most: some milliseconds during which others wait.
const PRUNED_MAX: u64 = 2048;

/// What one change weighs in a queue, beside its bytes.
const WEIGHT_MIN: usize = 1;
/// Bytes that weigh one.
const WEIGHT_BYTES: usize = 4096;

impl Change {
    /// Roughly the memory it takes while it waits, in pages.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Request { bytes, .. } | Self::Event { bytes, .. } | Self::Told { bytes, .. } => {
                WEIGHT_MIN + bytes.len() / WEIGHT_BYTES
            }
            Self::Receipt { kept, .. } => WEIGHT_MIN + kept.receipt.body.len() / WEIGHT_BYTES,
            Self::Recording { recorded: Recorded::Inline(bytes), .. } => WEIGHT_MIN + bytes.len() / WEIGHT_BYTES,
            Self::KeptRun(run) => WEIGHT_MIN + run.request.as_ref().map_or(0, Vec::len) / WEIGHT_BYTES,
            Self::LedgerRow(_)
            | Self::Recording { .. }
            | Self::OnlyRecordings { .. }
            | Self::FreeRecordings(_)
            | Self::ForgetKept(_)
            | Self::Job(_)
            | Self::Run(_)
            | Self::ForgetEvents(_)
            | Self::Remove { .. }
            | Self::Prune { .. } => WEIGHT_MIN,
        }
    }

    pub(super) fn apply(&self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Job(job) => rows::put_job(to, job),
            Self::Run(run) => rows::put_run(to, run),
            Self::Request { id, role, bytes } => {
                let sql = "INSERT OR REPLACE INTO requests (id, role, bytes) VALUES (?1, ?2, ?3)";
                to.prepare_cached(sql)?.execute(params![id.0, role.number(), rows::sealed(*id, bytes)]).map(drop)
            }
            Self::Event { job, bytes } => {
                let sql = "INSERT INTO events (job, bytes) VALUES (?1, ?2)";
                to.prepare_cached(sql)?.execute(params![job.0, rows::sealed(*job, bytes)]).map(drop)
            }
            Self::ForgetEvents(job) => {
                to.prepare_cached("DELETE FROM events WHERE job = ?1")?.execute([job.0]).map(drop)
            }
            Self::Receipt { job, role, kept } => ledger::keep(to, *job, *role, kept),
            Self::Told { job, bytes } => {
                let sql = "INSERT OR REPLACE INTO ends (job, bytes) VALUES (?1, ?2)";
                to.prepare_cached(sql)?.execute(params![job.0, rows::sealed(*job, bytes)]).map(drop)
            }
            Self::Recording { key, recorded } => recordings::put(to, key, recorded),
            Self::OnlyRecordings { job, attempts } => recordings::keep_only(to, *job, attempts),
            Self::FreeRecordings(job) => recordings::free(to, *job),
            Self::KeptRun(run) => recordings::put_kept(to, run),
            Self::ForgetKept(key) => recordings::forget_kept(to, key),
            Self::LedgerRow(line) => ledger::put_row(to, line),
            Self::Remove { id, role } => remove(to, *id, *role),
            Self::Prune { jobs_max, ended_before_ms, now_ms } => prune(to, *jobs_max, *ended_before_ms, *now_ms),
        }
    }
}

fn remove(to: &Transaction<'_>, id: JobId, role: Role) -> rusqlite::Result<()> {
    let which = params![id.0, role.number()];
    to.prepare_cached("DELETE FROM jobs WHERE id = ?1 AND role = ?2")?.execute(which)?;
    to.prepare_cached("DELETE FROM requests WHERE id = ?1 AND role = ?2")?.execute(which)?;
    to.prepare_cached("DELETE FROM runs WHERE job = ?1 AND role = ?2")?.execute(which)?;
    to.prepare_cached("DELETE FROM receipts WHERE job = ?1 AND role = ?2")?.execute(which)?;
    if role == Role::Sent {
        to.prepare_cached("DELETE FROM events WHERE job = ?1")?.execute([id.0])?;
        to.prepare_cached("DELETE FROM ends WHERE job = ?1")?.execute([id.0])?;
        recordings::remove(to, id)?;
    }
    Ok(())
}

fn prune(to: &Transaction<'_>, jobs_max: u64, ended_before_ms: u64, now_ms: u64) -> rusqlite::Result<()> {
    let ended: u64 = to.query_row("SELECT count(*) FROM jobs WHERE ended_ms IS NOT NULL", [], |row| row.get(0))?;
    let old = forget_oldest(to, ended_before_ms, now_ms, PRUNED_MAX)?;
    // Where there are not too many, nothing more is looked at.
    let over = ended.saturating_sub(old).saturating_sub(jobs_max).min(PRUNED_MAX - old);
    if over > 0 { forget_oldest(to, u64::MAX, now_ms, over).map(drop) } else { Ok(()) }
}

/// Forgets what ended longest ago, before this time, and is kept for nobody; at most so many. Says how many.
fn forget_oldest(to: &Transaction<'_>, ended_before_ms: u64, now_ms: u64, most: u64) -> rusqlite::Result<u64> {
    let sql = "SELECT id, role FROM jobs INDEXED BY jobs_by_end WHERE ended_ms < ?1 AND coalesce(keep_until_ms, 0) < ?2 \
         ORDER BY ended_ms LIMIT ?3";
    let mut statement = to.prepare_cached(sql)?;
    let which = params![rows::int(ended_before_ms), rows::int(now_ms), rows::int(most)];
    let oldest = statement.query_map(which, |row| Ok((JobId(row.get(0)?), Role::of_number(row.get(1)?))))?;
    let oldest: Vec<_> = oldest.collect::<Result<_, _>>()?;
    for (id, role) in &oldest {
        if let Some(role) = role {
            remove(to, *id, *role)?;
        }
    }
    Ok(oldest.len() as u64)
}
