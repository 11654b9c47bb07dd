//! How files get into a container and out of it: as an archive that streams through the engine. What comes out was named by
//! the job: every entry is checked before anything is made of it, everything is made through a handle of the directory,
//! no link is followed or made as it was, and what comes is counted as it comes.

use crate::job::GuestPath;
use bytes::{Buf, Bytes};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, OpenOptions, OpenOptionsExt};
use futures_util::{Stream, StreamExt};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tar::{Archive, Builder, Entry, EntryType, Header};
use tokio::sync::mpsc;

/// Pieces of an archive on their way; with [`PIECE_LEN`] this bounds them at 512 KiB.
const PIECES_MAX: usize = 8;
const PIECE_LEN: usize = 64 << 10;
/// The most reasons that are kept for what is left behind.
const LEFT_BEHIND_MAX: usize = 200;
/// The target of a link that stands for one a job has made.
const NOWHERE: &str = "nowhere";

/// What may come out of a container at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of all files together; holes count, for they come as zeros.
    pub(crate) bytes: u64,
    /// Files, directories and links.
    pub(crate) entries: u64,
}

/// One entry of an archive that is made for a container.
pub(crate) fn single(name: &str, content: &[u8], mode: u32, user: u64) -> io::Result<Bytes> {
    let mut builder = Builder::new(Vec::new());
    builder.append_data(&mut header(EntryType::Regular, mode, user, content.len() as u64), name, content)?;
    builder.into_inner().map(Bytes::from)
}

/// All that lies in a directory of ours, as an archive in which it belongs to this user.
pub(crate) fn pack(directory: PathBuf, user: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    // Ends with the directory, or with the receiver.
    tokio::task::spawn_blocking(move || {
        let writer = BufWriter::with_capacity(PIECE_LEN, PieceWriter(sender.clone()));
        let mut builder = Builder::new(writer);
        let packed = append(&mut builder, &directory, Path::new(""), user)
            .and_then(|()| builder.into_inner())
            .and_then(|mut writer| writer.flush());
        if let Err(error) = packed {
            // Nobody may be left who reads.
            let _unread = sender.blocking_send(Err(error));
        }
    });
    futures_util::stream::unfold(
        receiver,
        |mut receiver| async move { receiver.recv().await.map(|next| (next, receiver)) },
    )
}

fn append(builder: &mut Builder<impl Write>, root: &Path, below: &Path, user: u64) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let (metadata, name) = (entry.metadata()?, below.join(entry.file_name()));
        if metadata.is_dir() {
            builder.append_data(&mut header(EntryType::Directory, 0o755, user, 0), &name, io::empty())?;
            append(builder, root, &name, user)?;
        } else {
            let mode = if metadata.mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            let mut header = header(EntryType::Regular, mode, user, metadata.len());
            header.set_mtime(metadata.mtime().try_into().unwrap_or_default());
            builder.append_data(&mut header, &name, std::fs::File::open(entry.path())?)?;
        }
    }
    Ok(())
}

fn header(kind: EntryType, mode: u32, user: u64, len: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(user);
    header.set_gid(user);
    header.set_mtime(0);
    header.set_size(len);
    header
}

/// Lays what comes from a container into an empty directory of ours. The answer is what is left behind, each with its
/// reason, beside what the directory's reader will leave.
pub(crate) async fn unpack<E>(
    archive: impl Stream<Item = Result<Bytes, E>>,
    directory: PathBuf,
    bounds: Bounds,
) -> io::Result<Vec<String>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let work = tokio::task::spawn_blocking(move || {
        let root = Dir::open_ambient_dir(directory, ambient_authority())?;
        lay_down(PieceReader { pieces: receiver, current: Bytes::new() }, &root, bounds)
    });
    tokio::pin!(archive);
    while let Some(piece) = archive.next().await {
        // Whoever reads has enough.
        if sender.send(piece.map_err(io::Error::other)).await.is_err() {
            break;
        }
    }
    drop(sender);
    work.await.map_err(io::Error::other)?
}

