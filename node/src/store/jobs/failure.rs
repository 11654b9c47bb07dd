//! Why the store of jobs could not do something, each with the file and what would change it.

use rusqlite::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the store of jobs could not do something. What was accepted before is there all the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: Arc<io::Error>,
    },
    /// The disk is full.
    #[error("the disk of {path} is full, so no job can be recorded: free some of it, or see `potluck cache gc`")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the file.
    #[error("another process has held {path} for too long: is there a Potluck that hangs, or a backup?")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, which was noticed while it was in use.
    #[error("{path} is damaged: `potluck down`, then `potluck history`, puts it aside and rescues what can be read")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file is from a later version.
    #[error(
        "{path} was written by a later version of Potluck (file version {version}): use that, or move the file away"
    )]
    Later {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// SQLite refused.
    #[error("cannot {doing} {path}")]
    Sqlite {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: Arc<rusqlite::Error>,
    },
    /// More is waiting to be written than may wait, because nothing can be written.
    #[error("too much waits to be written to {path}, which cannot be written")]
    Backlog {
        /// The file.
        path: PathBuf,
    },
    /// The store was closed before.
    #[error("the records in {path} are closed already")]
    Closed {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::Full { path: path.to_owned() };
        }
        Self::Io { doing, path: path.to_owned(), source: Arc::new(source) }
    }

    /// What an error of SQLite means to whoever owns the file.
    pub(super) fn sqlite(doing: &'static str, path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        // What is asked is always the same: a table or column that is not there has another name in a damaged file.
        if matches!(error, rusqlite::Error::SqlInputError { .. }) {
            return Self::Damaged { path };
        }
        match error.sqlite_error() {
            Some(inner) if inner.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => Self::Full { path },
            Some(inner) => match inner.code {
                ErrorCode::DiskFull => Self::Full { path },
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path },
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged { path },
                _ => Self::Sqlite { doing, path, source: Arc::new(error) },
            },
            // A value that is not what its column says, or that does not mean anything.
            None if is_nonsense(&error) => Self::Damaged { path },
            None => Self::Sqlite { doing, path, source: Arc::new(error) },
        }
    }
}

fn is_nonsense(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
