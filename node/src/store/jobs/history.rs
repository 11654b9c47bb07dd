//! Which jobs there were: the newest first, and what they come to together.

use super::failure::StoreError;
use super::job_record::{End, JobRecord, Role};
use super::rows;
use super::{JobStore, prefix};
use crate::identity::NodeId;
use crate::wire::JobId;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::collections::BTreeMap;

/// Characters of a peer's id that name it at least.
const ID_LEN_MIN: usize = 4;

/// Which jobs are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Given to Potluck at this time or later.
    pub since_ms: Option<u64>,
    /// Given to Potluck before this time.
    pub before_ms: Option<u64>,
    /// Those alone that ended and not well.
    pub failed: bool,
    /// Those alone that ended.
    pub ended: bool,
    /// Those alone that have not ended.
    pub unended: bool,
    /// With these machines at the other end.
    pub peers: Option<Vec<NodeId>>,
    /// With this machine at both ends.
    pub here: bool,
    /// With this machine on this side.
    pub role: Option<Role>,
    /// At most so many.
    pub limit: Option<u64>,
    /// With what their programs say they have come to; otherwise that is left out, however much it is.
    pub results: bool,
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The beginning of its id that tells it from all others here.
    pub short: String,
    /// When it was given to Potluck, as a clock on this machine's wall shows it.
    pub submitted_local: String,
    /// What is known of it.
    pub job: JobRecord,
}

/// What jobs come to together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub jobs: u64,
    /// How many ended in which way; those that have not are `running`.
    pub ends: BTreeMap<&'static str, u64>,
    /// Fuel of all.
    pub fuel: u64,
    /// Wall time of all.
    pub wall_ms: u64,
    /// Fuel of the one in the middle, of those that ran.
    pub fuel_median: u64,
    /// Wall time of the one in the middle, of those that ran.
    pub wall_ms_median: u64,
    /// Bytes of programs and inputs.
    pub bytes_in: u64,
    /// Bytes printed and brought back.
    pub bytes_out: u64,
}

/// The machine at the other end and the program, of jobs that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Which side of them this machine was.
    pub role: Role,
    /// The other side, by the name it had last.
    pub peer: Option<(NodeId, String)>,
    /// The program's name.
    pub program: String,
}

/// Everything counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// All of them.
    pub all: Totals,
    /// Those of one peer and program, the most fuel first.
    pub kinds: Vec<(Kind, Totals)>,
}

/// Numbers that are added up, and kept for the one in the middle.
#[derive(Default)]
struct Counting {
    totals: Totals,
    fuel: Vec<u64>,
    wall_ms: Vec<u64>,
}

impl Counting {
    fn count(&mut self, job: &JobRecord) {
        self.totals.jobs += 1;
        *self.totals.ends.entry(kind_of_end(job.end.as_ref())).or_default() += 1;
        self.totals.fuel = self.totals.fuel.saturating_add(job.fuel);
        self.totals.wall_ms = self.totals.wall_ms.saturating_add(job.wall_ms);
        self.totals.bytes_in = self.totals.bytes_in.saturating_add(job.bytes_in);
        self.totals.bytes_out = self.totals.bytes_out.saturating_add(job.bytes_out);
        if job.started_ms.is_some() && job.end.is_some() {
            self.fuel.push(job.fuel);
            self.wall_ms.push(job.wall_ms);
        }
    }

    fn counted(mut self) -> Totals {
        self.totals.fuel_median = median(&mut self.fuel);
        self.totals.wall_ms_median = median(&mut self.wall_ms);
        self.totals
    }
}

/// The lower one of the middle.
fn median(numbers: &mut [u64]) -> u64 {
    if numbers.is_empty() {
        return 0;
    }
    let middle = (numbers.len() - 1) / 2;
    *numbers.select_nth_unstable(middle).1
}

/// The word under which ends are counted.
const fn kind_of_end(end: Option<&End>) -> &'static str {
    match end {
        None => "running",
        Some(End::Exited(0)) => "done",
        Some(End::Exited(_)) => "failed",
        Some(End::Trapped(_)) => "trapped",
        Some(End::Limit(_)) => "limit",
        Some(End::Cancelled(_)) => "cancelled",
        Some(End::Lost(_)) => "lost",
        Some(End::Refused(_)) => "refused",
    }
}

