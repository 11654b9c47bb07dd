//! The control group of a worker: how much memory and how many threads it may have, whatever becomes of it. A group is made
//! before its worker, which enters it by itself before it is confined, and removed when the worker is gone. Made wherever
//! the system lets this user make one: under version 2, or version 1 where that has the controllers.

mod places;

use places::{Controller, Place, find};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most threads of a worker; the engine's compiler takes one for each core.
const THREADS_MAX: u64 = 512;
/// What a worker needs beside its guest's memory, in bytes: tables, stacks, and what it has mapped of code and images,
/// which the system can take back.
const OVERHEAD_BYTES: u64 = 1 << 30;
/// Where a process says which group it belongs to.
pub(crate) const MEMBERS: &str = "cgroup.procs";

/// The group of one worker.
#[derive(Debug, Default)]
pub(crate) struct Cgroup {
    /// One directory under version 2; one for each controller under version 1; none where none can be made.
    dirs: Vec<PathBuf>,
    /// The file that bounds its memory.
    memory: Option<PathBuf>,
    memory_bytes: AtomicU64,
}

impl Cgroup {
    /// Makes the group of a worker that this process is about to start. Empty where the system lets it make none.
    ///
    /// # Errors
    /// What the system says, where it has promised one.
    pub(crate) fn make() -> io::Result<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}{}", prefix(std::process::id()), SERIAL.fetch_add(1, Ordering::Relaxed));
        let mut group = Self::default();
        for Place { dir, controllers } in find().unwrap_or_default() {
            let dir = dir.join(&name);
            std::fs::create_dir(&dir).map_err(|error| at(&dir, error))?;
            group.dirs.push(dir.clone());
            for controller in controllers {
                match controller {
                    Controller::Threads(file) => write(&dir.join(file), THREADS_MAX)?,
                    Controller::Memory(file) => group.memory = Some(dir.join(file)),
                }
            }
        }
        Ok(group)
    }

    /// The directories that a process which is to be a member writes its number to.
    pub(crate) fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Lets its members have so much memory for guests together, if they could not have as much before.
    pub(crate) fn allow(&self, guest_bytes: u64) -> io::Result<()> {
        let bytes = guest_bytes.saturating_add(OVERHEAD_BYTES);
        let before = self.memory_bytes.fetch_max(bytes, Ordering::Relaxed);
        match &self.memory {
            Some(file) if before < bytes => write(file, bytes.min(i64::MAX.cast_unsigned())),
            _ => Ok(()),
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // One that still has a member is removed by whoever looks after this process, or by the next one.
            if let Err(error) = std::fs::remove_dir(dir) {
                tracing::debug!(dir = %dir.display(), %error, "a worker's control group stays");
            }
        }
    }
}

/// Whether workers get a group of their own here, with bounds on memory and threads.
pub(crate) fn is_offered() -> bool {
    find().is_some()
}

/// Makes this process a member.
///
/// # Errors
/// What the system says.
pub(crate) fn enter(dirs: &[PathBuf]) -> io::Result<()> {
    // For the system 0 is whoever writes it.
    dirs.iter().try_for_each(|dir| write(&dir.join(MEMBERS), 0))
}

/// Removes the empty groups that a process has left, and says whether none is left.
pub(crate) fn sweep(process: u32) -> bool {
    let left = left_behind(|owner| owner == process);
    left.iter().filter(|dir| std::fs::remove_dir(dir).is_err()).count() == 0
}

/// Removes the groups that processes have left which are gone themselves.
pub(crate) fn sweep_orphans() {
    let is_gone = |process: u32| !PathBuf::from(format!("/proc/{process}")).exists();
    for dir in left_behind(is_gone) {
        tracing::debug!(dir = %dir.display(), "removing the control group of a process that is gone");
        let _busy = std::fs::remove_dir(dir);
    }
}

fn left_behind(of: impl Fn(u32) -> bool) -> Vec<PathBuf> {
    let entries = find().unwrap_or_default().into_iter().filter_map(|place| std::fs::read_dir(place.dir).ok());
    let groups = entries.flatten().flatten().filter(|entry| {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok());
        owner.is_some_and(&of)
    });
    groups.map(|entry| entry.path()).collect()
}

const PREFIX: &str = "potluck-";

/// How the names of the groups begin that this process makes.
fn prefix(process: u32) -> String {
    format!("{PREFIX}{process}-")
}

fn write(file: &std::path::Path, value: u64) -> io::Result<()> {
    std::fs::write(file, value.to_string()).map_err(|error| at(file, error))
}

fn at(path: &std::path::Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("control group {}: {error}", path.display()))
}
