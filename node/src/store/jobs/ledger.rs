//! Who ran how much for whom. A job is counted once, when it is first known to have ended and to have run; what was counted
//! stays when the job is forgotten.

use super::JobStore;
use super::failure::StoreError;
use super::job_record::{JobRecord, Role};
use super::rows;
use crate::identity::NodeId;
use crate::wire::{JobId, Receipt};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A receipt that is kept, with what was thought of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// Why it is not believed.
    pub wrong: Option<String>,
}

/// Work of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Jobs that ran and ended.
    pub jobs: u64,
    /// Their fuel.
    pub fuel: u64,
    /// Their wall time.
    pub wall_ms: u64,
    /// Those with a receipt, wrong ones among them.
    pub receipts: u64,
    /// Those whose receipt is wrong.
    pub wrong_receipts: u64,
}

impl Work {
    fn add(&mut self, other: Self) {
        let Self { jobs, fuel, wall_ms, receipts, wrong_receipts } = other;
        self.jobs = self.jobs.saturating_add(jobs);
        self.fuel = self.fuel.saturating_add(fuel);
        self.wall_ms = self.wall_ms.saturating_add(wall_ms);
        self.receipts = self.receipts.saturating_add(receipts);
        self.wrong_receipts = self.wrong_receipts.saturating_add(wrong_receipts);
    }
}

/// What one peer and this machine did for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The peer.
    pub peer: NodeId,
    /// Its label, as it was last heard.
    pub name: String,
    /// What it ran for this machine.
    pub for_us: Work,
    /// What this machine ran for it.
    pub for_them: Work,
}

/// One line of the book: a day, a direction and a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    day: u64,
    role: Role,
    peer: NodeId,
    name: String,
    work: Work,
}

/// Whether a job is to be counted: it ran elsewhere or for others, and is over.
fn counts(job: &JobRecord) -> bool {
    job.peer.is_some() && job.started_ms.is_some() && job.ended_ms.is_some()
}

/// Counts a job that is about to be written, unless it was counted before.
pub(super) fn count(to: &Transaction<'_>, job: &JobRecord) -> rusqlite::Result<()> {
    let (Some(peer), Some(ended_ms), true) = (&job.peer, job.ended_ms, counts(job)) else { return Ok(()) };
    let sql = "SELECT 1 FROM jobs WHERE id = ?1 AND role = ?2 AND peer IS NOT NULL AND started_ms IS NOT NULL \
         AND ended_ms IS NOT NULL";
    if to.prepare_cached(sql)?.exists(params![job.id.0, job.role.number()])? {
        return Ok(());
    }
    let sql = "INSERT INTO ledger (day, role, peer, peer_name, jobs, fuel, wall_ms, receipts, wrong_receipts) \
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, 0, 0) ON CONFLICT (day, role, peer) DO UPDATE SET \
         peer_name = excluded.peer_name, jobs = jobs + 1, fuel = min(fuel, ?7 - excluded.fuel) + excluded.fuel, \
         wall_ms = wall_ms + excluded.wall_ms";
    let (fuel, wall_ms) = (rows::int(job.fuel).min(FUEL_MAX), rows::int(job.wall_ms).min(WALL_MS_MAX));
    let day = rows::int(ended_ms / DAY_MS);
    let peer_id = *peer.id.as_bytes();
    to.prepare_cached(sql)?.execute(params![day, job.role.number(), peer_id, peer.name, fuel, wall_ms, FUEL_MAX])?;
    Ok(())
}

/// Fuel of one line at most: a peer that claims more is not to break the sums.
const FUEL_MAX: i64 = i64::MAX / 4;
/// Wall time of one job at most: thirty years.
const WALL_MS_MAX: i64 = 1_000_000_000_000;

/// Keeps a receipt, once, and counts it where its job is counted.
pub(super) fn keep(to: &Transaction<'_>, job: JobId, role: Role, kept: &KeptReceipt) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO receipts (job, role, wrong, body, signature) VALUES (?1, ?2, ?3, ?4, ?5)";
    let KeptReceipt { receipt: Receipt { body, signature }, wrong } = kept;
    if to.prepare_cached(sql)?.execute(params![job.0, role.number(), wrong, body, signature])? == 0 {
        return Ok(());
    }
    let sql = "UPDATE ledger SET receipts = receipts + 1, wrong_receipts = wrong_receipts + ?3 WHERE role = ?2 AND \
         (day, peer) = (SELECT ended_ms / 86400000, peer FROM jobs WHERE id = ?1 AND role = ?2 AND started_ms IS NOT NULL)";
    to.prepare_cached(sql)?.execute(params![job.0, role.number(), i64::from(wrong.is_some())])?;
    Ok(())
}

