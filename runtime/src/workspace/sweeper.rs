//! A process that does nothing but wait for its parent to be gone, however that ends, and then removes what the parent's
//! runs have left on disk. Workers cannot: the system kills them with their parent. Should it be killed as well, the next one that
//! opens the same place does its work.

use super::owner::{gate, has_owner_of, sweep};
use crate::cgroup;
use crate::runtime::WorkerCommand;
use crate::worker_role::sweeper_arguments;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the parent's locks and workers are waited for; a process that is killed closes its files one after the other.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// The process, for as long as there is something to clean up after.
#[derive(Default)]
pub(super) struct Sweeper {
    child: Arc<Mutex<Option<Child>>>,
}

impl Sweeper {
    /// Starts it, without waiting for that.
    pub(super) fn start(command: &WorkerCommand, scratch: &Path) -> Self {
        let sweeper = Self::default();
        let mut process = Command::new(&command.program);
        process.args(&command.args).args(sweeper_arguments(scratch)).env_clear();
        // It would keep the file system of its parent's working directory in use.
        process.current_dir("/");
        process.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let place = sweeper.child.clone();
        let work = move || match process.spawn() {
            Ok(child) => {
                place.lock().unwrap_or_else(PoisonError::into_inner).replace(child);
            }
            Err(error) => tracing::debug!(%error, "nobody cleans up should this process be killed"),
        };
        if let Err(error) = crate::spawner::later(Box::new(work)) {
            tracing::debug!(%error, "nobody cleans up should this process be killed");
        }
        sweeper
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            // There is nothing to remove any more.
            let _gone = child.kill().and_then(|()| child.wait());
        }
    }
}

/// The whole life of that process.
pub(crate) fn sweep_after_parent(scratch: &Path) -> io::Result<()> {
    // Ctrl-C in a terminal is not for it.
    rustix::process::setsid()?;
    let parent = rustix::process::getppid();
    io::stdin().read_to_end(&mut Vec::new())?;
    let Some(parent) = parent else { return Ok(()) };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        {
            let _gate = gate(scratch)?;
            sweep(scratch)?;
        }
        let groups_gone = cgroup::sweep(parent.as_raw_nonzero().get().unsigned_abs());
        if groups_gone && !has_owner_of(scratch, parent.as_raw_nonzero().get())? {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
