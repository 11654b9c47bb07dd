//! `potluck join`: uses a ticket, with or without a running node.

use crate::quantity::Span;
use crate::signals::EndRequests;
use crate::{exit, render, settings};
use anyhow::Context;
use clap::Args;
use potluck_node::client::{Client, Joined};
use std::io::{IsTerminal, Read};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  potluck join potluck1abc...         the ticket that `potluck invite` printed
  potluck join - < ticket.txt
  potluck join --wait 10m potluck1abc...

Where the ticket asks for it, the owner of the inviting machine has to say yes first. At a terminal this command waits for
that; otherwise it ends at once, and this machine is in the group as soon as yes is said.";
/// How long a person at a terminal is assumed to wait.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How often the inviting machine is asked whether yes was said.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// A ticket has a few hundred characters.
const TICKET_LEN_MAX: u64 = 4096;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct JoinArgs {
    /// The ticket; `-` reads it from stdin
    #[arg(value_name = "TICKET")]
    ticket: String,
    /// Wait at most so long for the inviting machine's owner to say yes [default: at a terminal an hour, otherwise not]
    #[arg(long, value_name = "TIME")]
    wait: Option<Span>,
}

pub(crate) fn execute(args: &JoinArgs) -> anyhow::Result<u8> {
    let ticket = if args.ticket == "-" { from_stdin()? } else { args.ticket.clone() };
    let attended = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let patience = args.wait.map(|wait| wait.0).or_else(|| attended.then_some(PATIENCE)).unwrap_or_default();
    join(&ticket, patience)?;
    Ok(exit::SUCCESS)
}

/// Joins and says so; also the last step of `potluck setup`. Waits at most `patience` for the inviting owner's yes.
pub(super) fn join(ticket: &str, patience: Duration) -> anyhow::Result<()> {
    let client = settings::client()?;
    let (joined, runs) = settings::block_on(async {
        let joined = client.join(ticket.trim()).await?;
        let joined = if joined.waits { wait(&client, ticket.trim(), joined, patience).await? } else { joined };
        Ok((joined, client.daemon_runs()))
    })?;
    if joined.waits {
        let name = render::tame(&joined.name);
        render::say(&format!("{name} is known here; the rest follows by itself once its owner has said yes"));
        if !runs {
            render::say("for that, keep the node running: `potluck up -d`");
        }
        return Ok(());
    }
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

/// Says whom it waits for, and asks again until yes is said, no is said, or patience ends.
async fn wait(client: &Client, ticket: &str, first: Joined, patience: Duration) -> anyhow::Result<Joined> {
    let id = client.identity()?.id();
    let name = render::tame(&first.name);
    render::say(&format!(
        "waiting for the owner of {name} to let this machine in; its fingerprint is {}",
        id.fingerprint()
    ));
    render::say(&format!("there, `potluck peers approve {}` lets it in", id.short()));
    let mut requests = EndRequests::listen()?;
    let end = tokio::time::Instant::now() + patience;
    let mut joined = first.clone();
    while joined.waits && tokio::time::Instant::now() < end {
        tokio::select! {
            () = tokio::time::sleep(LOOK_PERIOD) => joined = client.join(ticket).await?,
            () = requests.next() => break,
        }
    }
    if joined.name.is_empty() {
        // It was known before yes was said, so it is not the newcomer that is looked for.
        joined.name = first.name;
    }
    Ok(joined)
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(TICKET_LEN_MAX).read_to_string(&mut text).context("cannot read the ticket from stdin")?;
    anyhow::ensure!(!text.trim().is_empty(), "stdin holds no ticket");
    Ok(text)
}
