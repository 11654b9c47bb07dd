//! `potluck join`: uses a ticket, with or without a running node.

use crate::{exit, render, settings};
use anyhow::Context;
use clap::Args;
use std::io::Read;

const EXAMPLES: &str = "\
Examples:
  potluck join potluck1abc...         the ticket that `potluck invite` printed
  potluck join - < ticket.txt";
/// A ticket has a few hundred characters.
const TICKET_LEN_MAX: u64 = 4096;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct JoinArgs {
    /// The ticket; `-` reads it from stdin
    #[arg(value_name = "TICKET")]
    ticket: String,
}

pub(crate) fn execute(args: &JoinArgs) -> anyhow::Result<u8> {
    let ticket = if args.ticket == "-" { from_stdin()? } else { args.ticket.clone() };
    join(&ticket)?;
    Ok(exit::SUCCESS)
}

/// Joins and says so; also the last step of `potluck setup`.
pub(super) fn join(ticket: &str) -> anyhow::Result<()> {
    let client = settings::client()?;
    let (joined, runs) = settings::block_on(async { Ok((client.join(ticket.trim()).await?, client.daemon_runs())) })?;
    let peers = match joined.members {
        1 => "1 peer".to_owned(),
        members => format!("{members} peers"),
    };
    if joined.name.is_empty() {
        // Nobody new: this machine was in the group before.
        render::say(&format!("this machine is in that group; it knows {peers}"));
    } else {
        render::say(&format!("joined the group of {}; this machine knows {peers}", render::tame(&joined.name)));
    }
    if !runs {
        render::say("to lend this machine too, type `potluck up -d`");
    }
    Ok(())
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(TICKET_LEN_MAX).read_to_string(&mut text).context("cannot read the ticket from stdin")?;
    anyhow::ensure!(!text.trim().is_empty(), "stdin holds no ticket");
    Ok(text)
}
