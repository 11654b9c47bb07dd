//! `potluck peers`: the machines of the group and what they say of themselves.

use super::status::NodeObject;
use crate::quantity::ByteSize;
use crate::render::{self, Table};
use crate::signals::EndRequests;
use crate::{exit, settings};
use clap::{Args, Subcommand};
use potluck_node::client::Client;
use potluck_node::wire::{PeerList, PeerState};
use serde::Serialize;
use std::io::IsTerminal;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  potluck peers
  potluck peers --watch
  potluck peers --json | jq -r '.peers[] | select(.online) | .name'
  potluck peers add 192.168.7.20:7420      where multicast is blocked
  potluck peers rm attic                   stop trusting a machine";
/// How often `--watch` looks again.
const WATCH_PERIOD: Duration = Duration::from_secs(1);
/// Cursor to the top left, then erase to the end of the screen.
const REDRAW: &str = "\x1b[H\x1b[J";
/// Another screen than the one with the user's work, without a cursor; and back.
const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN: &str = "\x1b[?25h\x1b[?1049l";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct PeersArgs {
    #[command(subcommand)]
    change: Option<Change>,
    /// Print one JSON object; with --watch one on each line
    #[arg(long)]
    json: bool,
    /// Look again every second until Ctrl-C
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Look for a machine of the group at an address
    Add {
        /// Where it listens
        #[arg(value_name = "HOST:PORT")]
        address: String,
    },
    /// Stop trusting a machine
    Rm {
        /// Its name or id
        #[arg(value_name = "PEER")]
        peer: String,
    },
}

#[derive(Serialize)]
struct PeersObject {
    me: NodeObject,
    peers: Vec<PeerObject>,
}

#[derive(Serialize)]
struct PeerObject {
    id: String,
    short_id: String,
    name: String,
    address: Option<String>,
    online: bool,
    last_seen_ms: Option<u64>,
    info: Option<NodeObject>,
}

pub(crate) fn execute(args: PeersArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        match &args.change {
            Some(Change::Add { address }) => {
                let found = client.add_peer(address).await?;
                render::say(&match found.id {
                    Some(id) => format!("found {} ({}) at {address}", render::tame(&found.name), id.short()),
                    None => format!("found a peer at {address}"),
                });
            }
            Some(Change::Rm { peer }) => {
                let id = client.remove_peer(peer).await?;
                render::say(&format!("{peer} ({}) is no longer trusted here", id.short()));
            }
            None if args.watch => watch(&client, &args).await?,
            None => {
                let list = client.peers().await?;
                show(&list, args.json, "")?;
            }
        }
        Ok(exit::SUCCESS)
    })
}

async fn watch(client: &Client, args: &PeersArgs) -> anyhow::Result<()> {
    let mut requests = EndRequests::listen()?;
    let redraws = !args.json && std::io::stdout().is_terminal();
    if redraws {
        render::print(ENTER_SCREEN)?;
    }
    let result = watch_until(client, args, &mut requests, if redraws { REDRAW } else { "" }).await;
    if redraws {
        render::print(LEAVE_SCREEN)?;
    }
    result
}

async fn watch_until(
    client: &Client,
    args: &PeersArgs,
    requests: &mut EndRequests,
    before: &str,
) -> anyhow::Result<()> {
    loop {
        let list = tokio::select! {
            list = client.peers() => list?,
            () = requests.next() => return Ok(()),
        };
        show(&list, args.json, before)?;
        tokio::select! {
            () = tokio::time::sleep(WATCH_PERIOD) => {}
            () = requests.next() => return Ok(()),
        }
    }
}

fn show(list: &PeerList, json: bool, before: &str) -> anyhow::Result<()> {
    if json {
        let peers = list.peers.iter().map(PeerObject::new).collect();
        return render::print_json(&PeersObject {
            me: NodeObject::new(&list.me, !list.me.addresses.is_empty()),
            peers,
        });
    }
    if list.peers.is_empty() && before.is_empty() {
        render::say("no peers yet; `potluck invite` makes a ticket for another machine, `potluck join` uses one");
        return Ok(());
    }
    render::print(&format!("{before}{}", table(list).render()))
}

impl PeerObject {
    fn new(peer: &PeerState) -> Self {
        Self {
            id: peer.id.to_string(),
            short_id: peer.id.short(),
            name: peer.name.clone(),
            address: peer.address.map(|address| address.to_string()),
            online: peer.online,
            last_seen_ms: peer.last_seen_ms,
            info: peer.info.as_ref().map(|info| NodeObject::new(info, peer.online)),
        }
    }
}

fn table(list: &PeerList) -> Table {
    let mut table =
        Table::new(&["name", "id", "address", "system", "cores", "free mem", "load", "gpu", "jobs", "engine", "seen"]);
    for peer in &list.peers {
        let of = |text: fn(&potluck_node::wire::NodeInfo) -> String| peer.info.as_ref().map_or("-".into(), text);
        table.push(vec![
            peer.name.clone(),
            peer.id.short(),
            peer.address.map_or("-".into(), |address| address.to_string()),
            of(|info| format!("{}/{}", info.os, info.arch)),
            of(|info| info.cores.to_string()),
            of(|info| ByteSize(info.memory_free_bytes).to_string()),
            of(|info| format!("{:.2}", f64::from(info.load_milli) / 1000.0)),
            of(|info| if info.gpus.is_empty() { "-".into() } else { info.gpus.join(", ") }),
            of(|info| info.jobs_running.to_string()),
            of(|info| info.engine.clone()),
            seen(peer),
        ]);
    }
    table
}

fn seen(peer: &PeerState) -> String {
    match peer.last_seen_ms {
        _ if peer.online => "now".to_owned(),
        Some(milliseconds) => render::age(milliseconds),
        None => "never".to_owned(),
    }
}