impl JobStore {
    /// The jobs that are meant, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn history(&self, filter: &Filter) -> Result<Vec<Listed>, StoreError> {
        self.read(|records| {
            let mut jobs = Vec::new();
            each(records, filter, |job| jobs.push(job))?;
            let listed = |job: JobRecord| {
                let digits = prefix::digits_that_tell(records, job.id)?;
                let submitted_local = local_time(records, job.submitted_ms)?;
                Ok(Listed { short: job.id.to_string()[..digits].to_owned(), submitted_local, job })
            };
            jobs.into_iter().map(listed).collect()
        })
    }

    /// What the jobs that are meant come to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn statistics(&self, filter: &Filter) -> Result<Statistics, StoreError> {
        let (mut all, mut kinds) = (Counting::default(), BTreeMap::<_, (Kind, Counting)>::new());
        self.read(|records| {
            each(records, filter, |job| {
                all.count(&job);
                let peer = job.peer.as_ref().map(|peer| peer.id);
                let kind = kinds.entry((job.role, peer, job.program.clone())).or_insert_with(|| {
                    // The newest comes first, and has the name that is used now.
                    let peer = job.peer.as_ref().map(|peer| (peer.id, peer.name.clone()));
                    (Kind { role: job.role, peer, program: job.program.clone() }, Counting::default())
                });
                kind.1.count(&job);
            })
        })?;
        let mut kinds: Vec<_> = kinds.into_values().map(|(kind, counting)| (kind, counting.counted())).collect();
        kinds.sort_by_key(|(_, totals)| std::cmp::Reverse((totals.fuel, totals.jobs)));
        Ok(Statistics { all: all.counted(), kinds })
    }

    /// The machines that were at the other end of a job and are called so, or whose id begins so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn peers_called(&self, name: &str) -> Result<Vec<NodeId>, StoreError> {
        let peers = self.read(|records| {
            let sql = "SELECT DISTINCT peer, peer_name FROM jobs WHERE peer IS NOT NULL";
            let mut statement = records.prepare_cached(sql)?;
            let peers =
                statement.query_map([], |row| Ok((NodeId::from_bytes(row.get(0)?), row.get::<_, String>(1)?)))?;
            peers.collect::<Result<Vec<_>, _>>()
        })?;
        let is_meant = |(id, called): &(NodeId, String)| {
            called == name || (name.len() >= ID_LEN_MIN && id.to_string().starts_with(&name.to_ascii_lowercase()))
        };
        let mut meant: Vec<NodeId> = peers.into_iter().filter(is_meant).map(|(id, _)| id).collect();
        meant.sort_unstable();
        meant.dedup();
        Ok(meant)
    }

    /// The ids of the jobs that are meant, with their roles.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ids(&self, filter: &Filter) -> Result<Vec<(JobId, Role)>, StoreError> {
        let mut ids = Vec::new();
        self.read(|records| each(records, filter, |job| ids.push((job.id, job.role))))?;
        Ok(ids)
    }
}

/// A time as people here read it, by the system's rules for its time zone.
fn local_time(records: &Connection, unix_ms: u64) -> rusqlite::Result<String> {
    let sql = "SELECT coalesce(strftime('%Y-%m-%d %H:%M:%S', ?1, 'unixepoch', 'localtime'), '?')";
    records.prepare_cached(sql)?.query_row([rows::int(unix_ms / 1000)], |row| row.get(0))
}

fn each(records: &Connection, filter: &Filter, mut tell: impl FnMut(JobRecord)) -> rusqlite::Result<()> {
    let (sql, values) = query(filter);
    let mut statement = records.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        tell(rows::job(row)?);
    }
    Ok(())
}

fn query(filter: &Filter) -> (String, Vec<Value>) {
    let (mut wheres, mut values) = (vec!["true".to_owned()], Vec::new());
    let int = |number: u64| Value::Integer(rows::int(number));
    if let Some(since) = filter.since_ms {
        wheres.push("submitted_ms >= ?".to_owned());
        values.push(int(since));
    }
    if let Some(before) = filter.before_ms {
        wheres.push("submitted_ms < ?".to_owned());
        values.push(int(before));
    }
    if filter.failed {
        wheres.push("end_kind IS NOT NULL AND (end_kind <> 0 OR exit_code <> 0)".to_owned());
    }
    if filter.ended {
        wheres.push("ended_ms IS NOT NULL".to_owned());
    }
    if filter.unended {
        wheres.push("ended_ms IS NULL".to_owned());
    }
    if let Some(role) = filter.role {
        wheres.push("role = ?".to_owned());
        values.push(Value::Integer(role.number()));
    }
    if let Some(peers) = &filter.peers {
        wheres.push(format!("peer IN ({})", vec!["?"; peers.len()].join(", ")));
        values.extend(peers.iter().map(|peer| Value::Blob(peer.as_bytes().to_vec())));
    }
    if filter.here {
        wheres.push("peer IS NULL".to_owned());
    }
    let limit = filter.limit.map_or(-1, rows::int);
    values.push(Value::Integer(limit));
    let columns = match filter.results {
        true => rows::JOB_COLUMNS.to_owned(),
        false => rows::JOB_COLUMNS.replace(rows::RESULT_COLUMN, ", NULL"),
    };
    let wheres = wheres.join(" AND ");
    (format!("SELECT {columns} FROM jobs WHERE {wheres} ORDER BY submitted_ms DESC, row DESC LIMIT ?"), values)
}

#[cfg(test)]
mod tests;
