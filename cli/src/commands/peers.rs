//! `potluck peers`: the machines of the group and what they say of themselves, and who belongs to it.

pub(super) mod keys;

use super::status::{NodeObject, RemarkObject};
use crate::gpus;
use crate::quantity::ByteSize;
use crate::render::{self, Table};
use crate::signals::EndRequests;
use crate::{exit, settings};
use clap::{Args, Subcommand};
use potluck_node::client::Client;
use potluck_node::wire::{DockerOffer, Lends, NodeInfo, PeerList, PeerState};
use serde::Serialize;
use std::io::IsTerminal;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  potluck peers
  potluck peers --watch
  potluck peers --json | jq -r '.peers[] | select(.online) | .name'
  potluck peers add 192.168.7.20:7420      where multicast is blocked
  potluck peers rm attic                   stop trusting a machine, here alone
  potluck peers pending                    who waits to be let in
  potluck peers approve desk               let that machine in
  potluck peers revoke attic               stop trusting a machine, here and for those who know it from here
  potluck peers accept-key attic           it was set up anew and has another key";
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
    /// Stop trusting a machine, here alone
    Rm {
        /// Its name or id
        #[arg(value_name = "PEER")]
        peer: String,
    },
    /// List the machines that wait to be let in
    Pending(keys::PendingArgs),
    /// Let a machine in that waits, or one that members have revoked
    Approve(keys::WhichArgs),
    /// Do not let a machine in that waits
    Deny(keys::WhichArgs),
    /// Stop trusting a machine at once, and tell the group
    Revoke(keys::RevokeArgs),
    /// Put the new key of a machine that was set up anew in the place of its old one
    AcceptKey(keys::AcceptKeyArgs),
}

#[derive(Serialize)]
struct PeersObject {
    me: NodeObject,
    peers: Vec<PeerObject>,
    pending: Vec<keys::PendingObject>,
    revoked: Vec<keys::RevokedObject>,
    remarks: Vec<RemarkObject>,
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
    remarks: Vec<RemarkObject>,
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
            Some(Change::Pending(args)) => keys::pending(&client, args).await?,
            Some(Change::Approve(args)) => keys::approve(&client, args).await?,
            Some(Change::Deny(args)) => keys::deny(&client, args).await?,
            Some(Change::Revoke(args)) => keys::revoke(&client, args).await?,
            Some(Change::AcceptKey(args)) => keys::accept_key(&client, args).await?,
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
            pending: list.pending.iter().map(keys::PendingObject::new).collect(),
            revoked: list.revoked.iter().map(keys::RevokedObject::new).collect(),
            remarks: list.remarks.iter().map(RemarkObject::new).collect(),
        });
    }
    let notes = notes(list);
    if list.peers.is_empty() && before.is_empty() {
        render::say("no peers yet; `potluck invite` makes a ticket for another machine, `potluck join` uses one");
        return render::print(&notes);
    }
    render::print(&format!("{before}{}{notes}", table(list).render()))
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
            remarks: peer.remarks.iter().map(RemarkObject::new).collect(),
        }
    }
}

/// What a person should know beside the table, a line each.
fn notes(list: &PeerList) -> String {
    let mut lines: Vec<String> = list.remarks.iter().map(|remark| remark.text.clone()).collect();
    for peer in &list.peers {
        lines.extend(peer.remarks.iter().map(|remark| format!("{}: {}", peer.name, remark.text)));
    }
    for peer in list.revoked.iter().filter(|peer| !peer.trusted) {
        let by = list.peers.iter().find(|other| other.id == peer.revoker).map(|other| other.name.as_str());
        let by = if peer.revoker == list.me.id { "this machine" } else { by.unwrap_or("a member") };
        lines.push(format!("{} ({}) was revoked by {by} and is not trusted here", peer.name, peer.id.short()));
    }
    match list.pending.len() {
        0 => {}
        1 => lines.push("one machine waits to be let in: `potluck peers pending`".to_owned()),
        count => lines.push(format!("{count} machines wait to be let in: `potluck peers pending`")),
    }
    lines.iter().map(|line| format!("{}\n", render::tame(line))).collect()
}

fn table(list: &PeerList) -> Table {
    let mut columns =
        vec!["name", "id", "address", "system", "cores", "free mem", "load", "gpu", "jobs", "lends", "engine", "seen"];
    // A column that most groups would see empty.
    let offers_containers = list.peers.iter().flat_map(|peer| &peer.info).any(|info| info.docker.is_some());
    if offers_containers {
        columns.push("docker");
    }
    let mut table = Table::new(&columns);
    for peer in &list.peers {
        let of = |text: fn(&NodeInfo) -> String| peer.info.as_ref().map_or("-".into(), text);
        let mut row = vec![
            peer.name.clone(),
            peer.id.short(),
            peer.address.map_or("-".into(), |address| address.to_string()),
            of(|info| format!("{}/{}", info.os, info.arch)),
            of(|info| info.cores.to_string()),
            of(|info| ByteSize(info.memory_free_bytes).to_string()),
            of(|info| format!("{:.2}", f64::from(info.load_milli) / 1000.0)),
            of(gpus::cell),
            of(|info| info.jobs_running.to_string()),
            of(lends),
            of(|info| info.engine.clone()),
            seen(peer),
        ];
        if offers_containers {
            row.push(of(|info| info.docker.as_ref().map_or("-".into(), images)));
        }
        table.push(row);
    }
    table
}

/// Images of which it runs containers now, or why of none.
fn images(offer: &DockerOffer) -> String {
    let there: Vec<String> =
        offer.images.iter().filter(|image| image.present).map(|image| image.image.to_string()).collect();
    match (&offer.engine, there.as_slice()) {
        (None, _) => "no engine".to_owned(),
        (Some(_), []) => "no image".to_owned(),
        (Some(_), there) => there.join(", "),
    }
}

/// How many jobs it lends places to, or why to none.
pub(super) fn lends(info: &NodeInfo) -> String {
    match &info.lends {
        Some(Lends { closed: Some(closed), .. }) => closed.replace('_', " "),
        Some(Lends { places, .. }) => places.to_string(),
        None => "-".to_owned(),
    }
}

fn seen(peer: &PeerState) -> String {
    match peer.last_seen_ms {
        _ if peer.online => "now".to_owned(),
        Some(milliseconds) => render::age(milliseconds),
        None => "never".to_owned(),
    }
}
