//! Interpreters that the owner has added: read from a manifest that anybody may have written, copied with all they need into a
//! folder of their own, and pinned by SHA-256 there. A folder of a name is whole: it is filled aside, synced and renamed, and
//! what is checked, compiled and kept is the copy. Nothing outside of the manifest's own folder is ever taken, whatever it
//! names, nothing hidden, and no link is followed out of it; and of folders only those of whoever named the manifest's.

use super::{Interpreter, InterpreterError, MANIFEST_LEN_MAX, Manifest, failed};
use crate::paths::private_directory;
use potluck_runtime::GuestPath;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What a folder's manifest is called.
pub(super) const MANIFEST: &str = "environment.toml";
/// What a folder's program is called here.
const PROGRAM: &str = "program.wasm";
/// Folders on their way in or out begin so.
const ASIDE: &str = ".aside-";
/// How old one is that nobody is at any more; adding takes a minute.
const ASIDE_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// What all folders of one interpreter may hold.
const FILES_MAX: usize = 8192;
const FILE_BYTES_MAX: u64 = 512 << 20;
const DEPTH_MAX: usize = 32;

/// An interpreter that was copied and checked and is not kept yet.
#[derive(Debug)]
pub struct Candidate {
    manifest: Manifest,
    /// Where its command was copied from.
    from: PathBuf,
    carried: Vec<Carried>,
    /// What holds the copy until it is kept.
    aside: TempDir,
}

/// A folder that goes along with an interpreter, to every machine that runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Where it was copied from.
    pub from: PathBuf,
    /// Where scripts see it.
    pub guest: String,
    /// How many files it has.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Candidate {
    pub(super) fn read(name: &str, from: &Path, directory: &Path) -> Result<Self, InterpreterError> {
        let path = if from.is_dir() { from.join(MANIFEST) } else { from.to_owned() };
        let manifest = parse(&path)?;
        if manifest.name != name {
            let why = format!("its `name` is {:?}; add it as that: `potluck env add {0}`", manifest.name);
            return Err(InterpreterError::File { path, why });
        }
        // Whoever names a file alone has not seen to what lies beside it.
        if !from.is_dir() && !manifest.files.is_empty() {
            let why = format!(
                "its `files` take folders along, which is for manifests that have a folder of their own; put it there as \
                 {MANIFEST}, with its program and those folders, and name that folder with `--from`"
            );
            return Err(InterpreterError::File { path, why });
        }
        let resolved = fs::canonicalize(&path).map_err(failed("read", &path))?;
        let folder = resolved.parent().unwrap_or(Path::new("/"));
        let program = inside(folder, manifest.program.file.as_str())?;
        let doing = "keep an environment in";
        private_directory(directory).map_err(failed(doing, directory))?;
        sweep(directory);
        let aside = aside(directory)?;
        let mut candidate = Self { manifest, from: program, carried: Vec::new(), aside };
        candidate.fill(folder)?;
        Ok(candidate)
    }

    /// What it says of itself, with the digest of its program.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where its command was copied from.
    #[must_use]
    pub fn from(&self) -> &Path {
        &self.from
    }

    /// The copy of its command that will be kept.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.whole().join(PROGRAM)
    }

    /// The folders that go along with it.
    #[must_use]
    pub fn carried(&self) -> &[Carried] {
        &self.carried
    }

    fn whole(&self) -> PathBuf {
        self.aside.path().join("whole")
    }

    /// Copies all of it from the folder its manifest lies in.
    fn fill(&mut self, folder: &Path) -> Result<(), InterpreterError> {
        let whole = self.whole();
        private_directory(&whole).map_err(failed("make", &whole))?;
        self.copy_program()?;
        let mut room = Room { files: FILES_MAX, bytes: FILE_BYTES_MAX, copied: 0 };
        for (number, (guest, place)) in self.manifest.files.iter_mut().enumerate() {
            let name = format!("files-{number}");
            let from = inside(folder, place.as_str())?;
            let before = (room.copied, room.bytes);
            room.copy_folder(&from, &whole.join(&name), 0)?;
            let (files, bytes) = (room.copied - before.0, before.1 - room.bytes);
            self.carried.push(Carried { from, guest: guest.clone(), files, bytes });
            *place = GuestPath::parse(&name).expect("a plain name is a path");
        }
        self.manifest.program.file = GuestPath::parse(PROGRAM).expect("a plain name is a path");
        let text = toml::to_string(&self.manifest).expect("a manifest that was read can be written");
        let path = whole.join(MANIFEST);
        fs::write(&path, text).and_then(|()| sync(&path)).map_err(failed("write", &path))?;
        sync(&whole).map_err(failed("write", &whole))
    }

    /// Copies the program, compares it with what the manifest says of it, and notes what it does not say.
    fn copy_program(&mut self) -> Result<(), InterpreterError> {
        let refuse = |why: String| Err(InterpreterError::File { path: self.from.clone(), why });
        let size_max = super::manifest::PROGRAM_LEN_MAX;
        let file = File::open(&self.from).map_err(failed("read", &self.from))?;
        let size = file.metadata().map_err(failed("read", &self.from))?.len();
        if size > size_max {
            return refuse(format!("it has {size} bytes; an interpreter has {size_max} at most"));
        }
        let mut source = Hashed { from: file, hasher: Sha256::new() };
        let mut room = Room { files: 1, bytes: size_max, copied: 0 };
        let size = room.copy(&mut source, &self.from, &self.program())?;
        let sha256 = data_encoding::HEXLOWER.encode(&source.hasher.finalize());
        let program = &mut self.manifest.program;
        if program.size.is_some_and(|said| said != size) || program.sha256.as_ref().is_some_and(|said| *said != sha256)
        {
            return refuse(format!(
                "it is not the file that the manifest means: it has {size} bytes and the SHA-256 {sha256}; get the right \
                 one, or correct `program` in the manifest"
            ));
        }
        (program.size, program.sha256) = (Some(size), Some(sha256));
        Ok(())
    }

    /// Gives it the folder of its name below `directory`.
    pub(super) fn keep_in(self, directory: &Path) -> Result<(), InterpreterError> {
        let (whole, place) = (self.whole(), directory.join(&self.manifest.name));
        let doing = "keep an environment in";
        if place.exists() {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            let here = rustix::fs::CWD;
            if rustix::fs::renameat_with(here, &whole, here, &place, exchange).is_ok() {
                return sync(directory).map_err(failed(doing, &place));
            }
            // Not every file system can do it in one step.
            fs::rename(&place, self.aside.path().join("old")).map_err(failed("replace", &place))?;
        }
        fs::rename(&whole, &place).and_then(|()| sync(directory)).map_err(failed(doing, &place))
    }
}

