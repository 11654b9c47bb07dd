//! `potluck session save`, `restore`, `fork` and `move`: the state of a session, taken elsewhere.

use super::opening::{self, Life, session_name};
use super::{WhichArgs, unless_cancelled};
use crate::commands::run::line;
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::signals::EndRequests;
use crate::{render, sessions};
use clap::{Args, ValueHint};
use potluck_node::client::{Client, SessionHandle, SessionOpening, Target, Transfer};
use std::path::PathBuf;

const SAVE_EXAMPLES: &str = "\
Examples:
  potluck session save work work.session
  potluck session restore work.session --on attic --name work2";
const RESTORE_EXAMPLES: &str = "\
Examples:
  potluck session restore work.session
  potluck session restore work.session --on attic --name work2
  potluck shell --from work.session                    a shell over it, which ends it

The file goes on only under the version of Potluck that it was saved with.";
const FORK_EXAMPLES: &str = "\
Examples:
  potluck session fork work --name attempt
  twin=$(potluck session fork work)";
const MOVE_EXAMPLES: &str = "\
Examples:
  potluck session move work attic
  potluck session move work local";

#[derive(Args, Debug)]
#[command(after_help = SAVE_EXAMPLES)]
pub(super) struct SaveArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Where to keep it
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(super) struct RestoreArgs {
    /// A saved session
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Where it goes on: a peer's name or id, `any`, or `local`
    #[arg(long, value_name = "PEER|any|local", default_value = "local", value_parser = line::machine)]
    on: String,
    /// A name by which to come back to it
    #[arg(long, value_name = "NAME", value_parser = session_name)]
    name: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = FORK_EXAMPLES)]
pub(super) struct ForkArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// A name for the new session
    #[arg(long, value_name = "NAME", value_parser = session_name)]
    name: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = MOVE_EXAMPLES)]
pub(super) struct MoveArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Where it goes on: a peer's name or id, or `local`
    #[arg(value_name = "PEER|local", value_parser = line::machine)]
    to: String,
}

pub(super) async fn save(client: &Client, args: SaveArgs) -> anyhow::Result<()> {
    let progress = Progress::new(Manner::suitable(false));
    let (session, bytes) = unless_cancelled("cancelled; nothing was kept of the saved state", async {
        let session = args.which.find(client).await?;
        let saved = session.save(&args.file, &mut |transfer| show(&progress, "saving", &transfer)).await;
        Ok((session, saved.map_err(sessions::refusal)?))
    })
    .await?;
    progress.finish();
    let label = sessions::label(session.info());
    render::say(&format!("saved {label} in {} ({})", args.file.display(), ByteSize(bytes)));
    Ok(())
}

pub(super) async fn restore(client: &Client, args: RestoreArgs) -> anyhow::Result<()> {
    let mut requests = EndRequests::listen()?;
    let mut opening = SessionOpening::new().saved(args.file);
    if let Some(name) = args.name {
        opening = opening.name(name);
    }
    print_id(&opening::open(client, &args.on, opening, Life::Lasting, &mut requests).await?)
}

pub(super) async fn fork(client: &Client, args: ForkArgs) -> anyhow::Result<()> {
    let twin = unless_cancelled("cancelled; `potluck session ls` shows whether there is a new session", async {
        args.which.find(client).await?.fork(args.name).await.map_err(sessions::refusal)
    })
    .await?;
    print_id(&twin)
}

pub(super) async fn move_session(client: &Client, args: MoveArgs) -> anyhow::Result<()> {
    let progress = Progress::new(Manner::suitable(false));
    let target = args.to.parse().unwrap_or(Target::Local);
    let moved = unless_cancelled("cancelled; `potluck session ls` shows where the session is", async {
        let session = args.which.find(client).await?;
        let moved = client.move_session(session, target, &mut |transfer| show(&progress, "moving", &transfer)).await;
        moved.map_err(sessions::refusal)
    })
    .await?;
    progress.finish();
    render::say(&format!("{} is now on {}", sessions::label(moved.info()), render::tame(moved.node())));
    Ok(())
}

/// The id of a session that is new, for scripts.
pub(super) fn print_id(session: &SessionHandle) -> anyhow::Result<()> {
    render::print(&format!("{}\n", session.info().session))
}

fn show(progress: &Progress, what: &str, transfer: &Transfer) {
    progress.bytes(&format!("{what} the session"), transfer.done, Some(transfer.total));
}
