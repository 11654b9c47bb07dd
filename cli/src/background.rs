//! What goes on when its terminal is closed: the same binary. A node has a session of its own and its log in a file, and
//! whoever starts it waits until it answers or has failed; images are made in process groups of their own, and nobody waits
//! for them.

use crate::render;
use anyhow::Context;
use potluck_node::client::Client;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The hidden flag of the process in the background.
pub(crate) const BACKGROUND_FLAG: &str = "--in-background";
/// How long a node may take until it answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// How often it is asked.
const ASK_PERIOD: Duration = Duration::from_millis(25);
/// Lines of the log that are shown when it has failed.
const LOG_LINES_SHOWN: usize = 5;

/// Starts a node in the background and returns where its log is.
pub(crate) async fn start(client: &Client) -> anyhow::Result<PathBuf> {
    client.paths().create()?;
    let log_path = client.paths().data_dir.join("up.log");
    let log = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&log_path);
    let log = log.with_context(|| format!("cannot write the log {}", log_path.display()))?;
    let child = spawn(log)?;
    wait_until_it_answers(client, child, &log_path).await?;
    Ok(log_path)
}

/// Starts a node in the background, and says so unless it is to be quiet; does nothing where one runs.
pub(crate) async fn ensure(client: &Client, quiet: bool) -> anyhow::Result<()> {
    if client.daemon_runs() {
        return Ok(());
    }
    match start(client).await {
        Ok(_) if quiet => Ok(()),
        Ok(log) => {
            render::say(&format!(
                "started the node of this machine; its log is {}, `potluck down` stops it",
                log.display()
            ));
            Ok(())
        }
        // Another command has started one at the same time.
        Err(_) if client.daemon_runs() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Leaves the terminal's session; the first thing the process in the background does.
pub(crate) fn leave_terminal() {
    // Fails only for the leader of a process group, which a fresh child is not.
    let _already_leader = rustix::process::setsid();
}

/// Has images made that this command's job would have started from. Nobody is told of a failure: the next job of the
/// kind is only slower, as this one was.
pub(crate) fn make_images(names: &[&str]) {
    let Ok(program) = std::env::current_exe() else { return };
    for name in names {
        let started = Command::new(&program)
            .args(["env", "warm", "--quiet", name])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        if let Err(error) = started {
            tracing::debug!(%error, "images are not made");
        }
    }
}

fn spawn(log: File) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find Potluck's own executable")?;
    let stderr = log.try_clone().context("cannot open the log twice")?;
    Command::new(program)
        .args(["up", BACKGROUND_FLAG])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(stderr)
        .spawn()
        .context("cannot start the node")
}

async fn wait_until_it_answers(client: &Client, mut child: Child, log_path: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + ANSWERS_WITHIN;
    loop {
        if let Some(status) = child.try_wait().context("cannot watch the node start")? {
            anyhow::bail!("the node did not start ({status}): {}", last_lines(log_path));
        }
        if client.daemon_runs() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            // It may hang for good; a node nobody can reach is of no use.
            let _gone = child.kill();
            let _gone = child.wait();
            anyhow::bail!(
                "the node did not answer within {} s; its log is {}",
                ANSWERS_WITHIN.as_secs(),
                log_path.display()
            );
        }
        tokio::time::sleep(ASK_PERIOD).await;
    }
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("potluck: ")).collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("; ")
}
