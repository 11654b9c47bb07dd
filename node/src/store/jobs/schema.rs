//! The tables, and how a file of an earlier version becomes one of this. A version that was released is never edited; a
//! new one adds a script at the end, and a file of the one before is kept for the test.

use super::failure::StoreError;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// The scripts; the file's version is how many of them it has been through.
const SCRIPTS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
];

/// The version this software writes.
pub(super) fn version() -> i64 {
    i64::try_from(SCRIPTS.len()).unwrap_or(i64::MAX)
}

/// Brings the file to this version; whatever becomes of the process, it is of the old or of the new one.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::sqlite("set up", path, error);
    if written_version(connection).map_err(failed)? == version() {
        return Ok(());
    }
    let changing = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Asked again, now that nobody else can change it.
    let written = written_version(&changing).map_err(failed)?;
    let later = || StoreError::Later { path: path.to_owned(), version: written };
    let scripts = usize::try_from(written).ok().and_then(|done| SCRIPTS.get(done..)).ok_or_else(later)?;
    for script in scripts {
        changing.execute_batch(script).map_err(failed)?;
    }
    changing.pragma_update(None, "user_version", version()).map_err(failed)?;
    changing.commit().map_err(failed)
}

fn written_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
