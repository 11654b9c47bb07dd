//! The removal of what a run left. A guest may leave a hundred thousand files, which take seconds to remove, and as long
//! nothing else would be done on a thread that serves others.

use super::owner::remove_directory;
use super::{Place, Scratch};
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};

/// So many files and directories are removed where we stand: a millisecond's worth.
const QUICK_ENTRIES_MAX: usize = 100;

/// A run's directory that is to be removed. However this is dropped, it is.
struct Removal {
    place: Place,
    scratch: Arc<Scratch>,
}

impl Drop for Removal {
    fn drop(&mut self) {
        remove_directory(&self.place.dir);
        self.scratch.leave();
    }
}

/// Removes a run's directory: at once, or on a thread where that is in nobody's way.
pub(super) fn remove(place: Place, scratch: Arc<Scratch>) {
    let is_quick = has_at_most(&place.dir, &mut { QUICK_ENTRIES_MAX });
    let removal = Removal { place, scratch };
    match Handle::try_current() {
        // A runtime that ends drops what it has not begun, and waits for what it has. One of a single thread serves one
        // command, which may leave as soon as it has its answer.
        Ok(runtime) if !is_quick && runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            drop(runtime.spawn_blocking(move || drop(removal)));
        }
        _ => drop(removal),
    }
}

/// Whether no more than `left` things lie in a directory and below; false if that cannot be told.
fn has_at_most(dir: &Path, left: &mut usize) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    for entry in entries {
        let Ok(entry) = entry else { return false };
        let Some(fewer) = left.checked_sub(1) else { return false };
        *left = fewer;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !has_at_most(&entry.path(), left) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Tenant;
    use crate::runtime::WorkerCommand;
    use std::path::PathBuf;

    fn left_behind(files: usize) -> (tempfile::TempDir, PathBuf, Arc<Scratch>) {
        let home = tempfile::tempdir().unwrap();
        let scratch =
            Scratch::open(home.path(), 0, WorkerCommand { program: "/nonexistent".into(), args: Vec::new() }).unwrap();
        let workspace = scratch.workspace(Tenant::OWNER, 0).unwrap();
        let dir = workspace.root_path().parent().unwrap().to_owned();
        for number in 0..files {
            std::fs::create_dir(workspace.root_path().join(number.to_string())).unwrap();
        }
        drop(workspace);
        (home, dir, scratch)
    }

    #[test]
    fn little_is_removed_at_once() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let _inside = runtime.enter();
        let (_home, dir, _scratch) = left_behind(50);
        assert!(!dir.exists());
    }

    #[test]
    fn much_is_gone_when_the_runtime_has_ended() {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).max_blocking_threads(1).build().unwrap();
        let (home, dir, scratch) = {
            let _inside = runtime.enter();
            // Whoever waits for the one thread there is must not get lost.
            let (send, receive) = std::sync::mpsc::channel::<()>();
            drop(runtime.spawn_blocking(move || receive.recv()));
            let left = left_behind(500);
            assert!(left.1.exists(), "it was removed on the thread that serves others");
            drop(send);
            left
        };
        drop(runtime);
        assert!(!dir.exists());
        drop(scratch);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().flatten().filter(|e| e.path().is_dir()).count(), 0);
    }

    #[test]
    fn much_is_removed_at_once_where_nothing_else_is_done() {
        let (_home, dir, _scratch) = left_behind(500);
        assert!(!dir.exists());
    }
}
