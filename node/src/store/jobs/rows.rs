//! Records as rows. Numbers beyond what SQLite holds stand still at its greatest; bytes that mean something to other code are
//! sealed with their digest, because SQLite would not notice if one of them changed on the disk.

use super::change::Change;
use super::job_record::{End, JobRecord, OtherEnd, Role, RunRecord};
use super::ledger;
use crate::identity::NodeId;
use crate::wire::JobId;
use potluck_runtime::{Digest, JsonText};
use rusqlite::types::Type;
use rusqlite::{Row, Transaction, named_params, params};

/// Bytes of the digest before sealed bytes: chance damage is missed once in 2^64 times.
const SEAL_LEN: usize = 8;

/// The columns of a [`JobRecord`], in the order [`job`] reads them.
pub(super) const JOB_COLUMNS: &str = "id, role, peer, peer_name, program, digest, args, submitted_ms, started_ms, ended_ms, \
     end_kind, exit_code, why, fuel, wall_ms, memory_peak_bytes, bytes_in, bytes_out, attempts, map, task, priority, \
     submitter, keep_until_ms, result";

/// The last of them, which may be long and is not always wanted.
pub(super) const RESULT_COLUMN: &str = ", result";

const PUT_JOB: &str = "INSERT INTO jobs (id, role, peer, peer_name, program, digest, args, submitted_ms, started_ms, \
     ended_ms, end_kind, exit_code, why, fuel, wall_ms, memory_peak_bytes, bytes_in, bytes_out, attempts, map, task, \
     priority, submitter, keep_until_ms, result) VALUES (:id, :role, :peer, :peer_name, :program, :digest, :args, :submitted_ms, \
     :started_ms, :ended_ms, :end_kind, :exit_code, :why, :fuel, :wall_ms, :memory_peak_bytes, :bytes_in, :bytes_out, \
     :attempts, :map, :task, :priority, :submitter, :keep_until_ms, :result) ON CONFLICT (id, role) DO UPDATE SET \
     peer = :peer, peer_name = :peer_name, program = :program, digest = :digest, args = :args, \
     submitted_ms = :submitted_ms, started_ms = :started_ms, ended_ms = :ended_ms, end_kind = :end_kind, \
     exit_code = :exit_code, why = :why, fuel = :fuel, wall_ms = :wall_ms, memory_peak_bytes = :memory_peak_bytes, \
     bytes_in = :bytes_in, bytes_out = :bytes_out, attempts = :attempts, map = :map, task = :task, \
     priority = :priority, submitter = :submitter, keep_until_ms = :keep_until_ms, result = :result";

/// A number as SQLite holds it.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Writes a job, in place of what was known of it, and counts it when it has ended.
pub(super) fn put_job(to: &Transaction<'_>, job: &JobRecord) -> rusqlite::Result<()> {
    ledger::count(to, job)?;
    let end = job.end.as_ref();
    to.prepare_cached(PUT_JOB)?.execute(named_params! {
        ":id": job.id.0,
        ":role": job.role.number(),
        ":peer": job.peer.as_ref().map(|peer| *peer.id.as_bytes()),
        ":peer_name": job.peer.as_ref().map(|peer| peer.name.as_str()),
        ":program": job.program,
        ":digest": job.digest.map(|digest| *digest.as_bytes()),
        ":args": job.args,
        ":submitted_ms": int(job.submitted_ms),
        ":started_ms": job.started_ms.map(int),
        ":ended_ms": job.ended_ms.map(int),
        ":end_kind": end.map(End::number),
        ":exit_code": end.and_then(End::exit_code),
        ":why": end.and_then(End::why),
        ":fuel": int(job.fuel),
        ":wall_ms": int(job.wall_ms),
        ":memory_peak_bytes": int(job.memory_peak_bytes),
        ":bytes_in": int(job.bytes_in),
        ":bytes_out": int(job.bytes_out),
        ":attempts": job.attempts,
        ":map": job.task.map(|(map, _)| map.0),
        ":task": job.task.map(|(_, task)| task),
        ":priority": job.priority,
        ":submitter": job.submitter,
        ":keep_until_ms": job.keep_until_ms.map(int),
        ":result": job.result.as_ref().map(JsonText::as_str),
    })?;
    Ok(())
}

/// Writes a run, in place of what was known of it.
pub(super) fn put_run(to: &Transaction<'_>, run: &RunRecord) -> rusqlite::Result<()> {
    let end = run.end.as_ref();
    let sql = "INSERT OR REPLACE INTO runs (job, role, attempt, peer, accepted_ms, started_ms, ended_ms, end_kind, \
         exit_code, why, fuel) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    to.prepare_cached(sql)?.execute(params![
        run.job.0,
        run.role.number(),
        run.attempt,
        run.peer.map(|peer| *peer.as_bytes()),
        int(run.accepted_ms),
        run.started_ms.map(int),
        run.ended_ms.map(int),
        end.map(End::number),
        end.and_then(End::exit_code),
        end.and_then(End::why),
        int(run.fuel),
    ])?;
    Ok(())
}

