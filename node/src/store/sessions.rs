//! Sessions on disk: one directory each, with a record, the memory, and the files of its working directory. A directory is
//! written aside and renamed, so one that has its name is whole; what was not finished is removed when the store is opened.

use super::record::{Record, RecordError};
use crate::identity::NodeId;
use crate::wire::JobId;
use potluck_runtime::{GuestPath, Limits};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const RECORD_FILE: &str = "record.toml";
const MEMORY_FILE: &str = "memory";
const FILES_DIR: &str = "files";
/// Bytes that are copied at a time.
const COPY_LEN: usize = 64 << 10;
/// What the directory of a session ends with while it is written.
const PART: &str = "part";
/// What the one before ends with while another takes its place.
const OLD: &str = "old";

/// What is known of a session besides its memory and files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its id.
    pub session: JobId,
    /// Whose it is.
    pub holder: NodeId,
    /// Their label.
    pub holder_name: String,
    /// Whether that is this machine's owner.
    pub owned: bool,
    /// What its user calls it.
    pub name: Option<String>,
    /// Its environment.
    pub environment: String,
    /// The name of what it started from.
    pub image: String,
    /// Turns so far.
    pub turns: u64,
    /// When it was opened, in seconds since 1970.
    pub created_unix: u64,
    /// When the last turn ended, in seconds since 1970.
    pub used_unix: u64,
    /// How much memory its guest has, in bytes.
    pub memory_bytes: u64,
    /// The files of its working directory.
    pub files: Vec<StoredFile>,
    /// Directories of it that hold no files.
    pub directories: Vec<GuestPath>,
    /// What it may use.
    pub limits: Limits,
    /// Its environment variables.
    pub env: Vec<(String, String)>,
}

/// One file of a working directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its place.
    pub path: GuestPath,
    /// The owner's execute bit.
    pub executable: bool,
}

/// The record's file; what a store holds always has one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct RecordFile {
    session: Option<SessionRecord>,
}

/// Where sessions are kept. Clones are the same place.
#[derive(Clone, Debug)]
pub struct SessionStore {
    dir: PathBuf,
}

/// A session that is being written; dropped before [`commit`](Self::commit), it leaves nothing.
#[derive(Debug)]
pub struct SessionWriter {
    store: SessionStore,
    session: JobId,
    part: PathBuf,
}

impl SessionStore {
    /// The store in `dir`, which is made if need be and must belong to this process alone. What is not whole is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(dir: &Path) -> io::Result<Self> {
        make_dir(dir)?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            match path.extension().and_then(OsStr::to_str).filter(|_| path.is_dir()) {
                Some(OLD) if !path.with_extension("").exists() => fs::rename(&path, path.with_extension(""))?,
                Some(OLD | PART) => fs::remove_dir_all(&path)?,
                _ => {}
            }
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Every session that is here. One whose record cannot be read stays where it is and is named in the log.
    ///
    /// # Errors
    /// What the system says.
    pub fn list(&self) -> io::Result<Vec<SessionRecord>> {
        let mut sessions = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let dir = entry?.path();
            match read_record(&dir) {
                Ok(Some(record)) if dir == self.place(record.session) => sessions.push(record),
                Ok(_) => tracing::warn!(dir = %dir.display(), "no session is kept there"),
                Err(error) => tracing::warn!(%error, "a session that was kept cannot be read"),
            }
        }
        Ok(sessions)
    }

    /// Where a session's memory lies.
    #[must_use]
    pub fn memory(&self, session: JobId) -> PathBuf {
        self.place(session).join(MEMORY_FILE)
    }

    /// Where a file of its working directory lies.
    #[must_use]
    pub fn file(&self, session: JobId, path: &GuestPath) -> PathBuf {
        self.place(session).join(FILES_DIR).join(path.as_str())
    }

    /// The record of a session.
    ///
    /// # Errors
    /// A [`RecordError`].
    pub fn record(&self, session: JobId) -> Result<Option<SessionRecord>, RecordError> {
        read_record(&self.place(session))
    }

    /// Begins to write a session.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, session: JobId) -> io::Result<SessionWriter> {
        let part = self.place(session).with_extension(PART);
        remove_dir(&part)?;
        make_dir(&part)?;
        make_dir(&part.join(FILES_DIR))?;
        Ok(SessionWriter { store: self.clone(), session, part })
    }

    /// Bytes that a session takes on disk, holes not counted.
    #[must_use]
    pub fn bytes(&self, session: JobId) -> u64 {
        bytes_below(&self.place(session))
    }

    /// Removes a session, if it is here.
    pub fn remove(&self, session: JobId) {
        if let Err(error) = remove_dir(&self.place(session)) {
            tracing::warn!(%session, %error, "a session that was kept cannot be removed");
        }
    }

    fn place(&self, session: JobId) -> PathBuf {
        self.dir.join(session.to_string())
    }
}

impl SessionWriter {
    /// Where its memory is to be written.
    #[must_use]
    pub fn memory(&self) -> PathBuf {
        self.part.join(MEMORY_FILE)
    }

