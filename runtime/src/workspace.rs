//! Scratch directories. Each [`Runtime`](crate::Runtime) with runs owns one directory; each run has one inside it: `root`
//! (the guest's working directory) and `tmp`.

mod cell;
mod copy;
mod owner;
mod removal;
mod scratch;
mod sweeper;

pub(crate) use cell::Cell;
pub(crate) use owner::private_directory;
pub(crate) use scratch::Scratch;
pub(crate) use sweeper::sweep_after_parent;

use crate::digest::Digest;
use crate::job::{GuestPath, InputFile, Tenant};
use crate::protocol::Given;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use potluck_guest::abi::{CONTROL_CANCEL, CONTROL_PATH, EVENTS_PATH, RESTORE_PATH};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The most inputs that are looked at to tell whether they are small.
const QUICK_INPUTS_MAX: usize = 4;
/// The most bytes that are copied at once: a tenth of a millisecond's worth.
const QUICK_LEN_MAX: u64 = 256 << 10;

/// What each file, directory and link is taken to need beside its content.
pub(crate) const ENTRY_BYTES: u64 = 4096;
/// The size of the blocks `stat` counts in.
pub(crate) const STAT_BLOCK_BYTES: u64 = 512;

/// The directories of one run; removed when dropped, or left to the next run.
pub(crate) struct Workspace {
    place: Mutex<Place>,
    tenant: Tenant,
    /// Whether the run ended so that nobody can write to the directories any more.
    settled: AtomicBool,
    /// What was put into them before the run.
    given: Given,
    laid: BTreeMap<GuestPath, Laid>,
    /// The length of the longest file that was put into them before the run, in bytes.
    laid_len_max: u64,
    /// The length of all of them together, in bytes.
    laid_len: u64,
    disk_bytes: u64,
    scratch: Arc<Scratch>,
}

/// Where the directories of a run are now.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    /// Whose worker's directory that is in, if it is in one.
    pub(super) cell: Option<Arc<Cell>>,
}

/// An input as it was when the guest started. A guest can set a file's times but not its change time, so equal
/// figures mean that nobody wrote to it.
struct Laid {
    source: PathBuf,
    inode: u64,
    size: u64,
    /// What it takes on disk, at least its size.
    room: u64,
    changed: (i64, i64),
}

impl Workspace {
    fn new(place: Place, tenant: Tenant, disk_bytes: u64, scratch: Arc<Scratch>) -> Self {
        let (place, settled) = (Mutex::new(place), AtomicBool::new(false));
        Self {
            place,
            tenant,
            settled,
            given: Given::default(),
            laid: BTreeMap::new(),
            laid_len_max: 0,
            laid_len: 0,
            disk_bytes,
            scratch,
        }
    }

    /// Says that the run has ended cleanly; if it left nothing but its inputs, its directories may serve again.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// What the guest was given in its directories.
    pub(crate) fn given(&self) -> Given {
        self.given
    }

    /// Counts what is more than this as made by the guest.
    pub(crate) fn give_at_most(&mut self, most: Given) {
        self.given.bytes = self.given.bytes.min(most.bytes);
        self.given.entries = self.given.entries.min(most.entries);
    }

    /// Whether the directories are empty once the inputs are gone, so that they may serve again.
    fn empties(&self) -> bool {
        let is_empty = |dir: &Path| std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        let temp = self.tmp_path();
        self.settled.load(Ordering::Relaxed)
            && self.removes_inputs()
            && is_empty(&self.root_path())
            && (is_empty(&temp) || (removes_talk(&temp) && is_empty(&temp)))
    }

    /// Removes the inputs, if all lie at the top: below, the guest may have put links in the place of directories.
    fn removes_inputs(&self) -> bool {
        let root = self.root_path();
        let are_at_top = self.laid.keys().all(|path| !path.as_str().contains('/'));
        are_at_top && self.laid.keys().all(|path| std::fs::remove_file(root.join(path.as_str())).is_ok())
    }

