//! `potluck version`: what this binary is.

use crate::{exit, render};
use clap::Args;
use serde::Serialize;

const EXAMPLES: &str = "Examples:\n  potluck version\n  potluck version --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VersionArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    engine: String,
    target: &'static str,
}

pub(crate) fn execute(args: &VersionArgs) -> anyhow::Result<u8> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        engine: format!("wasmtime {}", potluck_runtime::ENGINE_VERSION),
        target: env!("POTLUCK_TARGET"),
    };
    if args.json {
        render::print_json(&version)?;
    } else {
        render::print(&format!("potluck {} ({}, {})\n", version.version, version.engine, version.target))?;
    }
    Ok(exit::SUCCESS)
}
