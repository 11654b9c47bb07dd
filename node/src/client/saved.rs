//! A session away from any node: what it is, its memory and its files, in a directory of this process, removed with it; and
//! as a file, which is a ZIP archive of the same. Everything that is read from either is bounded and checked.

use super::receiving::{ArrivingFile, OutputsDir};
use super::session_failure::SessionFailure;
use crate::paths::Paths;
use crate::wire::{OutputFile, SessionInfo};
use potluck_runtime::{GuestPath, Limits};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The version of files with saved sessions.
const FORMAT: u32 = 1;
const ABOUT: &str = "session.toml";
const MEMORY: &str = "memory";
const FILES: &str = "files";
/// Bytes of `session.toml`.
const ABOUT_LEN_MAX: u64 = 64 << 10;
/// Bytes of a session's memory, whatever it says of its limit: a guest's addresses have 32 bits.
const MEMORY_LEN_MAX: u64 = 4 << 30;
/// Bytes by which saved memory may exceed the session's limit: what is written beside it.
pub(super) const MEMORY_LEN_SLACK: u64 = 1 << 20;
/// Entries of an archive: as many files as a job may have, and the other two.
const ENTRIES_MAX: usize = 65_538;
/// Bytes of all files: as many as the inputs of a job may have.
const FILES_LEN_MAX: u64 = 64 << 30;
/// Fast, and a third of the size: most of a memory is zeros and text.
const LEVEL: i64 = 1;

/// What a saved session says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    format: u32,
    potluck: String,
    pub(super) name: Option<String>,
    pub(super) environment: String,
    /// The name of what it started from.
    pub(super) image: String,
    /// Turns so far.
    pub(super) turns: u64,
    /// Directories that hold no files.
    pub(super) directories: Vec<GuestPath>,
    pub(super) limits: Limits,
}

/// What is looked at first in any version.
#[derive(Deserialize)]
struct Format {
    format: u32,
    #[serde(default)]
    potluck: String,
}

/// A session away from any node.
#[derive(Debug)]
pub(super) struct SavedSession {
    pub(super) about: About,
    files: Vec<(GuestPath, bool)>,
    /// Where files arrive.
    arriving: OutputsDir,
    dir: TempDir,
}

impl SavedSession {
    /// An empty one of this kind.
    pub(super) fn new(paths: &Paths, info: &SessionInfo) -> io::Result<Self> {
        let about = About {
            format: FORMAT,
            potluck: env!("CARGO_PKG_VERSION").to_owned(),
            name: info.name.clone(),
            environment: info.environment.clone(),
            image: info.image.clone(),
            turns: info.turns,
            directories: Vec::new(),
            limits: info.limits.clone(),
        };
        Ok(Self::of(about, passing_dir(paths)?))
    }

    fn of(about: About, dir: TempDir) -> Self {
        let arriving = OutputsDir::new(dir.path().join(FILES), FILES_LEN_MAX);
        Self { about, files: Vec::new(), arriving, dir }
    }

    /// Where its memory lies.
    pub(super) fn memory(&self) -> PathBuf {
        self.dir.path().join(MEMORY)
    }

    /// Its files: their places in the working directory, and where they lie.
    pub(super) fn files(&self) -> impl Iterator<Item = (&GuestPath, PathBuf)> {
        let dir = self.dir.path().join(FILES);
        self.files.iter().map(move |(path, _)| (path, dir.join(path.as_str())))
    }

    /// Begins to write its memory.
    pub(super) fn create_memory(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.memory())
    }

    /// Begins to receive a file; [`has`](Self::has) it when it is whole.
    pub(super) fn begin(&mut self, head: OutputFile) -> Result<ArrivingFile, SessionFailure> {
        Ok(self.arriving.begin(head)?)
    }

    /// A file has arrived.
    pub(super) fn has(&mut self, file: &OutputFile) {
        self.files.push((file.path.clone(), file.executable));
    }

    /// Writes it to one file, aside and renamed; returns the bytes of that.
    pub(super) fn pack(&self, path: &Path) -> Result<u64, SessionFailure> {
        let failed = |source| SessionFailure::File { path: path.to_owned(), source };
        let whole = std::path::absolute(path).map_err(failed)?;
        let dir = whole.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::Builder::new().prefix(".potluck-partial-").tempfile_in(dir).map_err(failed)?;
        self.write(file.as_file_mut()).map_err(|error| failed(io::Error::other(error)))?;
        file.as_file().sync_all().map_err(failed)?;
        let size = file.as_file().metadata().map_err(failed)?.len();
        file.persist(&whole).map_err(|error| failed(error.error))?;
        Ok(size)
    }

    fn write(&self, file: &mut File) -> zip::result::ZipResult<()> {
        let mut archive = ZipWriter::new(io::BufWriter::new(file));
        let options =
            SimpleFileOptions::default().compression_level(Some(LEVEL)).large_file(true).unix_permissions(0o600);
        archive.start_file(ABOUT, options)?;
        archive.write_all(toml::to_string(&self.about).map_err(io::Error::other)?.as_bytes())?;
        for ((path, executable), (_, place)) in self.files.iter().zip(self.files()) {
            let mode = if *executable { 0o700 } else { 0o600 };
            archive.start_file(format!("{FILES}/{path}"), options.unix_permissions(mode))?;
            io::copy(&mut File::open(place)?, &mut archive)?;
        }
        archive.start_file(MEMORY, options)?;
        io::copy(&mut File::open(self.memory())?, &mut archive)?;
        archive.finish()?.flush()?;
        Ok(())
    }

    /// Reads one from a file.
    pub(super) fn unpack(paths: &Paths, path: &Path) -> Result<Self, SessionFailure> {
        let failed = |source| SessionFailure::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let dir = passing_dir(paths).map_err(failed)?;
        unpack_into(file, dir).map_err(|error| match error {
            Unpack::Io(source) => failed(source),
            Unpack::Refused(why) => SessionFailure::NoSession { path: path.to_owned(), why },
        })
    }
}