    /// Copies one file of its working directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&self, path: &GuestPath, from: &mut File) -> io::Result<()> {
        let place = self.part.join(FILES_DIR).join(path.as_str());
        if let Some(parent) = place.parent() {
            make_dir(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
        copy_sparse(from, &mut file)
    }

    /// Gives the session its name, in place of what was there; returns where its memory lies now.
    ///
    /// # Errors
    /// What the system says; what was there stays then.
    pub fn commit(self, record: SessionRecord) -> io::Result<PathBuf> {
        let file = Record::<RecordFile>::at(&self.part.join(RECORD_FILE));
        file.update(|content| content.session = Some(record)).map_err(io::Error::other)?;
        let place = self.store.place(self.session);
        let old = place.with_extension(OLD);
        remove_dir(&old)?;
        if place.exists() {
            fs::rename(&place, &old)?;
        }
        fs::rename(&self.part, &place)?;
        remove_dir(&old)?;
        Ok(self.store.memory(self.session))
    }
}

impl Drop for SessionWriter {
    fn drop(&mut self) {
        if let Err(error) = remove_dir(&self.part) {
            tracing::warn!(%error, "a session that was not kept cannot be removed");
        }
    }
}

fn read_record(dir: &Path) -> Result<Option<SessionRecord>, RecordError> {
    Ok(Record::<RecordFile>::at(&dir.join(RECORD_FILE)).read()?.session)
}

/// Copies a file, and writes no zeros: a file of holes takes no more room than it did.
fn copy_sparse(from: &mut File, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; COPY_LEN];
    let mut len = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.set_len(len);
        }
        len += read as u64;
        if buffer[..read].iter().all(|byte| *byte == 0) {
            to.seek(SeekFrom::Start(len))?;
        } else {
            to.write_all(&buffer[..read])?;
        }
    }
}

/// What cannot be looked at is not there.
fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries.flatten().fold(0u64, |sum, entry| {
        let bytes = match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.blocks().saturating_mul(512),
            Err(_) => 0,
        };
        sum.saturating_add(bytes)
    })
}

fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(byte: u8, turns: u64) -> SessionRecord {
        SessionRecord {
            session: JobId([byte; 16]),
            holder: NodeId::from_bytes([7; 32]),
            holder_name: "attic".into(),
            owned: false,
            name: None,
            environment: "python".into(),
            image: "data".into(),
            turns,
            created_unix: 1,
            used_unix: 2,
            memory_bytes: 3,
            files: vec![StoredFile { path: GuestPath::parse("a/b").unwrap(), executable: true }],
            directories: vec![GuestPath::parse("c").unwrap()],
            limits: Limits::default(),
            env: vec![("K".into(), "v".into())],
        }
    }

    fn keep(store: &SessionStore, record: SessionRecord, content: &[u8]) {
        let writer = store.write(record.session).unwrap();
        fs::write(writer.memory(), content).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        writer.add(&record.files[0].path, &mut file).unwrap();
        writer.commit(record).unwrap();
    }

    #[test]
    fn a_session_is_found_again_whole_and_the_newest_counts() {
        let dir = tempfile::tempdir().unwrap();
        let store = SessionStore::open(dir.path()).unwrap();
        keep(&store, record(1, 5), b"old");
        keep(&store, record(1, 6), b"new");
        let store = SessionStore::open(dir.path()).unwrap();
        assert_eq!(store.list().unwrap(), [record(1, 6)]);
        let id = record(1, 6).session;
        assert_eq!(fs::read(store.memory(id)).unwrap(), b"new");
        assert_eq!(fs::read(store.file(id, &record(1, 6).files[0].path)).unwrap(), b"new");
        store.remove(id);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_of_holes_takes_no_more_room_than_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let store = SessionStore::open(dir.path()).unwrap();
        let writer = store.write(record(1, 1).session).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        file.write_all(b"start").unwrap();
        file.rewind().unwrap();
        let path = &record(1, 1).files[0].path;
        writer.add(path, &mut file).unwrap();
        fs::write(writer.memory(), b"").unwrap();
        writer.commit(record(1, 1)).unwrap();
        let copy = store.file(record(1, 1).session, path);
        let metadata = fs::metadata(&copy).unwrap();
        assert_eq!(metadata.len(), 1 << 30);
        assert!(metadata.blocks() < 1000, "{}", metadata.blocks());
        let bytes = store.bytes(record(1, 1).session);
        assert!(bytes > 0 && bytes < 1 << 20, "{bytes}");
        let mut start = [0; 6];
        File::open(copy).unwrap().read_exact(&mut start).unwrap();
        assert_eq!(&start, b"start\0");
    }

    #[test]
    fn what_a_crash_has_left_is_removed_or_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = SessionStore::open(dir.path()).unwrap();
        keep(&store, record(1, 5), b"one");
        // Ended while it was written, and while another took its place.
        std::mem::forget(store.write(record(2, 1).session).unwrap());
        let place = store.place(record(1, 5).session);
        fs::rename(&place, place.with_extension(OLD)).unwrap();
        let store = SessionStore::open(dir.path()).unwrap();
        assert_eq!(store.list().unwrap(), [record(1, 5)]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_session_that_was_not_finished_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = SessionStore::open(dir.path()).unwrap();
        keep(&store, record(1, 5), b"one");
        drop(store.write(record(1, 5).session).unwrap());
        assert_eq!(store.list().unwrap(), [record(1, 5)]);
        fs::create_dir(dir.path().join("something else")).unwrap();
        assert_eq!(store.list().unwrap(), [record(1, 5)]);
    }
}