/// A folder for what is on its way into `directory`, which goes with it.
pub(super) fn aside(directory: &Path) -> Result<TempDir, InterpreterError> {
    let doing = "make room for an environment in";
    tempfile::Builder::new().prefix(ASIDE).tempdir_in(directory).map_err(failed(doing, directory))
}

/// Removes what was on its way in or out when the machine went down.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_aside = entry.file_name().to_string_lossy().starts_with(ASIDE);
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = changed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > ASIDE_AGE_MAX));
        if is_aside
            && is_old
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "what is left of an environment cannot be removed");
        }
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Hashes what is read.
struct Hashed {
    from: File,
    hasher: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// How much more may be copied.
struct Room {
    files: usize,
    bytes: u64,
    /// How many files were.
    copied: usize,
}

impl Room {
    fn copy_folder(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), InterpreterError> {
        let refuse = |why: String| InterpreterError::File { path: from.to_owned(), why };
        if depth > DEPTH_MAX {
            return Err(refuse(format!("it is nested deeper than {DEPTH_MAX} folders")));
        }
        private_directory(to).map_err(failed("make", to))?;
        for entry in fs::read_dir(from).map_err(failed("read", from))? {
            let entry = entry.map_err(failed("read", from))?;
            let (path, name) = (entry.path(), entry.file_name());
            check_name_of(&path)?;
            let kind = entry.file_type().map_err(failed("read", &path))?;
            let Some(left) = self.files.checked_sub(1) else {
                return Err(refuse(format!("the folders of an environment hold more than {FILES_MAX} files")));
            };
            self.files = left;
            if kind.is_dir() {
                self.copy_folder(&path, &to.join(name), depth + 1)?;
            } else if kind.is_file() {
                self.copy_file(&path, &to.join(name))?;
            } else {
                let why =
                    "it is a link or no regular file, and an environment takes neither; put the file itself there";
                return Err(InterpreterError::File { path, why: why.to_owned() });
            }
        }
        sync(to).map_err(failed("write", to))
    }