/// Reads a saved session from `bytes` into `dir`; whether it is one. For `fuzz/`.
pub(crate) fn read_saved(bytes: &[u8], dir: TempDir) -> io::Result<bool> {
    match unpack_into(io::Cursor::new(bytes), dir) {
        Ok(_) => Ok(true),
        Err(Unpack::Refused(_)) => Ok(false),
        Err(Unpack::Io(error)) => Err(error),
    }
}

/// Why a file does not become a session.
#[derive(Debug)]
enum Unpack {
    Io(io::Error),
    Refused(String),
}

impl From<zip::result::ZipError> for Unpack {
    fn from(error: zip::result::ZipError) -> Self {
        match error {
            zip::result::ZipError::Io(error) => error.into(),
            other => Self::Refused(format!("it is no archive that can be read ({other})")),
        }
    }
}

impl From<io::Error> for Unpack {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // What an archive says when its bytes are not what they were.
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Unsupported
            // What comes of names that cannot lie in one directory.
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidFilename => {
                Self::Refused(format!("it is damaged ({error})"))
            }
            _ => Self::Io(error),
        }
    }
}

fn unpack_into(file: impl Read + Seek, dir: TempDir) -> Result<SavedSession, Unpack> {
    let mut archive = ZipArchive::new(file)?;
    if archive.len() > ENTRIES_MAX {
        return Err(Unpack::Refused(format!("it has {} entries; the most is {ENTRIES_MAX}", archive.len())));
    }
    let about = about(&mut archive)?;
    let mut session = SavedSession::of(about, dir);
    let mut left = FILES_LEN_MAX;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let inside = name.strip_prefix(FILES).and_then(|name| name.strip_prefix('/'));
        match (name.as_str(), inside) {
            (ABOUT, _) => {}
            (MEMORY, _) => {
                let most = session.about.limits.memory_bytes.min(MEMORY_LEN_MAX) + MEMORY_LEN_SLACK;
                copy_bounded(&mut entry, &mut session.create_memory()?, most)?;
            }
            (_, Some(inside)) => {
                let path = GuestPath::parse(inside).map_err(|error| Unpack::Refused(error.to_string()))?;
                let executable = entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
                left -= copy_bounded(&mut entry, &mut session.create_file(&path, executable)?, left)?;
                session.files.push((path, executable));
            }
            (other, None) => return Err(Unpack::Refused(format!("it holds {other:?}, which no saved session does"))),
        }
    }
    if !session.memory().exists() {
        return Err(Unpack::Refused("it holds no memory".to_owned()));
    }
    Ok(session)
}

impl SavedSession {
    fn create_file(&self, path: &GuestPath, executable: bool) -> io::Result<File> {
        let place = self.dir.path().join(FILES).join(path.as_str());
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
        if executable {
            file.set_permissions(fs::Permissions::from_mode(0o700))?;
        }
        Ok(file)
    }
}

fn about(archive: &mut ZipArchive<impl Read + Seek>) -> Result<About, Unpack> {
    let mut text = String::new();
    let entry = archive.by_name(ABOUT).map_err(|_| Unpack::Refused(format!("it holds no {ABOUT}")))?;
    entry.take(ABOUT_LEN_MAX).read_to_string(&mut text)?;
    let refuse = |error: toml::de::Error| Unpack::Refused(format!("its {ABOUT} cannot be read: {}", error.message()));
    let Format { format, potluck } = toml::from_str(&text).map_err(refuse)?;
    if format != FORMAT {
        let potluck: String = potluck.chars().filter(|c| !c.is_control()).take(20).collect();
        return Err(Unpack::Refused(format!(
            "it is of version {format} of saved sessions, written by Potluck {potluck}, and this Potluck reads version \
             {FORMAT}; use the version it was saved with"
        )));
    }
    toml::from_str(&text).map_err(refuse)
}

