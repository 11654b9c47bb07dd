//! Records on their way: a command that runs a job by itself, or sends it to a peer, appends one here when the job is over
//! and is done, in some ten microseconds. Whoever opens the store next takes them in.
//!
//! 1. Whoever appends or takes in holds the file's lock. What is taken in is committed before the file is emptied; taken in
//!    twice, it is what it was.
//! 2. An entry that was torn is passed over, and those behind it are found again by their mark.

use super::failure::StoreError;
use super::job_record::JobRecord;
use super::ledger::KeptReceipt;
use potluck_runtime::Digest;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What an entry begins with; its last byte is the version of what follows.
const MARK: &[u8; 4] = b"PJR\x01";
/// Mark, length, and the beginning of the digest.
const HEAD_LEN: usize = 4 + 4 + 8;
/// Bytes of an entry: some texts of 512 bytes, a receipt, and a result.
const ENTRY_LEN_MAX: usize = 96 << 10;
/// Bytes of all entries: some thousand jobs.
const SPOOL_LEN_MAX: u64 = 512 << 10;
/// Bytes of a file that are taken in: hundreds of commands that ended at once with the longest entries, each of which comes
/// on top of what is there.
const TAKEN_LEN_MAX: u64 = 64 << 20;

/// What is told of a job in one piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spooled {
    /// The job, ended.
    pub job: JobRecord,
    /// What was signed about it.
    #[serde(default)]
    pub receipt: Option<KeptReceipt>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Appended {
    /// It is there.
    Yes,
    /// It is there, and the file should be taken in.
    AndFull,
}

/// Appends an entry, without a sync.
pub(super) fn append(path: &Path, entry: &Spooled) -> Result<Appended, StoreError> {
    let bytes = encoded(entry).map_err(|source| StoreError::io("encode a record for", path, source))?;
    let mut file = locked(path)?;
    let write = || {
        let end = file.seek(SeekFrom::End(0))?;
        if let Err(error) = file.write_all(&bytes) {
            file.set_len(end)?;
            return Err(error);
        }
        Ok(end + bytes.len() as u64)
    };
    let len = { write }().map_err(|source| StoreError::io("write", path, source))?;
    Ok(if len > SPOOL_LEN_MAX { Appended::AndFull } else { Appended::Yes })
}

/// Gives all entries to `take`, and empties the file when that has them.
pub(super) fn take_in(
    path: &Path,
    take: impl FnOnce(Vec<Spooled>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("read", path, source);
    if std::fs::metadata(path).map_or(0, |metadata| metadata.len()) == 0 {
        return Ok(());
    }
    let mut file = locked(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(TAKEN_LEN_MAX).read_to_end(&mut bytes).map_err(failed)?;
    take(entries(&bytes))?;
    file.set_len(0).map_err(failed)
}

fn locked(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    let file = file.map_err(|source| StoreError::io("open", path, source))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| StoreError::io("lock", path, error.into()))?;
    Ok(file)
}

fn encoded(entry: &Spooled) -> std::io::Result<Vec<u8>> {
    let body = rmp_serde::to_vec_named(entry).map_err(std::io::Error::other)?;
    let len = u32::try_from(body.len()).ok().filter(|_| body.len() <= ENTRY_LEN_MAX);
    let len = len.ok_or_else(|| std::io::Error::other("it is too long"))?;
    let mut bytes = Vec::with_capacity(HEAD_LEN + body.len());
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&Digest::of(&body).as_bytes()[..8]);
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The whole entries among these bytes.
fn entries(mut bytes: &[u8]) -> Vec<Spooled> {
    let mut found = Vec::new();
    while bytes.len() >= HEAD_LEN {
        match entry(bytes) {
            Some((entry, len)) => {
                found.push(entry);
                bytes = &bytes[len..];
            }
            None => {
                let next = bytes[1..].windows(MARK.len()).position(|window| window == MARK);
                bytes = next.map_or(&[], |next| &bytes[1 + next..]);
            }
        }
    }
    found
}

fn entry(bytes: &[u8]) -> Option<(Spooled, usize)> {
    let rest = bytes.strip_prefix(MARK)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok().filter(|len| *len <= ENTRY_LEN_MAX)?;
    let body = rest.get(..len)?;
    if sum != &Digest::of(body).as_bytes()[..8] {
        return None;
    }
    Some((rmp_serde::from_slice(body).ok()?, HEAD_LEN + len))
}

#[cfg(test)]
mod tests {
    use super::super::job_record::{End, Role};
    use super::*;
    use crate::wire::JobId;

    fn job(number: u8) -> Spooled {
        let job = JobRecord::begun(JobId([number; 16]), Role::Sent, "soup.wasm", &["-x".to_owned()], 5);
        Spooled { job: job.ended(End::Exited(i32::from(number)), 9), receipt: None }
    }

    fn taken(path: &Path) -> Vec<Spooled> {
        let mut taken = Vec::new();
        take_in(path, |entries| {
            taken = entries;
            Ok(())
        })
        .unwrap();
        taken
    }

    #[test]
    fn what_was_appended_is_taken_in_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        assert!(taken(&path).is_empty());
        for number in 0..3 {
            assert_eq!(append(&path, &job(number)).unwrap(), Appended::Yes);
        }
        assert_eq!(taken(&path), [job(0), job(1), job(2)]);
        assert!(taken(&path).is_empty());
    }

    #[test]
    fn what_cannot_be_committed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        assert_eq!(append(&path, &job(1)).unwrap(), Appended::Yes);
        let full = || StoreError::Full { path: path.clone() };
        take_in(&path, |_| Err(full())).unwrap_err();
        assert_eq!(taken(&path), [job(1)]);
    }

    #[test]
    fn an_entry_that_was_torn_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let whole = encoded(&job(2)).unwrap();
        for torn in 1..whole.len() {
            let mut bytes = encoded(&job(1)).unwrap();
            bytes.extend_from_slice(&whole[..torn]);
            bytes.extend_from_slice(&encoded(&job(3)).unwrap());
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(taken(&path), [job(1), job(3)], "torn at {torn}");
        }
    }

    #[test]
    fn a_file_that_nobody_takes_in_says_when_it_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut count = 0u32;
        while append(&path, &job(1)).unwrap() == Appended::Yes {
            count += 1;
        }
        assert!(count > 500, "{count}");
        assert_eq!(taken(&path).len() as u32, count + 1);
    }

    #[test]
    fn of_a_file_far_beyond_its_bound_every_entry_is_taken_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut long = job(1);
        long.job.args = "x".repeat(ENTRY_LEN_MAX / 2);
        let bytes = encoded(&long).unwrap().repeat(80);
        assert!(bytes.len() as u64 > 4 * SPOOL_LEN_MAX);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(taken(&path).len(), 80);
    }
}
