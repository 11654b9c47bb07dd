//! What a worker does when its parent is gone: it stops the guest's hand, removes what the parent can no longer remove,
//! and ends. This runs on a thread of its own, whatever the guest is doing. Between two runs it removes what the last may have left
//! to the next.

use super::EXIT_UNABLE;
use crate::workspace;
use rustix::event::{PollFd, PollFlags, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether the parent is gone. A guest that still runs makes no more files from then on.
#[derive(Clone, Default)]
pub(super) struct ParentGone(Arc<AtomicBool>);

impl ParentGone {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the parent would have removed.
pub(super) enum Left {
    /// Nothing: there was no order yet.
    Nothing,
    /// The output of a compilation.
    File(PathBuf),
    /// The scratch directory of a run.
    Directory(PathBuf),
}

/// Watches the parent.
pub(super) struct Orphan {
    gone: ParentGone,
    left: Arc<Mutex<Left>>,
}

impl Orphan {
    /// Waits for the parent's end of the pipe to close; removes what is left then and ends the process.
    pub(super) fn end_with_parent(pipe: OwnedFd) -> io::Result<Self> {
        let orphan = Self { gone: ParentGone::default(), left: Arc::new(Mutex::new(Left::Nothing)) };
        let (flag, left) = (orphan.gone.clone(), orphan.left.clone());
        std::thread::Builder::new().name("parent".to_owned()).stack_size(256 << 10).spawn(move || {
            wait_for_hang_up(&pipe);
            flag.0.store(true, Ordering::Relaxed);
            // Held to the end, so that no new order begins. A parent that is gone cannot be told of trouble; its
            // successor sweeps what is left.
            let left = lock(&left);
            match &*left {
                Left::Nothing => {}
                Left::File(path) => drop(std::fs::remove_file(path)),
                Left::Directory(path) => remove_run(path),
            }
            #[expect(clippy::disallowed_methods, reason = "the guest's thread cannot be asked to return")]
            std::process::exit(i32::from(EXIT_UNABLE));
        })?;
        Ok(orphan)
    }

    /// From now on this is what is to be removed.
    pub(super) fn leave(&self, left: Left) -> ParentGone {
        *lock(&self.left) = left;
        self.gone.clone()
    }
}

fn lock(left: &Mutex<Left>) -> MutexGuard<'_, Left> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_for_hang_up(pipe: &OwnedFd) {
    loop {
        // No event is asked for: only the hang-up, which is always reported, wakes this thread.
        let mut polled = [PollFd::new(pipe, PollFlags::empty())];
        match poll(&mut polled, None) {
            Ok(_) if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn remove_run(run: &Path) {
    workspace::remove_busy_directory(run);
    if let Some(owner) = run.parent() {
        // The last of the parent's workers takes the parent's own directory along.
        drop(workspace::remove_orphaned_owner(owner));
    }
}
