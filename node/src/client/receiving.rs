//! Output files as they arrive: written aside, checked, renamed. No more come than a job under these limits can have
//! made, and none in the place of another. Everything goes through one directory handle, and no
//! component of a path is followed when it is a link, so nothing a peer sends can land outside the directory the user
//! named.

use super::failure::SubmitError;
use crate::service::Case;
use crate::wire::{OutputFile, SubmitJob};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use potluck_runtime::{Digest, GuestPath, OUTPUT_FILES_MAX};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a file that is still arriving begins with.
pub const PARTIAL_PREFIX: &str = ".potluck-partial-";

/// The directory outputs are brought to. Made when the first file comes.
#[derive(Debug)]
pub(super) struct OutputsDir {
    path: PathBuf,
    dir: Option<Dir>,
    count: usize,
    /// How many bytes may still come.
    bytes_left: u64,
    arrived: Arrived,
}

/// What has come, so that nothing takes the place of another: each file and each directory above one, by the form in which
/// the disk tells it from others.
#[derive(Debug)]
struct Arrived {
    case: Case,
    paths: HashMap<String, String>,
}

impl Arrived {
    fn note(&mut self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/') {
            self.spelt(&path[..end])?;
        }
        if self.spelt(path)? {
            return Err(io::Error::other("it was sent before"));
        }
        Ok(())
    }

    /// Whether this path is known; an error if it is by another spelling.
    fn spelt(&mut self, path: &str) -> io::Result<bool> {
        let form = match self.case {
            Case::Kept => path.to_owned(),
            Case::Folded => path.to_lowercase(),
        };
        match self.paths.insert(form, path.to_owned()) {
            Some(before) if before != path => {
                let why =
                    format!("it and {before} differ in upper and lower case alone, which this disk cannot tell apart");
                Err(io::Error::other(why))
            }
            before => Ok(before.is_some()),
        }
    }
}

/// A file that is arriving; dropped before [`ArrivingFile::finish`], it leaves nothing.
pub(super) struct ArrivingFile {
    head: OutputFile,
    parent: Dir,
    partial: String,
    name: String,
    file: Option<File>,
    hasher: blake3::Hasher,
    shown: PathBuf,
}

impl OutputsDir {
    /// For the outputs of this job.
    pub(super) fn of_job(path: PathBuf, job: &SubmitJob) -> Self {
        // Inputs come back when they were changed.
        let inputs = job.files.iter().fold(0, |total: u64, file| total.saturating_add(file.size));
        Self::new(path, job.limits.disk_bytes.saturating_add(inputs))
    }

    /// For so many bytes.
    pub(super) fn new(path: PathBuf, bytes_left: u64) -> Self {
        let arrived = Arrived { case: Case::Kept, paths: HashMap::new() };
        Self { path, dir: None, count: 0, bytes_left, arrived }
    }

    /// Begins a file.
    pub(super) fn begin(&mut self, head: OutputFile) -> Result<ArrivingFile, SubmitError> {
        let shown = self.path.join(head.path.as_str());
        self.begin_inside(head).map_err(|error| failed(&shown, &error))
    }

    fn begin_inside(&mut self, head: OutputFile) -> io::Result<ArrivingFile> {
        if self.dir.is_none() {
            std::fs::create_dir_all(&self.path)?;
            self.dir = Some(Dir::open_ambient_dir(&self.path, ambient_authority())?);
            self.arrived.case = Case::of(&self.path)?;
        }
        self.admit(&head)?;
        let Some(root) = &self.dir else { return Err(io::ErrorKind::NotFound.into()) };
        let (parents, name) = split(&head.path);
        let mut parent = root.try_clone()?;
        for component in parents {
            parent = enter(&parent, component)?;
        }
        let partial = format!("{PARTIAL_PREFIX}{}-{}", std::process::id(), self.count);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(if head.executable { 0o777 } else { 0o666 });
        let file = parent.open_with(&partial, &options)?;
        let shown = self.path.join(head.path.as_str());
        let name = name.to_owned();
        Ok(ArrivingFile { head, parent, partial, name, file: Some(file), hasher: blake3::Hasher::new(), shown })
    }

    /// Refuses what an honest node would not send.
    fn admit(&mut self, head: &OutputFile) -> io::Result<()> {
        self.count += 1;
        if self.count > OUTPUT_FILES_MAX {
            return Err(io::Error::other(format!("a job brings back {OUTPUT_FILES_MAX} files at most")));
        }
        let Some(left) = self.bytes_left.checked_sub(head.size) else {
            let why = format!("{} bytes more are allowed (the job's disk limit and its inputs)", self.bytes_left);
            return Err(io::Error::other(format!("it is {} bytes long, and {why}", head.size)));
        };
        self.bytes_left = left;
        self.arrived.note(head.path.as_str())
    }
}

/// The directory `name` in `parent`, made if need be; an error when something else, a link among them, has the name.
fn enter(parent: &Dir, name: &str) -> io::Result<Dir> {
    match parent.create_dir(name) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !parent.symlink_metadata(name)?.is_dir() {
                return Err(io::Error::other(format!("{name} is there and is no directory")));
            }
        }
        Err(error) => return Err(error),
    }
    parent.open_dir(name)
}

