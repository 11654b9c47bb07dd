//! Output files as they arrive: written aside, checked, renamed. Everything goes through one directory handle, and no
//! component of a path is followed when it is a link, so nothing a peer sends can land outside the directory the user
//! named.

use super::failure::SubmitError;
use crate::wire::OutputFile;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use potluck_runtime::{Digest, GuestPath};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a file that is still arriving begins with.
const PARTIAL_PREFIX: &str = ".potluck-partial-";

/// The directory outputs are brought to. Made when the first file comes.
pub(super) struct OutputsDir {
    path: PathBuf,
    dir: Option<Dir>,
    count: u64,
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
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, dir: None, count: 0 }
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
        }
        let Some(root) = &self.dir else { return Err(io::ErrorKind::NotFound.into()) };
        let (parents, name) = split(&head.path);
        let mut parent = root.try_clone()?;
        for component in parents {
            parent = enter(&parent, component)?;
        }
        self.count += 1;
        let partial = format!("{PARTIAL_PREFIX}{}-{}", std::process::id(), self.count);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(if head.executable { 0o777 } else { 0o666 });
        let file = parent.open_with(&partial, &options)?;
        let shown = self.path.join(head.path.as_str());
        let name = name.to_owned();
        Ok(ArrivingFile { head, parent, partial, name, file: Some(file), hasher: blake3::Hasher::new(), shown })
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

    fn bring(dir: &Path, head: OutputFile, bytes: &[u8]) -> Result<OutputFile, SubmitError> {
        let mut file = OutputsDir::new(dir.to_owned()).begin(head)?;
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
}
