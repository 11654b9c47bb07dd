//! `potluck pause` and `potluck resume`: takes the machine back from its peers, and lends it again.

use super::share::SharingObject;
use crate::quantity::Span;
use crate::{exit, render, settings};
use clap::Args;
use potluck_node::client::Sharing;

const EXAMPLES: &str = "\
Examples:
  potluck pause              until `potluck resume`, also over a restart
  potluck pause --for 1h     lends again by itself after an hour

When it returns, no job of a peer runs here: those that ran are ended, those that waited are sent away with the time at which \
to ask again, and sessions are put to disk. What this machine's own queue was given (`run -d`, `map`) does not run here either: it goes to other machines, or waits. Jobs and sessions in the foreground go on: `potluck top` ends them.";

const RESUME_EXAMPLES: &str = "\
Examples:
  potluck resume             lends again, as far as the rules of `potluck share` allow";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PauseArgs {
    /// For how long; without it, until `potluck resume`
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Span>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &PauseArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        let sharing = client.pause(args.length.map(|length| length.0)).await?;
        if args.json {
            return render::print_json(&SharingObject::of_pause(&sharing));
        }
        say(&sharing, &done(&sharing));
        Ok(())
    })?;
    Ok(exit::SUCCESS)
}

pub(crate) fn resume(args: &ResumeArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        let sharing = client.resume().await?;
        if args.json {
            return render::print_json(&SharingObject::new(&sharing));
        }
        say(&sharing, "");
        Ok(())
    })?;
    Ok(exit::SUCCESS)
}

fn say(sharing: &Sharing, done: &str) {
    render::say(&format!("{} {}{done}", sharing.name, sharing.now.lends.text));
    if let Some(warning) = &sharing.now.warning {
        render::say(warning);
    }
    if !sharing.running {
        render::say("no node runs on this machine; this holds when one does");
    }
}

/// What pausing has done, as the end of a sentence.
fn done(sharing: &Sharing) -> String {
    let now = &sharing.now;
    let parts: Vec<String> = [
        (now.ended, "job ended", "jobs ended"),
        (now.sent_away, "job sent away", "jobs sent away"),
        (
            now.own,
            "job of this machine's queue goes elsewhere or waits",
            "jobs of this machine's queue go elsewhere or wait",
        ),
        (now.saved, "session saved", "sessions saved"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
    .collect();
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) }
}
