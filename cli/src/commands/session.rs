//! `potluck session`: interpreters that stay, and what can be done with them.

mod listing;
pub(crate) mod opening;

mod turn;

mod keeping;

use super::run::line;
use super::shell;
use crate::exit::{self, Refusal, Trouble};
use crate::limits::TurnLimitArgs;
use crate::signals::EndRequests;
use crate::{render, sessions, settings};
use clap::{Args, Subcommand};
use opening::{Life, OpeningArgs};
use potluck_node::client::{Client, SessionHandle};
use std::future::Future;

const EXAMPLES: &str = "\
Examples:
  potluck session new --name work --image data         a session with pandas imported, on this machine
  potluck session run work 'x = 1'                     a turn; variables stay
  potluck session attach work                          a prompt over it
  potluck session ls
  potluck session move work attic                      goes on there, with variables and files
  potluck session stop work

A session stays until it is stopped; one that nobody uses for a while is parked and wakes with its next turn.";
const NEW_EXAMPLES: &str = "\
Examples:
  potluck session new --name work
  potluck session new --on attic --image science -f data.csv --memory 4G
  id=$(potluck session new)

Fuel, time and output are for each turn; memory and disk are for the session.";
const ATTACH_EXAMPLES: &str = "\
Examples:
  potluck session attach work
  potluck session attach 3f9c --on attic --timeout 1h";
const STOP_EXAMPLES: &str = "\
Examples:
  potluck session stop work 3f9c
  potluck session stop --all";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SessionArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List sessions, here and on every peer in reach
    Ls(listing::LsArgs),
    /// Open a session and print its id
    New(NewArgs),
    /// Open a prompt over a session
    Attach(AttachArgs),
    /// Run code in a session
    Run(turn::RunArgs),
    /// Save a session's state in a file; the session goes on
    Save(keeping::SaveArgs),
    /// Open a session from a saved state and print its id
    Restore(keeping::RestoreArgs),
    /// Make a second session out of one, as it is now, and print its id
    Fork(keeping::ForkArgs),
    /// Take a session to another machine
    Move(keeping::MoveArgs),
    /// End sessions
    Stop(StopArgs),
}

#[derive(Args, Debug)]
#[command(after_help = NEW_EXAMPLES)]
struct NewArgs {
    #[command(flatten)]
    opening: OpeningArgs,
}

#[derive(Args, Debug)]
#[command(after_help = ATTACH_EXAMPLES)]
struct AttachArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    limits: TurnLimitArgs,
}

#[derive(Args, Debug)]
#[command(after_help = STOP_EXAMPLES)]
struct StopArgs {
    /// Each by its name, its id, or the beginning of its id
    #[arg(value_name = "SESSION", required_unless_present = "all", conflicts_with = "all")]
    sessions: Vec<String>,
    /// The machine they are on [default: every machine in reach is asked]
    #[arg(long, value_name = "PEER|local", value_parser = line::machine, conflicts_with = "all")]
    on: Option<String>,
    /// Every session of yours in reach
    #[arg(long)]
    all: bool,
}

// One session. No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Debug)]
struct WhichArgs {
    /// Its name, its id, or the beginning of its id
    #[arg(value_name = "SESSION")]
    session: String,
    /// The machine it is on [default: every machine in reach is asked]
    #[arg(long, value_name = "PEER|local", value_parser = line::machine)]
    on: Option<String>,
}

impl WhichArgs {
    async fn find(&self, client: &Client) -> anyhow::Result<SessionHandle> {
        find(client, self.on.as_deref(), &self.session).await
    }
}

pub(crate) fn execute(args: SessionArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        match args.action {
            Action::Ls(args) => listing::execute(&client, &args).await?,
            Action::New(args) => {
                let mut requests = EndRequests::listen()?;
                let session = args.opening.open(&client, None, Life::Lasting, &mut requests).await?;
                keeping::print_id(&session)?;
            }
            Action::Attach(args) => return shell::attach(&client, args.which.find(&client), args.limits).await,
            Action::Run(args) => return turn::execute(&client, args).await,
            Action::Save(args) => keeping::save(&client, args).await?,
            Action::Restore(args) => keeping::restore(&client, args).await?,
            Action::Fork(args) => keeping::fork(&client, args).await?,
            Action::Move(args) => keeping::move_session(&client, args).await?,
            Action::Stop(args) => return stop(&client, args).await,
        }
        Ok(exit::SUCCESS)
    })
}

/// Ends each; one that cannot be ended does not keep the others alive.
async fn stop(client: &Client, args: StopArgs) -> anyhow::Result<u8> {
    let (on, which) = if args.all { (None, all_of_ours(client).await?) } else { (args.on, args.sessions) };
    let mut code = exit::SUCCESS;
    for session in which {
        let stopped = async {
            let session = find(client, on.as_deref(), &session).await?;
            session.stop().await.map_err(sessions::refusal)?;
            anyhow::Ok(sessions::label(session.info()))
        };
        match stopped.await {
            Ok(label) => render::say(&format!("{label} has ended")),
            Err(error) => {
                render::say(&render::sentence(&error));
                code = exit::FAILED;
            }
        }
    }
    Ok(code)
}

async fn all_of_ours(client: &Client) -> anyhow::Result<Vec<String>> {
    let found = client.sessions().await?;
    for peer in &found.unreachable {
        render::say(&format!("{} did not answer; sessions there go on", render::tame(peer)));
    }
    let ours = found.sessions.into_iter().filter(|found| found.info.owner.is_none());
    Ok(ours.map(|found| found.info.session.to_string()).collect())
}

async fn find(client: &Client, on: Option<&str>, which: &str) -> anyhow::Result<SessionHandle> {
    client.session(on, which).await.map_err(sessions::refusal)
}

/// The work, unless the user gives up on it.
async fn unless_cancelled<T>(said: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut requests = EndRequests::listen()?;
    tokio::select! {
        done = work => done,
        () = requests.next() => Err(Refusal::error(Trouble::Cancelled, said)),
    }
}
