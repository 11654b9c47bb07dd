//! What a command works with: this user's directories, settings and a client over them. Nothing is opened before it is
//! needed, so a command that needs none of it pays for none of it.

use anyhow::Context;
use potluck_node::client::{Client, ClientConfig};
use potluck_node::config::Config;
use potluck_node::paths::Paths;
use potluck_runtime::WorkerCommand;
use std::future::Future;

/// The hidden first argument that makes this binary a worker.
pub(crate) const WORKER_COMMAND: &str = "worker";

/// Turns that the tasks which are left get to say goodbye: a few for each of the few there are.
const FAREWELL_TURNS: u32 = 16;

/// This user's directories.
pub(crate) fn paths() -> anyhow::Result<Paths> {
    Paths::from_env().context("cannot find a place for Potluck's files")
}

/// How this binary starts workers.
pub(crate) fn worker() -> anyhow::Result<WorkerCommand> {
    let program = std::env::current_exe().context("cannot find Potluck's own executable")?;
    Ok(WorkerCommand { program, args: vec![WORKER_COMMAND.into()] })
}

/// A client over this user's directories and settings.
pub(crate) fn client() -> anyhow::Result<Client> {
    let paths = paths()?;
    let config = Config::load(&paths)?;
    Ok(Client::open(ClientConfig { paths, config, worker: worker()? }))
}

/// Runs a future on this thread. What still blocks when it ends is not waited for.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let executor =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    let result = executor.block_on(future);
    // A connection that was closed just now says so, or its other side would keep it until it has been silent for long.
    executor.block_on(async {
        for _ in 0..FAREWELL_TURNS {
            tokio::task::yield_now().await;
        }
    });
    executor.shutdown_background();
    result
}
