//! `potluck whoami`: this machine's name and id. The identity is made here if there is none yet.

use crate::{exit, render, settings};
use clap::Args;
use serde::Serialize;

const EXAMPLES: &str = "Examples:\n  potluck whoami\n  potluck whoami --json | jq -r .id";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WhoamiArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Whoami<'a> {
    name: &'a str,
    id: String,
    short_id: String,
    fingerprint: String,
}

pub(crate) fn execute(args: &WhoamiArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let id = client.identity()?.id();
    let whoami =
        Whoami { name: &client.config().name, id: id.to_string(), short_id: id.short(), fingerprint: id.fingerprint() };
    if args.json {
        render::print_json(&whoami)?;
    } else {
        render::print(&format!("{} {}\n", whoami.name, whoami.id))?;
        render::say(&format!("fingerprint {}", whoami.fingerprint));
    }
    Ok(exit::SUCCESS)
}
