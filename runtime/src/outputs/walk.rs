//! The walk through a working directory: everything is reached through directory handles, and no link is ever followed.
//! What cannot be carried elsewhere is named with the reason.

use super::OutputError;
use crate::job::GuestPath;
use crate::workspace::Workspace;
use cap_std::fs::{Dir, DirEntry, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use std::fs::File;
use std::io;
use std::path::Path;

/// The most files one run can bring back; more are left behind. Bounds memory and the size of the listing.
pub const OUTPUT_FILES_MAX: usize = 20_000;
/// The most reasons listed for things left behind.
const LEFT_BEHIND_MAX: usize = 200;

/// What the walk has come upon.
pub(crate) enum Found<'a> {
    /// A regular file with one name.
    File(FoundFile<'a>),
    /// A directory of which nothing is listed.
    Directory(GuestPath),
}

/// A file that can be carried elsewhere.
pub(crate) struct FoundFile<'a> {
    dir: &'a Dir,
    name: &'a str,
    pub(crate) path: GuestPath,
    pub(crate) metadata: &'a Metadata,
}

impl FoundFile<'_> {
    pub(crate) fn open(&self) -> io::Result<File> {
        open_file(self.dir, self.name)
    }

    /// Whether the owner's execute bit is set.
    pub(crate) fn is_executable(&self) -> bool {
        self.metadata.mode() & 0o100 != 0
    }
}

/// Walks through the guest's working directory. `visit` says whether it lists what was found, and is given no more once
/// [`OUTPUT_FILES_MAX`] are listed. The answer is what is left behind, each with its reason.
///
/// # Errors
/// An [`OutputError`] if a directory cannot be read, and those of `visit`.
pub(crate) fn walk(
    workspace: &Workspace,
    visit: impl FnMut(Found<'_>) -> Result<bool, OutputError>,
) -> Result<Vec<String>, OutputError> {
    let root = workspace.root().map_err(|source| OutputError::new(".", source))?;
    let (file_len_max, len_left) = (workspace.file_len_max(), workspace.len_max());
    let mut walk = Walk { file_len_max, len_left, visit, listed: 0, left_behind: Vec::new(), unlisted: 0 };
    walk.directory(&root, "")?;
    if walk.unlisted > 0 {
        walk.left_behind.push(format!("{} more files and links", walk.unlisted));
    }
    Ok(walk.left_behind)
}

/// The state of one walk.
struct Walk<F> {
    file_len_max: u64,
    /// How long what is still to be listed may be; holes take no disk, but time to be read and room where they arrive.
    len_left: u64,
    visit: F,
    listed: usize,
    left_behind: Vec<String>,
    unlisted: u64,
}

impl<F: FnMut(Found<'_>) -> Result<bool, OutputError>> Walk<F> {
    fn directory(&mut self, dir: &Dir, prefix: &str) -> Result<(), OutputError> {
        let fail = |source| OutputError::new(prefix, source);
        for entry in dir.entries().map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.leave(&format!("{prefix}{}", name.to_string_lossy()), "its name is not UTF-8");
                continue;
            };
            let path = format!("{prefix}{name}");
            match GuestPath::parse(&path) {
                Ok(guest) => self.entry(dir, &entry, name, guest)?,
                Err(error) => self.leave(&path, &error.to_string()),
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, entry: &DirEntry, name: &str, path: GuestPath) -> Result<(), OutputError> {
        let fail = |source| OutputError::new(path.as_str(), source);
        let metadata = entry.metadata().map_err(fail)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            let inner = open_directory(dir, name).map_err(fail)?;
            let listed = self.listed;
            self.directory(&inner, &format!("{path}/"))?;
            return if self.listed == listed { self.visit(Found::Directory(path)) } else { Ok(()) };
        }
        if kind.is_symlink() {
            self.leave(path.as_str(), "it is a symbolic link");
        } else if !kind.is_file() {
            self.leave(path.as_str(), "it is not a regular file");
        } else if metadata.nlink() != 1 {
            self.leave(path.as_str(), "it is a hard link to another file");
        } else if metadata.len() > self.file_len_max {
            self.leave(path.as_str(), "it is longer than the disk limit (mostly holes)");
        } else if metadata.len() > self.len_left {
            self.leave(path.as_str(), "with the files before it, it is longer than the disk limit (mostly holes)");
        } else {
            let listed = self.listed;
            self.visit(Found::File(FoundFile { dir, name, path, metadata: &metadata }))?;
            if self.listed > listed {
                self.len_left -= metadata.len();
            }
        }
        Ok(())
    }

    fn visit(&mut self, found: Found<'_>) -> Result<(), OutputError> {
        if self.listed >= OUTPUT_FILES_MAX {
            self.unlisted += 1;
        } else if (self.visit)(found)? {
            self.listed += 1;
        }
        Ok(())
    }

    fn leave(&mut self, path: &str, why: &str) {
        if self.left_behind.len() < LEFT_BEHIND_MAX {
            let shown: String = path.chars().take(200).collect();
            self.left_behind.push(format!("{shown}: {why}"));
        } else {
            self.unlisted += 1;
        }
    }
}

/// Opens one file of the working directory for reading, following no link in any component of its path.
///
/// # Errors
/// What the operating system reports; `InvalidInput` for anything but a regular file with one name.
pub(crate) fn open(workspace: &Workspace, path: &GuestPath) -> io::Result<File> {
    let mut dir = workspace.root()?;
    let mut components = path.as_str().split('/').peekable();
    while let Some(component) = components.next() {
        if components.peek().is_some() {
            dir = open_directory(&dir, component)?;
            continue;
        }
        return open_file(&dir, component);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "empty path"))
}

fn open_directory(dir: &Dir, name: &str) -> io::Result<Dir> {
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let handle = dir.open_with(Path::new(name), &options)?;
    Ok(Dir::from_std_file(handle.into_std()))
}

/// Opens without following a link and without waiting for the other end of a pipe that took the file's place. What is there
/// now counts, not what was there when it was looked at.
fn open_file(dir: &Dir, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = dir.open_with(Path::new(name), &options)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file with one name"));
    }
    Ok(file.into_std())
}
