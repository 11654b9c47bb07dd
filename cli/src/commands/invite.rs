//! `potluck invite`: a single-use ticket on stdout; for people its picture and what to do with it on stderr.

use crate::quantity::Span;
use crate::{exit, render, settings};
use anyhow::Context;
use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::io::IsTerminal;

const EXAMPLES: &str = "\
Examples:
  potluck invite                      then type `potluck join TICKET` on the other machine
  potluck invite --expires 10m
  potluck invite | ssh attic potluck join -";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InviteArgs {
    /// How long the ticket is good for
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: Span,
    /// Draw the ticket as a QR code also where stderr is no terminal
    #[arg(long)]
    qr: bool,
}

pub(crate) fn execute(args: &InviteArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ticket = settings::block_on(async { Ok(client.invite(args.expires.0).await?.ticket) })?;
    if args.qr || std::io::stderr().is_terminal() {
        // The drawing has no prefix: a camera reads it.
        let _gone = std::io::Write::write_all(&mut std::io::stderr().lock(), drawing(&ticket)?.as_bytes());
    }
    render::say(&format!(
        "good for one machine and for {}; on that machine type `potluck join TICKET`, with the ticket being",
        args.expires
    ));
    render::print(&format!("{ticket}\n"))?;
    Ok(exit::SUCCESS)
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