fn lay_down(reader: impl Read, root: &Dir, bounds: Bounds) -> io::Result<Vec<String>> {
    let mut laying = Laying { root, left: bounds, left_behind: Vec::new() };
    for entry in Archive::new(reader).entries()? {
        if !laying.entry(entry?)? {
            laying.leave("more files", "what the job left is larger than its disk limit (mostly holes)");
            break;
        }
    }
    Ok(laying.left_behind)
}

/// A directory that is being filled.
struct Laying<'a> {
    root: &'a Dir,
    left: Bounds,
    left_behind: Vec<String>,
}

impl Laying<'_> {
    /// Makes what an entry says. False if that would be too much.
    fn entry(&mut self, mut entry: Entry<'_, impl Read>) -> io::Result<bool> {
        let name = entry.path_bytes().into_owned();
        let Some(name) = inner(&name) else { return Ok(true) };
        let Some(left) = self.left.entries.checked_sub(1) else { return Ok(false) };
        self.left.entries = left;
        let path = match std::str::from_utf8(name) {
            Ok(text) => GuestPath::parse(text).map_err(|error| error.to_string()),
            Err(_) => Err("its name is not UTF-8".to_owned()),
        };
        let path = match path {
            Ok(path) => path,
            Err(why) => {
                self.leave(&String::from_utf8_lossy(name), &why);
                return Ok(true);
            }
        };
        self.make_parents(&path)?;
        match entry.header().entry_type() {
            EntryType::Directory => self.directory(&path).map(|()| true),
            EntryType::Regular | EntryType::Continuous => self.file(&path, &mut entry),
            EntryType::Link => self.hard_link(&path, &entry).map(|()| true),
            EntryType::Symlink => self.root.symlink(NOWHERE, path.as_str()).map(|()| true),
            _ => {
                self.leave(path.as_str(), "it is not a regular file");
                Ok(true)
            }
        }
    }

    fn make_parents(&self, path: &GuestPath) -> io::Result<()> {
        let parent = Path::new(path.as_str()).parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), |parent| self.root.create_dir_with(parent, DirBuilder::new().recursive(true)))
    }

    fn directory(&self, path: &GuestPath) -> io::Result<()> {
        self.root.create_dir_with(path.as_str(), DirBuilder::new().recursive(true))
    }

    fn file(&mut self, path: &GuestPath, entry: &mut Entry<'_, impl Read>) -> io::Result<bool> {
        let is_executable = entry.header().mode().unwrap_or_default() & 0o100 != 0;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(if is_executable { 0o700 } else { 0o600 });
        let mut file = self.root.open_with(path.as_str(), &options)?;
        let size = entry.size();
        let Some(left) = self.left.bytes.checked_sub(size) else {
            // Its reader sees by the length that it is no file of ours to carry on, and says so.
            file.set_len(size)?;
            return Ok(false);
        };
        self.left.bytes = left;
        if io::copy(entry, &mut file)? == size { Ok(true) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// A second name of a file stays one, so that its reader sees it.
    fn hard_link(&mut self, path: &GuestPath, entry: &Entry<'_, impl Read>) -> io::Result<()> {
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let target = inner(&target).and_then(|name| std::str::from_utf8(name).ok()).map(GuestPath::parse);
        let linked = match target {
            Some(Ok(target)) => self.root.hard_link(target.as_str(), self.root, path.as_str()),
            Some(Err(_)) | None => Err(io::ErrorKind::NotFound.into()),
        };
        match linked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.leave(path.as_str(), "it is a hard link to another file");
                Ok(())
            }
            linked => linked,
        }
    }

    fn leave(&mut self, path: &str, why: &str) {
        if self.left_behind.len() < LEFT_BEHIND_MAX {
            let shown: String = path.chars().take(200).collect();
            self.left_behind.push(format!("{shown}: {why}"));
        }
    }
}

/// The path below the directory that was asked for, which is the first component of every name; `None` for itself.
fn inner(name: &[u8]) -> Option<&[u8]> {
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let first = name.iter().position(|byte| *byte == b'/')?;
    Some(&name[first + 1..])
}

/// Hands what is written on, in pieces.
struct PieceWriter(mpsc::Sender<io::Result<Bytes>>);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what comes in pieces.
struct PieceReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