/// Copies all of an entry, whose bytes are checked at its end.
fn copy_bounded(entry: &mut impl Read, file: &mut File, most: u64) -> Result<u64, Unpack> {
    let copied = io::copy(&mut entry.by_ref().take(most), file)?;
    if entry.read(&mut [0])? > 0 {
        return Err(Unpack::Refused("it holds more than a session may".to_owned()));
    }
    Ok(copied)
}

/// A directory for what is on its way, removed when this is dropped, or after this process has died by the next node.
fn passing_dir(paths: &Paths) -> io::Result<TempDir> {
    let dir = paths.mounts_dir();
    crate::service::prepare_mounts(&dir)?;
    tempfile::Builder::new().prefix(&format!("{}-", std::process::id())).tempdir_in(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{JobId, SessionState};
    use potluck_runtime::Digest;

    fn info() -> SessionInfo {
        SessionInfo {
            session: JobId([1; 16]),
            name: Some("work".into()),
            environment: "python".into(),
            image: "data".into(),
            state: SessionState::Awake,
            turns: 1,
            created_unix: 0,
            used_unix: 0,
            memory_bytes: 0,
            owner: None,
            limits: Limits::default(),
        }
    }

    fn saved(paths: &Paths) -> SavedSession {
        let mut session = SavedSession::new(paths, &info()).unwrap();
        session.create_memory().unwrap().write_all(&[7; 100_000]).unwrap();
        let path = GuestPath::parse("a/run.sh").unwrap();
        let head = OutputFile { path, digest: Digest::of(b"echo"), size: 4, executable: true };
        let mut arriving = session.begin(head).unwrap();
        arriving.write(b"echo").unwrap();
        session.has(&arriving.finish().unwrap());
        session
    }

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, content) in entries {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn refusal(bytes: Vec<u8>) -> String {
        match unpack_into(io::Cursor::new(bytes), tempfile::tempdir().unwrap()) {
            Err(Unpack::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_session_goes_into_a_file_and_comes_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(dir.path());
        let file = dir.path().join("work.potluck");
        let size = saved(&paths).pack(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len(), size);
        assert!(size < 50_000, "{size}");
        let session = SavedSession::unpack(&paths, &file).unwrap();
        assert_eq!(session.about.name.as_deref(), Some("work"));
        assert_eq!(fs::read(session.memory()).unwrap(), [7; 100_000]);
        let files: Vec<_> = session.files().map(|(path, place)| (path.to_string(), place)).collect();
        assert_eq!(files.len(), 1);
        assert_eq!((files[0].0.as_str(), fs::read(&files[0].1).unwrap().as_slice()), ("a/run.sh", &b"echo"[..]));
        assert!(fs::metadata(&files[0].1).unwrap().permissions().mode() & 0o100 != 0);
        drop(session);
        assert_eq!(fs::read_dir(paths.mounts_dir()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let session = saved(&Paths::under(dir.path()));
        let text = session.pack(&dir.path().join("no/such/place")).unwrap_err().to_string();
        assert!(text.contains("no/such/place"), "{text}");
    }

    #[test]
    fn what_is_no_saved_session_is_refused_with_the_reason() {
        let about = |format: u32| format!("format = {format}\npotluck = \"9.9\"\nenvironment = \"python\"\n");
        assert!(refusal(b"print(1)".to_vec()).contains("no archive"));
        assert!(refusal(archive(&[("x", b"y")])).contains(ABOUT));
        let later = refusal(archive(&[(ABOUT, about(2).as_bytes())]));
        assert!(later.contains("version 2") && later.contains("9.9"), "{later}");
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(dir.path());
        let good = toml::to_string(&SavedSession::new(&paths, &info()).unwrap().about).unwrap();
        let with = |name, content| archive(&[(ABOUT, good.as_bytes()), (name, content)]);
        assert!(refusal(archive(&[(ABOUT, good.as_bytes())])).contains("no memory"));
        assert!(refusal(with("files/../x", b"")).contains(".."));
        assert!(refusal(with("files//etc/passwd", b"")).contains("/etc/passwd"));
        assert!(refusal(with("something", b"")).contains("something"));
        // Names that cannot lie in one directory, and a compression that nobody knows.
        let also = |name| archive(&[(ABOUT, good.as_bytes()), ("files/a", b"x"), (name, b"y")]);
        assert!(refusal(also("files/a/b")).contains("damaged"));
        let mut strange = with("files/a", b"");
        let at = strange.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        strange[at + 10..at + 12].copy_from_slice(&29_440u16.to_le_bytes());
        assert!(refusal(strange).contains("damaged"));
    }

    #[test]
    fn whatever_is_damaged_is_refused_or_whole_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(dir.path());
        let file = dir.path().join("work.potluck");
        saved(&paths).pack(&file).unwrap();
        let bytes = fs::read(&file).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            if let Ok(session) = unpack_into(io::Cursor::new(damaged), tempfile::tempdir().unwrap()) {
                assert_eq!(fs::read(session.memory()).unwrap(), [7; 100_000], "byte {at}");
            }
            let _ = unpack_into(io::Cursor::new(bytes[..at].to_vec()), tempfile::tempdir().unwrap());
        }
    }
}
