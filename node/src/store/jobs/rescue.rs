//! What can be read of a damaged file. Rows are read in their order; where they cannot be, the next that can is looked for
//! by doubling and halving, so that a broken page costs some twenty looks and the rows that were on it.

use super::change::Change;
use super::failure::StoreError;
use super::ledger;
use super::recordings;
use super::rows;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row, Statement, Transaction};
use std::path::{Path, PathBuf};

/// Places that cannot be read, after which a table is given up.
const GAPS_MAX: u64 = 10_000;

/// What became of a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// Where it lies now, as it was.
    pub aside: PathBuf,
    /// Jobs that were read from it and are known as before.
    pub jobs: u64,
    /// Places in it, each of a row or a page of them, that could not be read.
    pub gaps: u64,
}

/// What is rescued of one kind.
struct Kind {
    table: &'static str,
    columns: &'static str,
    change: fn(&Row<'_>) -> rusqlite::Result<Change>,
}

/// Jobs come first, and are counted. The row's number follows the columns.
const KINDS: [Kind; 9] = [
    Kind { table: "jobs", columns: rows::JOB_COLUMNS, change: |row| Ok(Change::Job(Box::new(rows::job(row)?))) },
    Kind { table: "requests", columns: "id, role, bytes", change: rows::request },
    Kind { table: "runs", columns: rows::RUN_COLUMNS, change: |row| Ok(Change::Run(Box::new(rows::run(row)?))) },
    Kind { table: "events", columns: "job, bytes", change: rows::event },
    Kind { table: "receipts", columns: ledger::RECEIPT_COLUMNS, change: receipt },
    Kind { table: "ends", columns: "job, bytes", change: rows::told },
    Kind { table: "recordings", columns: recordings::RECORDING_COLUMNS, change: recordings::recording },
    Kind {
        table: "kept_runs",
        columns: recordings::KEPT_COLUMNS,
        change: |row| Ok(Change::KeptRun(Box::new(recordings::kept(row)?))),
    },
    // Last: what was counted while jobs and receipts were taken is replaced by what had been counted.
    Kind {
        table: "ledger",
        columns: ledger::LEDGER_COLUMNS,
        change: |row| Ok(Change::LedgerRow(Box::new(ledger::ledger_row(row)?))),
    },
];

fn receipt(row: &Row<'_>) -> rusqlite::Result<Change> {
    let (job, role, kept) = ledger::receipt(row)?;
    Ok(Change::Receipt { job, role, kept: Box::new(kept) })
}

/// Takes what can be read of the file at `aside` into a fresh one.
pub(super) fn rescue(aside: &Path, fresh: &mut Connection, path: &Path) -> Result<Rescued, StoreError> {
    let mut rescued = Rescued { aside: aside.to_owned(), jobs: 0, gaps: 0 };
    let Ok(old) = open_as_it_is(aside) else {
        rescued.gaps = 1;
        return Ok(rescued);
    };
    let failed = |error| StoreError::sqlite("write", path, error);
    let taking = fresh.transaction().map_err(failed)?;
    for (index, kind) in KINDS.iter().enumerate() {
        let (read, gaps) = take(&old, &taking, kind).map_err(failed)?;
        rescued.gaps += gaps;
        if index == 0 {
            rescued.jobs = read;
        }
    }
    taking.commit().map_err(failed)?;
    Ok(rescued)
}

/// The damaged file, which is not to be changed any more.
fn open_as_it_is(aside: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let old = Connection::open_with_flags(aside, flags)?;
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    old.pragma_update(None, "query_only", true)?;
    // A schema with one bad line still names the other tables.
    old.pragma_update(None, "writable_schema", true)?;
    Ok(old)
}

/// Rows of one kind that were taken, and places where none could be read. An error is one of the new file.
fn take(old: &Connection, into: &Transaction<'_>, kind: &Kind) -> rusqlite::Result<(u64, u64)> {
    let Kind { table, columns, change } = kind;
    let sql = format!("SELECT {columns}, row FROM {table} WHERE row >= ?1 ORDER BY row");
    let Ok(mut statement) = old.prepare(&sql) else { return Ok((0, 1)) };
    let (mut read, mut gaps, mut from) = (0, 0, i64::MIN);
    while gaps < GAPS_MAX {
        let mut last = from;
        let broke = {
            let Ok(mut found) = statement.query([from]) else { return Ok((read, gaps + 1)) };
            loop {
                match found.next() {
                    Ok(Some(row)) => {
                        last = row.get("row").unwrap_or(last);
                        match change(row) {
                            Ok(change) => {
                                change.apply(into)?;
                                read += 1;
                            }
                            Err(_) => gaps += 1,
                        }
                    }
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            }
        };
        if !broke {
            return Ok((read, gaps));
        }
        gaps += 1;
        let Some(next) = next_readable(&mut statement, last.max(0)) else { return Ok((read, gaps)) };
        from = next;
    }
    Ok((read, gaps))
}

/// The first number after `last` from which rows can be read again.
fn next_readable(statement: &mut Statement<'_>, last: i64) -> Option<i64> {
    let mut readable = |from: i64| statement.query([from]).is_ok_and(|mut rows| rows.next().is_ok());
    let mut step = 1i64;
    let mut unreadable = last;
    let mut good = loop {
        let tried = last.checked_add(step)?;
        if readable(tried) {
            break tried;
        }
        unreadable = tried;
        step = step.checked_mul(2)?;
    };
    while good - unreadable > 1 {
        let middle = unreadable + (good - unreadable) / 2;
        if readable(middle) { good = middle } else { unreadable = middle }
    }
    Some(good)
}

/// How many rows mean nothing, or hold sealed bytes that are not what was written.
pub(super) fn broken_rows(connection: &Connection) -> rusqlite::Result<u64> {
    let mut broken = 0;
    for Kind { table, columns, change } in &KINDS {
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            broken += u64::from(change(row).is_err());
        }
    }
    Ok(broken)
}
