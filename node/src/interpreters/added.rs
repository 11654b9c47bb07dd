//! Interpreters that the owner has added: read from a manifest that anybody may have written, copied with all they need into a
//! folder of their own, and pinned by SHA-256 there. A folder of a name is whole: it is filled aside and renamed. Nothing
//! outside of the manifest's own folder is ever taken, whatever it names, and no link is followed out of it.

use super::{Interpreter, InterpreterError, MANIFEST_LEN_MAX, Manifest, failed};
use crate::paths::private_directory;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What a folder's manifest is called.
const MANIFEST: &str = "environment.toml";
/// What a folder's program is called here.
const PROGRAM: &str = "program.wasm";
/// Folders on their way in or out begin so.
const ASIDE: &str = ".aside-";
/// What all folders of one interpreter may hold.
const FILES_MAX: usize = 8192;
const FILE_BYTES_MAX: u64 = 512 << 20;
const DEPTH_MAX: usize = 32;

/// An interpreter that was read and checked and is not kept yet.
#[derive(Debug)]
pub struct Candidate {
    manifest: Manifest,
    /// The folder the manifest lies in, with no link in its path.
    folder: PathBuf,
    program: PathBuf,
}

impl Candidate {
    pub(super) fn read(name: &str, from: &Path) -> Result<Self, InterpreterError> {
        let path = if from.is_dir() { from.join(MANIFEST) } else { from.to_owned() };
        let manifest = parse(&path)?;
        if manifest.name != name {
            let why = format!("its `name` is {:?}; add it as that: `potluck env add {0}`", manifest.name);
            return Err(InterpreterError::File { path, why });
        }
        let resolved = fs::canonicalize(&path).map_err(failed("read", &path))?;
        let folder = resolved.parent().unwrap_or(Path::new("/")).to_owned();
        let program = inside(&folder, manifest.program.file.as_str())?;
        let mut candidate = Self { manifest, folder, program };
        candidate.pin()?;
        Ok(candidate)
    }

    /// What it says of itself, with the digest of its program.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its command, where it lies now.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Compares the program with what the manifest says of it, and notes what it does not say.
    fn pin(&mut self) -> Result<(), InterpreterError> {
        let path = self.program.clone();
        let refuse = |why: String| Err(InterpreterError::File { path: path.clone(), why });
        let file = File::open(&path).map_err(failed("read", &path))?;
        let size = file.metadata().map_err(failed("read", &path))?.len();
        if size > super::manifest::PROGRAM_LEN_MAX {
            return refuse(format!(
                "it has {size} bytes; an interpreter has {} at most",
                super::manifest::PROGRAM_LEN_MAX
            ));
        }
        let sha256 = sha256(file.take(size)).map_err(failed("read", &path))?;
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

    /// Copies it into a folder of its name below `directory`.
    pub(super) fn keep_in(&self, directory: &Path) -> Result<(), InterpreterError> {
        let doing = "keep an environment in";
        private_directory(directory).map_err(failed(doing, directory))?;
        let aside = tempfile::Builder::new().prefix(ASIDE).tempdir_in(directory).map_err(failed(doing, directory))?;
        let whole = aside.path().join("whole");
        private_directory(&whole).map_err(failed(doing, directory))?;
        let mut manifest = self.manifest.clone();
        let mut room = Room { files: FILES_MAX, bytes: FILE_BYTES_MAX };
        for (number, folder) in manifest.files.values_mut().enumerate() {
            let name = format!("files-{number}");
            let from = inside(&self.folder, folder.as_str())?;
            room.copy_folder(&from, &whole.join(&name), 0)?;
            *folder = potluck_runtime::GuestPath::parse(&name).expect("a plain name is a path");
        }
        room.bytes = super::manifest::PROGRAM_LEN_MAX;
        room.copy_file(&self.program, &whole.join(PROGRAM))?;
        manifest.program.file = potluck_runtime::GuestPath::parse(PROGRAM).expect("a plain name is a path");
        let text = toml::to_string(&manifest).expect("a manifest that was read can be written");
        fs::write(whole.join(MANIFEST), text).map_err(failed(doing, directory))?;
        let place = directory.join(&manifest.name);
        if place.exists() {
            fs::rename(&place, aside.path().join("old")).map_err(failed("replace", &place))?;
        }
        fs::rename(&whole, &place).map_err(failed(doing, &place))
    }
}

/// How much more may be copied.
struct Room {
    files: usize,
    bytes: u64,
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
        Ok(())
    }

    fn copy_file(&mut self, from: &Path, to: &Path) -> Result<(), InterpreterError> {
        let mut source = File::open(from).map_err(failed("read", from))?.take(self.bytes + 1);
        let mut target = File::create_new(to).map_err(failed("write", to))?;
        let copied = io::copy(&mut source, &mut target).map_err(failed("copy", from))?;
        target.flush().map_err(failed("write", to))?;
        self.bytes = self.bytes.checked_sub(copied).ok_or_else(|| InterpreterError::File {
            path: from.to_owned(),
            why: "with it the environment is larger than one may be".to_owned(),
        })?;
        Ok(())
    }
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
    let folder = directory.join(name);
    let manifest = parse(&folder.join(MANIFEST))?;
    let program = folder.join(PROGRAM);
    let size = fs::metadata(&program).map_err(failed("read", &program))?.len();
    if manifest.name != name || manifest.program.size != Some(size) {
        let why = format!("it was changed; `potluck env rm {name}` and add it again");
        return Err(InterpreterError::File { path: folder, why });
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
    let aside = tempfile::Builder::new().prefix(ASIDE).tempdir_in(directory).map_err(failed("remove", &place))?;
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

/// The SHA-256 of all that is read, in hexadecimal digits.
fn sha256(mut from: impl Read) -> io::Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(data_encoding::HEXLOWER.encode(&hasher.finalize())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
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