/// The job in a row of [`JOB_COLUMNS`].
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let peer: Option<[u8; 32]> = row.get(2)?;
    let name: Option<String> = row.get(3)?;
    let digest: Option<[u8; 32]> = row.get(5)?;
    let map: Option<[u8; 16]> = row.get(19)?;
    let task: Option<u32> = row.get(20)?;
    Ok(JobRecord {
        id: JobId(row.get(0)?),
        role: role(row, 1)?,
        peer: peer.map(|id| OtherEnd { id: NodeId::from_bytes(id), name: name.unwrap_or_default() }),
        program: row.get(4)?,
        digest: digest.map(Digest::from_bytes),
        args: row.get(6)?,
        submitted_ms: row.get(7)?,
        started_ms: row.get(8)?,
        ended_ms: row.get(9)?,
        end: end(row, 10)?,
        fuel: row.get(13)?,
        wall_ms: row.get(14)?,
        memory_peak_bytes: row.get(15)?,
        bytes_in: row.get(16)?,
        bytes_out: row.get(17)?,
        attempts: row.get(18)?,
        task: map.map(JobId).zip(task),
        priority: row.get(21)?,
        submitter: row.get(22)?,
        keep_until_ms: row.get(23)?,
        result: result(row, 24)?,
    })
}

fn result(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<JsonText>> {
    let Some(text) = row.get::<_, Option<String>>(at)? else { return Ok(None) };
    JsonText::parse(text).map(Some).map_err(|_| nonsense(at, "the result is no JSON"))
}

/// The columns of a [`RunRecord`], in the order [`run`] reads them.
pub(super) const RUN_COLUMNS: &str =
    "job, role, attempt, peer, accepted_ms, started_ms, ended_ms, end_kind, exit_code, why, fuel";

/// The run in a row of [`RUN_COLUMNS`].
pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let peer: Option<[u8; 32]> = row.get(3)?;
    Ok(RunRecord {
        job: JobId(row.get(0)?),
        role: role(row, 1)?,
        attempt: row.get(2)?,
        peer: peer.map(NodeId::from_bytes),
        accepted_ms: row.get(4)?,
        started_ms: row.get(5)?,
        ended_ms: row.get(6)?,
        end: end(row, 7)?,
        fuel: row.get(10)?,
    })
}

pub(super) fn role(row: &Row<'_>, at: usize) -> rusqlite::Result<Role> {
    Role::of_number(row.get(at)?).ok_or_else(|| nonsense(at, "there is no such role"))
}

/// The end in three columns from `at` on.
fn end(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<End>> {
    let Some(number) = row.get(at)? else { return Ok(None) };
    let end = End::of_columns(number, row.get(at + 1)?, row.get(at + 2)?);
    end.map(Some).ok_or_else(|| nonsense(at, "there is no such end"))
}

/// A row that was found where another should be.
pub(super) fn astray() -> rusqlite::Error {
    nonsense(0, "an index leads to another row")
}

fn nonsense(at: usize, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Integer, why.into())
}

/// Bytes of a job with the beginning of their digest, and of whose they are, before them.
pub(super) fn sealed(job: JobId, bytes: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEAL_LEN + bytes.len());
    sealed.extend_from_slice(&seal(job, bytes));
    sealed.extend_from_slice(bytes);
    sealed
}

fn seal(job: JobId, bytes: &[u8]) -> [u8; SEAL_LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&job.0).update(bytes);
    let mut seal = [0; SEAL_LEN];
    hasher.finalize_xof().fill(&mut seal);
    seal
}

/// The sealed bytes in a column, of the job they must be of.
pub(super) fn opened(row: &Row<'_>, at: usize, job: JobId) -> rusqlite::Result<Vec<u8>> {
    let sealed: Vec<u8> = row.get(at)?;
    let broken = || rusqlite::Error::FromSqlConversionFailure(at, Type::Blob, "the seal is broken".into());
    let (found, bytes) = sealed.split_at_checked(SEAL_LEN).ok_or_else(broken)?;
    if found == seal(job, bytes) { Ok(bytes.to_vec()) } else { Err(broken()) }
}

/// The request in a row of id, role and sealed bytes.
pub(super) fn request(row: &Row<'_>) -> rusqlite::Result<Change> {
    let id = JobId(row.get(0)?);
    Ok(Change::Request { id, role: role(row, 1)?, bytes: opened(row, 2, id)? })
}

/// What is told of an ended job, in a row of job and sealed bytes.
pub(super) fn told(row: &Row<'_>) -> rusqlite::Result<Change> {
    let job = JobId(row.get(0)?);
    Ok(Change::Told { job, bytes: opened(row, 1, job)? })
}

/// The event in a row of job and sealed bytes.
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Change> {
    let job = JobId(row.get(0)?);
    Ok(Change::Event { job, bytes: opened(row, 1, job)? })
}
