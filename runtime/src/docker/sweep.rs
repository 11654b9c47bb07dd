//! Removes the containers of processes that are gone. A process that is killed cannot remove its own, and an engine lets
//! them run on; so a process of its own waits for the end of each that runs containers, however that comes, and removes what
//! it left. Should it be killed as well, the next one that offers containers under the same name does its work.

use super::container::{remove_container, remove_volume};
use super::engine::{Engine, EngineError};
use super::spec::{OWNER_LABEL, PROCESS_LABEL};
use super::{ContainerConfig, process};
use crate::runtime::WorkerCommand;
use crate::worker_role::ContainerSweeperRole;
use bollard::query_parameters::{ListContainersOptions, ListVolumesOptions};
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often it is looked after the end of a process, and in what pauses: an engine may still be making what it was told.
const LOOKS: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Removes what an owner's processes have left that are gone, or what `gone`, if it is named, has left. The answer is how
/// much that was.
async fn sweep(engine: &Engine, owner: &str, gone: Option<&str>) -> Result<usize, EngineError> {
    let label = match gone {
        Some(process) => vec![format!("{OWNER_LABEL}={owner}"), format!("{PROCESS_LABEL}={process}")],
        None => vec![format!("{OWNER_LABEL}={owner}")],
    };
    let filters = Some(HashMap::from([("label".to_owned(), label)]));
    let is_gone = |labels: &HashMap<String, String>| {
        gone.is_some() || !labels.get(PROCESS_LABEL).is_some_and(|process| process::is_running(process))
    };
    let listed = ListContainersOptions { all: true, filters: filters.clone(), ..Default::default() };
    let containers = engine.docker.list_containers(Some(listed)).await.map_err(|error| engine.failed(&error))?;
    let listed = ListVolumesOptions { filters };
    let volumes = engine.docker.list_volumes(Some(listed)).await.map_err(|error| engine.failed(&error))?;
    let mut removed = 0;
    for container in containers {
        if let (Some(id), true) = (container.id, is_gone(&container.labels.unwrap_or_default())) {
            remove_container(engine, &id).await;
            removed += 1;
        }
    }
    for volume in volumes.volumes.unwrap_or_default() {
        if is_gone(&volume.labels) {
            remove_volume(engine, &volume.name).await;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes what an owner's processes have left that are gone. The answer is how much that was.
pub(crate) async fn sweep_leftovers(config: &ContainerConfig) -> Result<usize, EngineError> {
    sweep(&Engine::open(config).await?, &config.owner, None).await
}

/// The process that waits for the end of this one, from the first container on.
#[derive(Default)]
pub(crate) struct ContainerSweeper {
    child: Arc<Mutex<Option<Child>>>,
}

impl ContainerSweeper {
    /// Starts it, without waiting for that.
    pub(crate) fn start(command: &WorkerCommand, socket: &Path, owner: &str) -> Self {
        let sweeper = Self::default();
        let role = ContainerSweeperRole {
            socket: socket.to_owned(),
            owner: owner.to_owned(),
            process: process::label().to_owned(),
        };
        let mut process = Command::new(&command.program);
        process.args(&command.args).args(role.arguments()).env_clear();
        process.current_dir("/");
        process.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let place = sweeper.child.clone();
        let work = move || match process.spawn() {
            Ok(child) => {
                place.lock().unwrap_or_else(PoisonError::into_inner).replace(child);
            }
            Err(error) => tracing::debug!(%error, "nobody removes containers should this process be killed"),
        };
        if let Err(error) = crate::spawner::later(Box::new(work)) {
            tracing::debug!(%error, "nobody removes containers should this process be killed");
        }
        sweeper
    }
}

impl Drop for ContainerSweeper {
    fn drop(&mut self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A runtime that ends may have dropped what was to remove a container: this process sees to it once its stdin ends.
        if let Some(mut child) = child {
            drop(child.stdin.take());
            // Ends with that process; where there is no thread for it, the system looks after it once we are gone.
            let _waiter = std::thread::Builder::new().spawn(move || child.wait());
        }
    }
}

/// The whole life of that process.
pub(crate) fn sweep_containers_after_parent(role: &ContainerSweeperRole) -> io::Result<()> {
    // Ctrl-C in a terminal is not for it.
    rustix::process::setsid()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut quiet = 0;
        while quiet < LOOKS {
            let engine = Engine::at(&role.socket).await.map_err(io::Error::other)?;
            let removed = sweep(&engine, &role.owner, Some(&role.process)).await.map_err(io::Error::other)?;
            quiet = if removed == 0 { quiet + 1 } else { 0 };
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    })
}
