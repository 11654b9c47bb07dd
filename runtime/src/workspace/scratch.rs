//! Where runs have their directories. A run that left nothing in them but its inputs may leave them to the next run of its
//! tenant, without those.

use super::copy::copy_directory;
use super::owner::{Owner, gate, private_directory, remove_directory, sweep};
use super::sweeper::Sweeper;
use super::{Cell, Place, Workspace};
use crate::cgroup;
use crate::job::Tenant;
use crate::runtime::WorkerCommand;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Where runs and workers have their directories. The owner's directory is made for the first of them and removed with the
/// last.
pub(crate) struct Scratch {
    parent: PathBuf,
    next_run: AtomicU64,
    owner: Mutex<Option<Owner>>,
    command: WorkerCommand,
    sweeper: OnceLock<Sweeper>,
    /// Empty directories for the next runs; each counts as a run of the owner's.
    shelf: Mutex<Vec<Shelved>>,
    shelf_max: usize,
}

/// The directories of a run that is over, as empty as they were made.
struct Shelved {
    place: Place,
    tenant: Tenant,
    since: Instant,
}

impl Scratch {
    /// Removes the directories under `parent` whose owner is gone. At most `shelf_max` empty directories are kept.
    pub(crate) fn open(parent: &Path, shelf_max: usize, command: WorkerCommand) -> io::Result<Arc<Self>> {
        private_directory(parent)?;
        let _gate = gate(parent)?;
        sweep(parent)?;
        cgroup::sweep_orphans();
        Ok(Arc::new(Self {
            parent: parent.to_owned(),
            next_run: AtomicU64::new(0),
            owner: Mutex::new(None),
            command,
            sweeper: OnceLock::new(),
            shelf: Mutex::default(),
            shelf_max,
        }))
    }

    /// Empty directories an earlier run of the tenant has left, if there are any.
    pub(crate) fn shelved(self: &Arc<Self>, tenant: Tenant, disk_bytes: u64) -> Option<Workspace> {
        let mut shelf = self.shelf();
        let at = shelf.iter().rposition(|shelved| shelved.tenant == tenant)?;
        let place = shelf.remove(at).place;
        Some(Workspace::new(place, tenant, disk_bytes, self.clone()))
    }

    /// Fresh directories for one run.
    pub(crate) fn workspace(self: &Arc<Self>, tenant: Tenant, disk_bytes: u64) -> io::Result<Workspace> {
        let serial = self.next_run.fetch_add(1, Ordering::Relaxed);
        let dir = self.enter()?.join(format!("run-{serial}"));
        let place = Place { dir: dir.clone(), cell: None };
        let workspace = Workspace::new(place, tenant, disk_bytes, self.clone());
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        builder.create(&dir)?;
        builder.create(workspace.root_path())?;
        builder.create(workspace.tmp_path())?;
        Ok(workspace)
    }

    /// A directory for one worker.
    pub(crate) fn cell(self: &Arc<Self>) -> io::Result<Arc<Cell>> {
        let serial = self.next_run.fetch_add(1, Ordering::Relaxed);
        let cell = Arc::new(Cell::new(self.enter()?.join(format!("worker-{serial}")), self.clone()));
        std::fs::DirBuilder::new().mode(0o700).create(cell.path())?;
        Ok(cell)
    }

    /// Directories with a copy of what lies in these.
    pub(crate) fn copy(self: &Arc<Self>, of: &Workspace) -> io::Result<Workspace> {
        let mut workspace = self.workspace(of.tenant, of.disk_bytes)?;
        workspace.given = of.given;
        (workspace.laid_len_max, workspace.laid_len) = (of.laid_len_max, of.laid_len);
        for (from, to) in [(of.root_path(), workspace.root_path()), (of.tmp_path(), workspace.tmp_path())] {
            let open = |dir: PathBuf| Dir::open_ambient_dir(dir, ambient_authority());
            copy_directory(&open(from)?, &open(to)?, 0)?;
        }
        Ok(workspace)
    }

    /// Removes the empty directories that nobody took for that long.
    pub(crate) fn clear_shelf(&self, age: Duration) {
        let old: Vec<Shelved> = self.shelf().extract_if(.., |shelved| shelved.since.elapsed() >= age).collect();
        for shelved in old {
            remove_directory(&shelved.place.dir);
            self.leave();
        }
    }

    pub(crate) fn has_shelved(&self) -> bool {
        !self.shelf().is_empty()
    }

    /// Whether there was room for these directories.
    pub(super) fn shelve(&self, place: &Place, tenant: Tenant) -> bool {
        let mut shelf = self.shelf();
        let has_room = shelf.len() < self.shelf_max;
        if has_room {
            shelf.push(Shelved { place: place.clone(), tenant, since: Instant::now() });
        }
        has_room
    }

    fn shelf(&self) -> MutexGuard<'_, Vec<Shelved>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self) -> MutexGuard<'_, Option<Owner>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more run; the answer is the owner's directory.
    fn enter(&self) -> io::Result<PathBuf> {
        self.sweeper.get_or_init(|| Sweeper::start(&self.command, &self.parent));
        let mut place = self.owner();
        let owner = match place.take() {
            Some(owner) => owner,
            None => Owner::create(&self.parent)?,
        };
        let owner = place.insert(owner);
        owner.runs += 1;
        Ok(owner.dir.clone())
    }

    /// Counts one run less.
    pub(super) fn leave(&self) {
        let mut place = self.owner();
        let Some(owner) = place.as_mut() else { return };
        owner.runs -= 1;
        if owner.runs == 0 {
            remove_directory(&owner.dir);
            *place = None;
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.clear_shelf(Duration::ZERO);
    }
}