fn split(path: &GuestPath) -> (Vec<&str>, &str) {
    match path.as_str().rsplit_once('/') {
        Some((parents, name)) => (parents.split('/').collect(), name),
        None => (Vec::new(), path.as_str()),
    }
}

impl ArrivingFile {
    /// How many bytes are still due.
    pub(super) fn left(&self) -> u64 {
        self.head.size.saturating_sub(self.hasher.count())
    }

    /// The next bytes; more than are due are an error.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), SubmitError> {
        if bytes.len() as u64 > self.left() {
            return Err(failed(&self.shown, &io::Error::other("more bytes arrived than were announced")));
        }
        self.hasher.update(bytes);
        let file = self.file.as_mut().ok_or_else(|| failed(&self.shown, &io::ErrorKind::NotFound.into()))?;
        file.write_all(bytes).map_err(|error| failed(&self.shown, &error))
    }

    /// Checks the bytes and gives the file its name. A directory of that name is an error, a link of that name is
    /// replaced and not followed.
    pub(super) fn finish(mut self) -> Result<OutputFile, SubmitError> {
        if Digest::from_bytes(*self.hasher.finalize().as_bytes()) != self.head.digest {
            return Err(failed(&self.shown, &io::Error::other("other bytes arrived than were announced")));
        }
        self.file = None;
        let renamed = self.parent.rename(&self.partial, &self.parent, &self.name);
        renamed.map_err(|error| failed(&self.shown, &error))?;
        self.partial.clear();
        Ok(self.head.clone())
    }
}

impl Drop for ArrivingFile {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            // A file that cannot be removed bears a name that says what it is.
            let _ = self.parent.remove_file(&self.partial);
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> SubmitError {
    SubmitError::Output { path: path.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn head(path: &str, bytes: &[u8]) -> OutputFile {
        let path = GuestPath::parse(path).unwrap();
        OutputFile { path, digest: Digest::of(bytes), size: bytes.len() as u64, executable: false }
    }

    fn outputs(dir: &Path) -> OutputsDir {
        OutputsDir::new(dir.to_owned(), 1000)
    }

    fn bring(dir: &Path, head: OutputFile, bytes: &[u8]) -> Result<OutputFile, SubmitError> {
        let mut file = outputs(dir).begin(head)?;
        file.write(bytes)?;
        file.finish()
    }

    #[test]
    fn a_file_in_a_folder_is_written_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/out");
        bring(&out, head("a/b/c.txt", b"one"), b"one").unwrap();
        bring(&out, head("a/b/c.txt", b"two"), b"two").unwrap();
        assert_eq!(fs::read(out.join("a/b/c.txt")).unwrap(), b"two");
        assert_eq!(fs::read_dir(out.join("a/b")).unwrap().count(), 1);
    }

    #[test]
    fn links_are_neither_followed_nor_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (out, outside) = (dir.path().join("out"), dir.path().join("outside"));
        fs::create_dir_all(&out).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("file"), b"mine").unwrap();
        symlink(&outside, out.join("dir")).unwrap();
        symlink(outside.join("file"), out.join("file")).unwrap();
        assert!(matches!(bring(&out, head("dir/x", b"evil"), b"evil"), Err(SubmitError::Output { .. })));
        bring(&out, head("file", b"evil"), b"evil").unwrap();
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"mine");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert!(!fs::symlink_metadata(out.join("file")).unwrap().is_symlink());
    }

    #[test]
    fn bytes_that_were_not_announced_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(bring(dir.path(), head("x", b"good"), b"evil").is_err());
        assert!(bring(dir.path(), head("x", b"good"), b"good and more").is_err());
        assert!(bring(dir.path(), head("x", b"good"), b"go").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[track_caller]
    fn refused(outputs: &mut OutputsDir, path: &str, size: u64, why: &str) {
        match outputs.begin(OutputFile { size, ..head(path, b"") }) {
            Err(SubmitError::Output { why: said, .. }) => assert!(said.contains(why), "{said}"),
            Err(other) => panic!("{path}: {other}"),
            Ok(_) => panic!("{path} was taken"),
        }
    }

    #[test]
    fn no_more_bytes_or_files_come_than_a_job_can_have_made() {
        let dir = tempfile::tempdir().unwrap();
        let mut outputs = outputs(dir.path());
        outputs.begin(OutputFile { size: 600, ..head("a", b"") }).map(drop).unwrap();
        refused(&mut outputs, "b", 401, "400 bytes more are allowed");
        refused(&mut outputs, "c", u64::MAX, "400 bytes more are allowed");
        outputs.count = OUTPUT_FILES_MAX;
        refused(&mut outputs, "d", 0, "files at most");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_file_takes_the_place_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let mut outputs = outputs(dir.path());
        let mut take = |path: &str| outputs.begin(head(path, b"")).unwrap().finish().map(drop).unwrap();
        take("a/b");
        take("a/c");
        refused(&mut outputs, "a/b", 0, "sent before");
        refused(&mut outputs, "a", 0, "sent before");
        refused(&mut outputs, "a/b/c", 0, "no directory");
        outputs.arrived.case = Case::Folded;
        outputs.begin(head("Makefile", b"")).map(drop).unwrap();
        refused(&mut outputs, "makefile", 0, "upper and lower case");
        refused(&mut outputs, "MAKEFILE/x", 0, "upper and lower case");
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 2);
    }
}
