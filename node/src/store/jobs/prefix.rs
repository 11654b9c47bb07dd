//! Jobs by the beginning of their id, as people type it.

use super::failure::StoreError;
use crate::wire::JobId;
use rusqlite::{Connection, params};

/// Digits an id is shortened to at least: short to type, and rarely ambiguous later on.
pub const SHORT_LEN_MIN: usize = 6;
/// Candidates that are listed when a beginning fits several.
const CANDIDATES_MAX: usize = 5;
/// Digits of a whole id.
const DIGITS: usize = 32;

/// Why a text is no job's id.
#[derive(Debug, thiserror::Error)]
pub enum IdError {
    /// It is no beginning of an id.
    #[error("{0:?} is no job id: up to 32 digits of 0-9 and a-f are expected, as `potluck history` shows them")]
    NotHex(String),
    /// No job is called so.
    #[error("no job's id begins with {0}; `potluck history` lists those that are known here")]
    Unknown(String),
    /// Several are.
    #[error("{prefix} is the beginning of several jobs' ids: {}; give more of it", candidates.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Some of them, each with its program.
        candidates: Vec<String>,
    },
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first and the last id that begin so.
pub(super) fn bounds(prefix: &str) -> Option<(JobId, JobId)> {
    if prefix.is_empty() || prefix.len() > DIGITS {
        return None;
    }
    let filled = |digit: char| {
        let text: String = prefix.to_ascii_lowercase().chars().chain(std::iter::repeat(digit)).take(DIGITS).collect();
        data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(JobId)
    };
    filled('0').zip(filled('f'))
}

/// The one job whose id begins so.
pub(super) fn find(records: &Connection, prefix: &str) -> Result<Result<JobId, IdError>, rusqlite::Error> {
    let Some((first, last)) = bounds(prefix) else {
        return Ok(Err(IdError::NotHex(prefix.chars().take(80).collect())));
    };
    let sql = "SELECT id, min(program) FROM jobs WHERE id BETWEEN ?1 AND ?2 GROUP BY id ORDER BY id LIMIT ?3";
    let mut statement = records.prepare_cached(sql)?;
    let limit = i64::try_from(CANDIDATES_MAX + 1).unwrap_or(i64::MAX);
    let found = statement
        .query_map(params![first.0, last.0, limit], |row| Ok((JobId(row.get(0)?), row.get::<_, String>(1)?)))?;
    let found = found.collect::<Result<Vec<_>, _>>()?;
    Ok(match found.as_slice() {
        [] => Err(IdError::Unknown(prefix.to_owned())),
        [(id, _)] => Ok(*id),
        several => {
            let mut candidates = Vec::with_capacity(CANDIDATES_MAX + 1);
            for (id, program) in several.iter().take(CANDIDATES_MAX) {
                let digits = digits_that_tell(records, *id)?;
                candidates.push(format!("{} ({program})", &id.to_string()[..digits]));
            }
            if several.len() > CANDIDATES_MAX {
                candidates.push("and more".to_owned());
            }
            Err(IdError::Ambiguous { prefix: prefix.to_owned(), candidates })
        }
    })
}

/// How many digits tell this id from every other that is known.
pub(super) fn digits_that_tell(records: &Connection, id: JobId) -> rusqlite::Result<usize> {
    let mut longest = 0;
    for sql in ["SELECT max(id) FROM jobs WHERE id < ?1", "SELECT min(id) FROM jobs WHERE id > ?1"] {
        let neighbour: Option<[u8; 16]> = records.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
        if let Some(neighbour) = neighbour {
            longest = longest.max(digits_shared(id, JobId(neighbour)));
        }
    }
    Ok((longest + 1).clamp(SHORT_LEN_MIN, DIGITS))
}

fn digits_shared(one: JobId, other: JobId) -> usize {
    let digits = |id: JobId| id.0.into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits(one).zip(digits(other)).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_spans_all_ids_that_begin_so() {
        let (first, last) = bounds("A7f").unwrap();
        assert!(first.to_string().starts_with("a7f0000") && last.to_string().starts_with("a7fffff"));
        for text in ["", "xyz", "a7-", "0".repeat(33).as_str(), "ä"] {
            assert!(bounds(text).is_none(), "{text}");
        }
        let whole = "0123456789abcdef0123456789abcdef";
        let (first, last) = bounds(whole).unwrap();
        assert!(first == last && first.to_string() == whole);
    }

    #[test]
    fn shared_digits_are_counted_by_halves_of_bytes() {
        let id = |byte: u8| JobId([0x12, byte, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(digits_shared(id(0x34), id(0x34)), DIGITS);
        assert_eq!(digits_shared(id(0x34), id(0x35)), 3);
        assert_eq!(digits_shared(id(0x34), id(0x44)), 2);
    }
}