    fn copy_file(&mut self, from: &Path, to: &Path) -> Result<(), InterpreterError> {
        let source = File::open(from).map_err(failed("read", from))?;
        self.copy(source, from, to).map(drop)
    }

    /// Copies what is read of `from`; how many bytes that was.
    fn copy(&mut self, source: impl Read, from: &Path, to: &Path) -> Result<u64, InterpreterError> {
        let mut target = File::create_new(to).map_err(failed("write", to))?;
        let copied = io::copy(&mut source.take(self.bytes + 1), &mut target).map_err(failed("copy", from))?;
        target.flush().and_then(|()| target.sync_all()).map_err(failed("write", to))?;
        self.bytes = self.bytes.checked_sub(copied).ok_or_else(|| InterpreterError::File {
            path: from.to_owned(),
            why: "with it the environment is larger than one may be".to_owned(),
        })?;
        self.copied += 1;
        Ok(copied)
    }
}

/// Refuses what is hidden, and what no job's file can be called.
fn check_name_of(path: &Path) -> Result<(), InterpreterError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let why = match GuestPath::parse(name) {
        Ok(_) if !name.starts_with('.') => return Ok(()),
        Ok(_) => "it is hidden, and nothing hidden is taken; remove it, or call it otherwise".to_owned(),
        Err(_) => "no file of a job can be called so; call it otherwise".to_owned(),
    };
    Err(InterpreterError::File { path: path.to_owned(), why })
}

/// The names of all that were added.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, InterpreterError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", directory)(error)),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| super::check_name(name).is_ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// One that was added.
pub(super) fn read(directory: &Path, name: &str) -> Result<Interpreter, InterpreterError> {
    let damaged = |why: String| InterpreterError::Damaged { name: name.to_owned(), why };
    let folder = directory.join(name);
    let manifest = parse(&folder.join(MANIFEST)).map_err(|error| damaged(crate::service::chain(&error)))?;
    let program = folder.join(PROGRAM);
    let size = fs::metadata(&program).ok().map(|metadata| metadata.len());
    let is_whole = |place: &GuestPath| folder.join(place.as_str()).is_dir();
    if manifest.name != name
        || size.is_none()
        || manifest.program.size != size
        || !manifest.files.values().all(is_whole)
    {
        return Err(damaged("its files were changed".to_owned()));
    }
    Ok(Interpreter { manifest, program, folder, is_bundled: false })
}

/// Removes one; how many bytes that freed.
pub(super) fn remove(directory: &Path, name: &str) -> Result<Option<u64>, InterpreterError> {
    let place = directory.join(name);
    if !place.is_dir() {
        return Ok(None);
    }
    let bytes = size_of(&place);
    let aside = aside(directory)?;
    fs::rename(&place, aside.path().join("old")).map_err(failed("remove", &place))?;
    aside.close().map_err(failed("remove", &place))?;
    Ok(Some(bytes))
}

/// The bytes below a folder.
pub(super) fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn parse(path: &Path) -> Result<Manifest, InterpreterError> {
    let refuse = |why: String| InterpreterError::File { path: path.to_owned(), why };
    let file = File::open(path).map_err(failed("read the manifest", path))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(refuse("it is no file; name a manifest, or a folder with an `environment.toml`".to_owned()));
    }
    let mut bytes = Vec::new();
    let read = file.take(MANIFEST_LEN_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(failed("read the manifest", path))?;
    if bytes.starts_with(b"\0asm") {
        let why = "it is a program, and a manifest is wanted: three lines of `name`, `version` and `program`; `potluck env \
                   add --help` shows one";
        return Err(refuse(why.to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is no text".to_owned()))?;
    Manifest::parse(&text).map_err(|source| InterpreterError::Manifest { path: path.to_owned(), source })
}

/// What lies in `folder` under this name, without leaving it through a link.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, InterpreterError> {
    let path = folder.join(name);
    let resolved = fs::canonicalize(&path).map_err(failed("read", &path))?;
    if resolved != path {
        let why = "a link leads elsewhere; put the file itself there".to_owned();
        return Err(InterpreterError::File { path, why });
    }
    Ok(resolved)
}
