//! Opening the file of jobs: whoever has it alone looks whether it is whole after an end that was not clean, and puts a
//! damaged one aside, before anybody relies on it.
//!
//! Each process holds a lock, shared, for as long as it has the file open. Whoever gets it alone knows that nobody else has.

use super::failure::StoreError;
use super::rescue::{self, Rescued};
use super::schema;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one process waits for another that holds the file.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Bytes the log beside the file is cut to once it was taken in.
const LOG_BYTES_KEPT: u64 = 4 << 20;
/// Pages of the log, some 4 MiB, after which it is taken in: each time costs two syncs.
const LOG_PAGES: u32 = 1000;

/// Where the records of jobs lie.
#[derive(Clone, Debug)]
pub(super) struct Place {
    dir: PathBuf,
    /// The name of the way SQLite reaches files by, where it is not its own: a test's.
    vfs: Option<&'static str>,
    /// Pages of the log after which it is taken into the file.
    log_pages: u32,
}

impl Place {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), vfs: None, log_pages: LOG_PAGES }
    }

    #[cfg(test)]
    pub(super) fn with_vfs(dir: &Path, vfs: &'static str, log_pages: u32) -> Self {
        Self { dir: dir.to_owned(), vfs: Some(vfs), log_pages }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.join("jobs.db")
    }

    pub(super) fn spool(&self) -> PathBuf {
        self.dir.join("jobs.spool")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("jobs.db-wal")
    }

    /// There while the file is known to be damaged.
    fn suspicion(&self) -> PathBuf {
        self.dir.join("jobs.damaged")
    }

    /// Has whoever opens the file next, and alone, look at all of it.
    pub(super) fn suspect(&self) {
        // On a disk that cannot be written the damage will be noticed again.
        let _ = File::create(self.suspicion());
    }

    fn sync_dir(&self) -> Result<(), StoreError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|source| StoreError::io("sync", &self.dir, source))?;
        #[cfg(test)]
        super::tests::dir_synced(self.vfs);
        Ok(())
    }

    /// A connection to the file, which is there and of this version.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = self.file();
        let failed = |error| StoreError::sqlite("open", &path, error);
        let connection = match self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&path, flags, vfs),
            None => Connection::open_with_flags(&path, flags),
        };
        let connection = connection.map_err(failed)?;
        connection.busy_timeout(BUSY_MAX).map_err(failed)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT).map_err(failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", self.log_pages).map_err(failed)?;
        Ok(connection)
    }
}

/// The lock that says that this process has the file open.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// The file, open.
pub(super) struct Opened {
    pub(super) lock: Lock,
    pub(super) connection: Connection,
    /// What became of a damaged file.
    pub(super) rescued: Option<Rescued>,
}

/// Opens the file, and makes it if there is none.
pub(super) fn open(place: &Place) -> Result<Opened, StoreError> {
    let lock_path = place.dir.join("jobs.lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
    let lock = lock.map_err(|source| StoreError::io("lock", &lock_path, source))?;
    let alone = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
    let mut rescued = if alone { make_whole(place)? } else { None };
    let connection = if alone { Some(set_up_or_put_aside(place, &mut rescued)?) } else { None };
    flock(&lock, FlockOperation::LockShared).map_err(|error| StoreError::io("lock", &lock_path, error.into()))?;
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let mut connection = place.connect()?;
            schema::migrate(&mut connection, &place.file())?;
            connection
        }
    };
    Ok(Opened { lock: Lock { _file: lock }, connection, rescued })
}

