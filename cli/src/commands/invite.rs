//! `potluck invite`: a single-use ticket on stdout; for people its picture and what to do with it on stderr, and the
//! question whether to let in whoever used it.

use super::peers::keys::{changed_key, is_yes};
use crate::quantity::Span;
use crate::signals::EndRequests;
use crate::terminal::{self, Modes};
use crate::{exit, render, settings};
use anyhow::Context;
use clap::Args;
use potluck_node::client::Client;
use potluck_node::identity::NodeId;
use potluck_node::trust::invitations::Grant;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::io::{IsTerminal, Write};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  potluck invite                      type `potluck join TICKET` on the other machine, and then yes here
  potluck invite --approved           whoever uses the ticket first is let in without a further question
  potluck invite --expires 10m
  potluck invite --approved | ssh attic potluck join -

At a terminal this command waits until the ticket is used, shows who did, and asks whether to let them in. Ctrl-C ends the
waiting and not the ticket: `potluck peers pending` lists who waits, `potluck peers approve` lets them in.";

/// How often it is looked whether the ticket was used.
const LOOK_PERIOD: Duration = Duration::from_millis(300);

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InviteArgs {
    /// How long the ticket is good for
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: Span,
    /// Let in whoever uses the ticket, without asking again
    #[arg(long)]
    approved: bool,
    /// Do not wait for the ticket to be used
    #[arg(long)]
    no_wait: bool,
    /// Draw the ticket as a QR code also where stderr is no terminal
    #[arg(long)]
    qr: bool,
}

pub(crate) fn execute(args: &InviteArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let grant = if args.approved { Grant::Enters } else { Grant::Asks };
    let before: Vec<NodeId> = settings::block_on(async { waiting(&client).await })?;
    let ticket = settings::block_on(async { Ok(client.invite(args.expires.0, grant).await?.ticket) })?;
    if args.qr || std::io::stderr().is_terminal() {
        // The drawing has no prefix: a camera reads it.
        let _gone = std::io::stderr().lock().write_all(drawing(&ticket)?.as_bytes());
    }
    render::say(&format!(
        "good for one machine and for {}; on that machine type `potluck join TICKET`, with the ticket being",
        args.expires
    ));
    render::print(&format!("{ticket}\n"))?;
    if args.approved {
        return Ok(exit::SUCCESS);
    }
    let attended = [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
    if args.no_wait || attended.contains(&false) {
        render::say(
            "when it is used, `potluck peers pending` shows by whom and `potluck peers approve NAME` lets them in",
        );
        return Ok(exit::SUCCESS);
    }
    settings::block_on(async { answer(&client, &before, args.expires.0).await })?;
    Ok(exit::SUCCESS)
}

async fn waiting(client: &Client) -> anyhow::Result<Vec<NodeId>> {
    if !client.daemon_runs() {
        // The invitation itself is refused with a sentence.
        return Ok(Vec::new());
    }
    Ok(client.pending().await?.iter().map(|peer| peer.id).collect())
}

/// Waits for somebody who did not wait before, and asks the person at the terminal about them.
async fn answer(client: &Client, before: &[NodeId], patience: Duration) -> anyhow::Result<()> {
    let mut requests = EndRequests::listen()?;
    let modes = Modes::keep();
    render::say("waiting until the ticket is used; Ctrl-C ends the waiting, and the ticket stays good");
    let end = tokio::time::Instant::now() + patience;
    let newcomer = loop {
        if let Some(newcomer) = client.pending().await?.into_iter().find(|peer| !before.contains(&peer.id)) {
            break newcomer;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_PERIOD) => {}
            () = tokio::time::sleep_until(end) => return Ok(()),
            () = requests.next() => return Ok(()),
            line = terminal::next_line() => if line.is_none() { return Ok(()) },
        }
    };
    let address = newcomer.addresses.first().map_or_else(String::new, |address| format!(" at {address}"));
    render::say(&format!("{} ({}){address} has used the ticket", newcomer.name, newcomer.id.short()));
    render::say(&format!("its fingerprint is {}; `potluck whoami` shows it there", newcomer.id.fingerprint()));
    if newcomer.replaces.is_some() {
        render::say(&format!("{} is known by another key: {}", newcomer.name, changed_key(&newcomer)));
        return Ok(());
    }
    let _asked = write!(std::io::stderr().lock(), "Let it in? [y/N] ");
    let line = tokio::select! {
        line = terminal::next_line() => line,
        () = requests.next() => None,
    };
    drop(modes);
    let id = newcomer.id.to_string();
    match line {
        None => render::say("it waits: `potluck peers approve` lets it in"),
        Some(line) if is_yes(&String::from_utf8_lossy(&line)) => {
            client.approve(&id).await?;
            render::say(&format!("{} is trusted now", newcomer.name));
        }
        Some(_) => {
            client.deny(&id).await?;
            render::say(&format!("{} is not let in", newcomer.name));
        }
    }
    Ok(())
}

fn drawing(ticket: &str) -> anyhow::Result<String> {
    let code = QrCode::new(ticket.as_bytes()).context("the ticket is too long for a QR code")?;
    // Light on dark, as most terminals are.
    let drawing = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Ok(format!("{drawing}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_can_be_drawn() {
        let drawing = drawing(&"potluck1".repeat(30)).unwrap();
        assert!(drawing.lines().count() > 20);
    }
}
