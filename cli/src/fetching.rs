//! Interpreters that are fetched at first need, by the user's own npm or pip.

use crate::progress::{Manner, Progress};
use crate::render::say;
use potluck_node::client::Client;
use potluck_node::interpreters::{Fetchable, Interpreter, Interpreters};
use std::path::Path;

/// Fetches the interpreter of a script that is there, where it is one that can be fetched and is not here.
pub(crate) async fn ensure(
    client: &Client,
    program: &Path,
    environment: Option<&str>,
    quiet: bool,
) -> anyhow::Result<()> {
    if !program.is_file() {
        return Ok(());
    }
    let interpreters = Interpreters::of(client.paths());
    let lacking = match environment {
        Some(name) => interpreters.fetchable().find(|fetchable| fetchable.name == name),
        None => {
            let ending = program.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            interpreters.fetchable_of_ending(&ending.to_lowercase())?
        }
    };
    if let Some(lacking) = lacking {
        fetch(client, lacking, quiet).await?;
    }
    Ok(())
}

/// Fetches one and keeps it.
pub(crate) async fn fetch(client: &Client, fetchable: &'static Fetchable, quiet: bool) -> anyhow::Result<Interpreter> {
    client.paths().create()?;
    let interpreters = Interpreters::of(client.paths());
    let progress = Progress::new(Manner::suitable(quiet));
    let candidate = interpreters.fetch(fetchable, &progress).await;
    if candidate.is_ok() {
        progress.finish()
    } else {
        progress.abandon()
    }
    let interpreter = interpreters.add(candidate?)?;
    if !quiet {
        let what = &interpreter.manifest.title;
        say(&format!("{what} is on this machine now, as the environment {}", fetchable.name));
    }
    Ok(interpreter)
}