/// Puts a damaged file aside, after an end that was not clean: then there is a log, or a suspicion.
fn make_whole(place: &Place) -> Result<Option<Rescued>, StoreError> {
    let suspected = place.suspicion().exists();
    let unclean = fs::metadata(place.log()).is_ok_and(|log| log.len() > 0);
    if !(suspected || unclean) || !place.file().exists() {
        return Ok(None);
    }
    let depth = if suspected { Depth::Full } else { Depth::Quick };
    let faults = match place.connect() {
        Ok(connection) => {
            // The log of a damaged file is kept as it is.
            let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            kept.map_err(|error| StoreError::sqlite("open", &place.file(), error))?;
            check(&connection, &place.file(), depth)?
        }
        Err(StoreError::Damaged { .. }) => vec!["it is no database".to_owned()],
        Err(error) => return Err(error),
    };
    let rescued = if faults.is_empty() { None } else { Some(put_aside(place, &faults)?) };
    match fs::remove_file(place.suspicion()) {
        Err(source) if suspected => Err(StoreError::io("remove", &place.suspicion(), source)),
        _ => Ok(rescued),
    }
}

/// Sets the file up; damage that stands in the way is seen to first.
fn set_up_or_put_aside(place: &Place, rescued: &mut Option<Rescued>) -> Result<Connection, StoreError> {
    match set_up(place) {
        Err(StoreError::Damaged { .. }) => {
            place.suspect();
            *rescued = make_whole(place)?;
            set_up(place)
        }
        result => result,
    }
}

/// How closely a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Its structure.
    Quick,
    /// Its structure, indexes and seals.
    Full,
}

/// What is wrong with the file; nothing, if it is whole.
pub(super) fn check(connection: &Connection, path: &Path, depth: Depth) -> Result<Vec<String>, StoreError> {
    let found = faults(connection, depth);
    match found.map_err(|error| StoreError::sqlite("check", path, error)) {
        Ok(faults) => Ok(faults),
        Err(StoreError::Damaged { .. }) => Ok(vec!["it cannot be read to its end".to_owned()]),
        Err(error) => Err(error),
    }
}

fn faults(connection: &Connection, depth: Depth) -> rusqlite::Result<Vec<String>> {
    let sql = match depth {
        Depth::Quick => "PRAGMA quick_check(5)",
        Depth::Full => "PRAGMA integrity_check(5)",
    };
    let mut found = Vec::new();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            found.push(line);
        }
    }
    if depth == Depth::Full && found.is_empty() {
        let broken = rescue::broken_rows(connection)?;
        if broken > 0 {
            found.push(format!("{broken} records are not what was written"));
        }
    }
    Ok(found)
}

/// Renames the damaged file, makes a new one, and takes into that what can be read of the old.
fn put_aside(place: &Place, faults: &[String]) -> Result<Rescued, StoreError> {
    let file = place.file();
    let now = crate::clock::Clock::system().unix_now_ms();
    let aside = place.dir.join(format!("jobs.damaged-{now}.db"));
    tracing::error!(file = %file.display(), aside = %aside.display(), ?faults, "the records of jobs are damaged");
    let moved = |from: PathBuf, to: PathBuf| match fs::rename(&from, &to) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("rename", &from, source)),
        _ => Ok(()),
    };
    // The log goes first: without its file it is nothing, and the file without it would look older and whole.
    moved(place.log(), aside.with_extension("db-wal"))?;
    moved(file, aside.clone())?;
    let _ = fs::remove_file(place.dir.join("jobs.db-shm"));
    let mut fresh = set_up(place)?;
    rescue::rescue(&aside, &mut fresh, &place.file())
}

/// The file, made and of this version, and its log beside it; by whoever has it alone. That both are there is on the disk when
/// this returns: SQLite would see to it for a log, but only where the connection that made it is the first to sync it.
fn set_up(place: &Place) -> Result<Connection, StoreError> {
    let path = place.file();
    let failed = |error| StoreError::sqlite("set up", &path, error);
    let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    made.map_err(|source| StoreError::io("make", &path, source))?;
    let mut connection = place.connect()?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let source = std::io::Error::other("the file system has no shared memory; move the data with POTLUCK_HOME");
        return Err(StoreError::io("share", &path, source));
    }
    schema::migrate(&mut connection, &path)?;
    place.sync_dir()?;
    Ok(connection)
}
