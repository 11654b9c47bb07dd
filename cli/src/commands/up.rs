//! `potluck up`: this machine's node, in the foreground or in the background.

use crate::signals::EndRequests;
use crate::{background, exit, render, settings};
use anyhow::Context;
use clap::Args;
use potluck_node::Node;
use potluck_node::client::Client;
use potluck_node::node::running;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  potluck up -d                 in the background; `potluck down` stops it
  potluck up                    here, until Ctrl-C; the log goes to stderr
  POTLUCK_LOG=debug potluck up";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpArgs {
    /// Go on in the background
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// This is the process in the background
    #[arg(long = "in-background", hide = true)]
    in_background: bool,
}

pub(crate) fn execute(args: &UpArgs) -> anyhow::Result<u8> {
    if args.in_background {
        background::leave_terminal();
    }
    let client = settings::client()?;
    if let Some(node) = running(client.paths()) {
        anyhow::bail!("a node is already running here (process {}); stop it with `potluck down`", node.pid);
    }
    if args.detach {
        detach(&client)?;
    } else {
        let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        executor.context("cannot start the event loop")?.block_on(serve(&client))?;
    }
    Ok(exit::SUCCESS)
}

/// Starts the node in the background and says where its log is; also a step of `potluck setup`.
pub(super) fn detach(client: &Client) -> anyhow::Result<()> {
    let log = settings::block_on(background::start(client))?;
    render::say(&format!("{} is up; its log is {}", client.config().name, log.display()));
    Ok(())
}

async fn serve(client: &Client) -> anyhow::Result<()> {
    let mut requests = EndRequests::listen()?;
    let config = client.config().clone();
    client.paths().create()?;
    let jobs = client.job_service()?;
    let name = config.name.clone();
    let node = Node::start(client.paths(), config, Arc::new(jobs)).await?;
    render::say(&format!("{name} ({}) is up on UDP port {}", node.id().short(), node.port()));
    tokio::select! {
        () = node.wait() => {}
        () = requests.next() => {}
    }
    tokio::select! {
        () = node.shutdown() => {}
        // Asked twice, it leaves at once; workers end with their parent.
        () = requests.next() => {}
    }
    Ok(())
}