    /// Moves the directories to where this worker can open them.
    pub(crate) fn move_into(&self, cell: &Arc<Cell>) -> io::Result<()> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.cell.as_ref().is_some_and(|now| Arc::ptr_eq(now, cell)) {
            return Ok(());
        }
        let name = place.dir.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let dir = cell.path().join(name);
        std::fs::rename(&place.dir, &dir)?;
        *place = Place { dir, cell: Some(cell.clone()) };
        Ok(())
    }

    fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The guest's working directory.
    pub(crate) fn root_path(&self) -> PathBuf {
        self.place().dir.join("root")
    }

    /// The guest's `/tmp`.
    pub(crate) fn tmp_path(&self) -> PathBuf {
        self.place().dir.join("tmp")
    }

    pub(crate) fn root(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(self.root_path(), ambient_authority())
    }

    /// Copies the inputs in and makes the empty directories. The error names the input.
    pub(crate) fn lay_out(&mut self, inputs: &[InputFile], directories: &[GuestPath]) -> Result<u64, LayoutError> {
        let root = self.root().map_err(|source| LayoutError { path: ".".to_owned(), source })?;
        let mut total = 0;
        for directory in directories {
            make_directories(&root, Path::new(directory.as_str()))
                .map_err(|source| LayoutError { path: directory.to_string(), source })?;
        }
        for input in inputs {
            let fail = |source| LayoutError { path: input.guest.to_string(), source };
            let laid = copy_in(&root, input).map_err(fail)?;
            total += laid.size;
            self.given.bytes = self.given.bytes.saturating_add(laid.room);
            self.laid_len_max = self.laid_len_max.max(laid.size);
            self.laid_len = self.laid_len.saturating_add(laid.size);
            self.laid.insert(input.guest.clone(), laid);
        }
        self.given.entries = entries(inputs, directories);
        self.given.bytes = self.given.bytes.saturating_add(self.given.entries.saturating_mul(ENTRY_BYTES));
        Ok(total)
    }

    /// Copies a checkpoint to where the guest looks for it. The error names it.
    pub(crate) fn lay_out_checkpoint(&mut self, source: &Path) -> Result<(), LayoutError> {
        let copied = || -> io::Result<u64> {
            let temp = Dir::open_ambient_dir(self.tmp_path(), ambient_authority())?;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut target = temp.open_with(name_of(RESTORE_PATH), &options)?.into_std();
            io::copy(&mut File::open(source)?, &mut target)?;
            let metadata = target.metadata()?;
            Ok(metadata.len().max(metadata.blocks().saturating_mul(STAT_BLOCK_BYTES)))
        };
        let room = copied().map_err(|source| LayoutError { path: RESTORE_PATH.to_owned(), source })?;
        self.given.entries = self.given.entries.saturating_add(1);
        self.given.bytes = self.given.bytes.saturating_add(room).saturating_add(ENTRY_BYTES);
        Ok(())
    }

    /// Empties the working directory, whose content is elsewhere now.
    pub(crate) fn empty(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::remove_dir_all(self.root_path())?;
        std::fs::DirBuilder::new().mode(0o700).create(self.root_path())
    }

    /// Asks the guest to end, which has opened the control file. Whatever it has put there is its own: no link is followed.
    pub(crate) fn ask_to_end(&self) -> io::Result<()> {
        let temp = Dir::open_ambient_dir(self.tmp_path(), ambient_authority())?;
        let mut options = OpenOptions::new();
        options.append(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let mut control = temp.open_with(name_of(CONTROL_PATH), &options)?;
        io::Write::write_all(&mut control, format!("{CONTROL_CANCEL}\n").as_bytes())
    }

    /// The length beyond which a file must be mostly holes: more than the guest was given and could write.
    pub(crate) fn file_len_max(&self) -> u64 {
        self.laid_len_max.saturating_add(self.disk_bytes)
    }

    /// The length of all files together beyond which some must be mostly holes.
    pub(crate) fn len_max(&self) -> u64 {
        self.laid_len.saturating_add(self.disk_bytes)
    }

    /// Whether this file is an input nobody touched.
    pub(crate) fn is_as_laid_out(&self, path: &GuestPath, metadata: &Metadata) -> bool {
        self.laid.get(path).is_some_and(|laid| {
            laid.inode == metadata.ino()
                && laid.size == metadata.len()
                && laid.changed == (metadata.ctime(), metadata.ctime_nsec())
        })
    }

    /// Whether the file at `path` was an input with this very content (touched, or written with what it held).
    pub(crate) fn has_input_content(&self, path: &GuestPath, digest: Digest, size: u64) -> bool {
        let Some(laid) = self.laid.get(path).filter(|laid| laid.size == size) else { return false };
        let original = File::open(&laid.source).and_then(Digest::of_reader);
        original.is_ok_and(|(original, _)| original == digest)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let place = self.place();
        if !(self.empties() && self.scratch.shelve(&place, self.tenant)) {
            removal::remove(place, self.scratch.clone());
        }
    }
}

/// Removes the files through which the guest talked with us, wherever a link in their place leads; whether there were some.
fn removes_talk(temp: &Path) -> bool {
    [EVENTS_PATH, CONTROL_PATH, RESTORE_PATH]
        .into_iter()
        .filter(|path| std::fs::remove_file(temp.join(name_of(path))).is_ok())
        .count()
        > 0
}

/// The name of one of these files.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether copying these files takes no longer than handing them to another thread would.
pub(crate) fn are_small(inputs: &[InputFile]) -> bool {
    let len = |input: &InputFile| {
        std::fs::metadata(&input.source).ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
    };
    let total: Option<u64> = inputs.iter().take(QUICK_INPUTS_MAX + 1).map(len).sum();
    inputs.len() <= QUICK_INPUTS_MAX && total.is_some_and(|total| total <= QUICK_LEN_MAX)
}

/// An input could not be laid into the working directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot put {path:?} into the working directory")]
pub(crate) struct LayoutError {
    path: String,
    #[source]
    source: io::Error,
}

/// How many files and directories there are of these.
fn entries(inputs: &[InputFile], directories: &[GuestPath]) -> u64 {
    let files = inputs.iter().map(|input| input.guest.as_str());
    let above = |path: &str| path.match_indices('/').map(|(end, _)| path[..end].to_owned()).collect::<Vec<_>>();
    let mut made: BTreeSet<String> = files.clone().flat_map(above).collect();
    made.extend(directories.iter().flat_map(|path| above(path.as_str()).into_iter().chain([path.to_string()])));
    (files.count() + made.len()) as u64
}

fn make_directories(root: &Dir, path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    root.create_dir_with(path, &builder)
}

fn copy_in(root: &Dir, input: &InputFile) -> io::Result<Laid> {
    let path = Path::new(input.guest.as_str());
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directories(root, parent)?;
    }
    let mut source = File::open(&input.source)?;
    if !source.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(if input.executable { 0o700 } else { 0o600 });
    // From file to file `io::copy` lets the kernel copy, or share the blocks where the file system can.
    let mut target = root.open_with(path, &options)?.into_std();
    io::copy(&mut source, &mut target)?;
    let metadata = target.metadata()?;
    Ok(Laid {
        source: input.source.clone(),
        inode: metadata.ino(),
        size: metadata.len(),
        room: metadata.len().max(metadata.blocks().saturating_mul(STAT_BLOCK_BYTES)),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}