/// The columns of a kept receipt, in the order [`receipt`] reads them.
pub(super) const RECEIPT_COLUMNS: &str = "job, role, wrong, body, signature";

/// The receipt in a row of [`RECEIPT_COLUMNS`].
pub(super) fn receipt(row: &Row<'_>) -> rusqlite::Result<(JobId, Role, KeptReceipt)> {
    let receipt = Receipt { body: row.get(3)?, signature: row.get(4)? };
    Ok((JobId(row.get(0)?), rows::role(row, 1)?, KeptReceipt { receipt, wrong: row.get(2)? }))
}

/// The columns of a [`LedgerRow`], in the order [`ledger_row`] reads them.
pub(super) const LEDGER_COLUMNS: &str = "day, role, peer, peer_name, jobs, fuel, wall_ms, receipts, wrong_receipts";

/// The line in a row of [`LEDGER_COLUMNS`].
pub(super) fn ledger_row(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    let work = Work {
        jobs: row.get(4)?,
        fuel: row.get(5)?,
        wall_ms: row.get(6)?,
        receipts: row.get(7)?,
        wrong_receipts: row.get(8)?,
    };
    let peer = NodeId::from_bytes(row.get(2)?);
    Ok(LedgerRow { day: row.get(0)?, role: rows::role(row, 1)?, peer, name: row.get(3)?, work })
}

/// Writes a line in place of what was counted.
pub(super) fn put_row(to: &Transaction<'_>, line: &LedgerRow) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO ledger (day, role, peer, peer_name, jobs, fuel, wall_ms, receipts, wrong_receipts) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let LedgerRow { day, role, peer, name, work } = line;
    to.prepare_cached(sql)?.execute(params![
        rows::int(*day),
        role.number(),
        *peer.as_bytes(),
        name,
        rows::int(work.jobs),
        rows::int(work.fuel),
        rows::int(work.wall_ms),
        rows::int(work.receipts),
        rows::int(work.wrong_receipts),
    ])?;
    Ok(())
}

impl JobStore {
    /// What this machine and each peer did for each other, on that day (UTC) and since; the busiest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ledger(&self, since_ms: Option<u64>) -> Result<Vec<Account>, StoreError> {
        let since_day = rows::int(since_ms.unwrap_or(0) / DAY_MS);
        let mut accounts = BTreeMap::<NodeId, Account>::new();
        self.read(|records| {
            let sql = format!("SELECT {LEDGER_COLUMNS} FROM ledger WHERE day >= ?1 ORDER BY day");
            let mut statement = records.prepare_cached(&sql)?;
            let mut lines = statement.query([since_day])?;
            while let Some(row) = lines.next()? {
                let LedgerRow { role, peer, name, work, .. } = ledger_row(row)?;
                let account = accounts.entry(peer).or_insert_with(|| {
                    let (for_us, for_them) = (Work::default(), Work::default());
                    Account { peer, name: String::new(), for_us, for_them }
                });
                account.name = name;
                match role {
                    Role::Sent => account.for_us.add(work),
                    Role::Ran => account.for_them.add(work),
                }
            }
            Ok(())
        })?;
        let mut accounts: Vec<Account> = accounts.into_values().collect();
        let fuel = |account: &Account| account.for_us.fuel.saturating_add(account.for_them.fuel);
        accounts.sort_by_key(|account| std::cmp::Reverse(fuel(account)));
        Ok(accounts)
    }

    /// The receipt of a job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn receipt(&self, job: JobId, role: Role) -> Result<Option<KeptReceipt>, StoreError> {
        self.read(|records| {
            let sql = format!("SELECT {RECEIPT_COLUMNS} FROM receipts WHERE job = ?1 AND role = ?2");
            let mut statement = records.prepare_cached(&sql)?;
            let found = statement.query_row(params![job.0, role.number()], receipt).optional()?;
            Ok(found.map(|(_, _, kept)| kept))
        })
    }
}

#[cfg(test)]
mod tests;
