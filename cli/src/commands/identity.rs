//! `potluck identity`: the key by which this machine is known.

use super::peers::keys::confirmed;
use crate::{exit, render, settings};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::IsTerminal;

const EXAMPLES: &str = "\
Examples:
  potluck identity new
  potluck identity new --yes --json

Two machines must not have one identity; copying a home directory or a disk makes such twins. On one of them stop the node
(`potluck down`), give it a new identity, and let it join again with a ticket. The old key and the list of peers are kept
beside the new ones in the data directory.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct IdentityArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give this machine a new identity; it leaves its group and has to join again
    #[command(after_help = EXAMPLES)]
    New {
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Renewed {
    old_id: String,
    id: String,
    short_id: String,
}

pub(crate) fn execute(args: &IdentityArgs) -> anyhow::Result<u8> {
    let Action::New { yes, json } = args.action;
    let client = settings::client()?;
    let asks = !yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    anyhow::ensure!(asks || yes, "there is no terminal to ask in; add --yes to leave the group and begin anew");
    if asks && !confirmed("Leave the group and begin with a new identity?")? {
        render::say("nothing was changed");
        return Ok(exit::SUCCESS);
    }
    let (old, new) = client.renew_identity()?;
    if json {
        render::print_json(&Renewed { old_id: old.to_string(), id: new.to_string(), short_id: new.short() })?;
    } else {
        render::say(&format!("this machine is {} now; it was {}", new.short(), old.short()));
        render::say("ask a member for a ticket (`potluck invite`) and type `potluck join TICKET`");
    }
    Ok(exit::SUCCESS)
}
