//! Who belongs to the group: `potluck peers pending`, `approve`, `deny`, `revoke` and `accept-key`.

use crate::render::{self, Table};
use anyhow::Context;
use clap::Args;
use potluck_node::client::Client;
use potluck_node::wire::{PendingPeer, RevokedPeer};
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const PENDING_EXAMPLES: &str = "\
Examples:
  potluck peers pending
  potluck peers pending --json | jq -r '.pending[].id'
  potluck peers approve desk

A machine waits here when it has used a ticket of this machine that was made without --approved, or, where the setting
`vouched` is `ask`, when a peer vouches for it. Until it is let in it can do nothing here. After seven days it is forgotten.";
const WHICH_EXAMPLES: &str = "\
Examples:
  potluck peers approve desk
  potluck peers approve abcdefgh         by the id that `potluck peers pending` shows
  potluck peers deny desk";
const REVOKE_EXAMPLES: &str = "\
Examples:
  potluck peers revoke attic
  potluck peers revoke attic --yes       without asking

Its connections, jobs and sessions here end at once. The word is signed and goes to the others: whoever trusts that machine
only because this one let it in stops trusting it too, and the rest are told. Tickets that were not used yet are withdrawn,
as that machine may hold one. `potluck peers approve` takes the word back.";
const ACCEPT_KEY_EXAMPLES: &str = "\
Examples:
  potluck peers accept-key attic
  potluck peers accept-key attic ijklmnop     when several keys have shown themselves for it

The new key must have shown itself with a ticket (`potluck invite`). The old one is revoked.";

#[derive(Args, Debug)]
#[command(after_help = PENDING_EXAMPLES)]
pub(super) struct PendingArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = WHICH_EXAMPLES)]
pub(super) struct WhichArgs {
    /// Its name or id
    #[arg(value_name = "PEER")]
    peer: String,
}

#[derive(Args, Debug)]
#[command(after_help = REVOKE_EXAMPLES)]
pub(super) struct RevokeArgs {
    /// Its name or id
    #[arg(value_name = "PEER")]
    peer: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Args, Debug)]
#[command(after_help = ACCEPT_KEY_EXAMPLES)]
pub(super) struct AcceptKeyArgs {
    /// The name or id of the machine
    #[arg(value_name = "PEER")]
    peer: String,
    /// The id of the new key, where several have shown themselves
    #[arg(value_name = "KEY")]
    key: Option<String>,
}

#[derive(Serialize)]
struct Pending {
    pending: Vec<PendingObject>,
}

/// A machine that waits, in JSON.
#[derive(Serialize)]
pub(super) struct PendingObject {
    id: String,
    short_id: String,
    fingerprint: String,
    name: String,
    addresses: Vec<String>,
    since_unix: u64,
    vouched_by: Option<String>,
    replaces: Option<String>,
}

/// A machine that a member has revoked, in JSON.
#[derive(Serialize)]
pub(super) struct RevokedObject {
    id: String,
    short_id: String,
    name: String,
    revoked_by: String,
    trusted: bool,
}

impl PendingObject {
    pub(super) fn new(peer: &PendingPeer) -> Self {
        Self {
            id: peer.id.to_string(),
            short_id: peer.id.short(),
            fingerprint: peer.id.fingerprint(),
            name: peer.name.clone(),
            addresses: peer.addresses.iter().map(ToString::to_string).collect(),
            since_unix: peer.since_unix,
            vouched_by: peer.vouched_by.map(|id| id.to_string()),
            replaces: peer.replaces.map(|id| id.to_string()),
        }
    }
}

impl RevokedObject {
    pub(super) fn new(peer: &RevokedPeer) -> Self {
        Self {
            id: peer.id.to_string(),
            short_id: peer.id.short(),
            name: peer.name.clone(),
            revoked_by: peer.revoker.to_string(),
            trusted: peer.trusted,
        }
    }
}

pub(super) async fn pending(client: &Client, args: &PendingArgs) -> anyhow::Result<()> {
    let pending = client.pending().await?;
    if args.json {
        return render::print_json(&Pending { pending: pending.iter().map(PendingObject::new).collect() });
    }
    if pending.is_empty() {
        render::say("nobody waits to be let in");
        return Ok(());
    }
    render::print(&table(&pending).render())?;
    let first = &pending[0];
    render::say(&format!(
        "compare the fingerprint with what `potluck whoami` says there, then `potluck peers approve {}` or `potluck peers \
         deny {}`",
        first.id.short(),
        first.id.short()
    ));
    for peer in pending.iter().filter(|peer| peer.replaces.is_some()) {
        render::say(&format!("{} is known by another key: {}", peer.name, changed_key(peer)));
    }
    Ok(())
}

fn table(pending: &[PendingPeer]) -> Table {
    let mut table = Table::new(&["name", "id", "address", "since", "by", "fingerprint"]);
    for peer in pending {
        table.push(vec![
            peer.name.clone(),
            peer.id.short(),
            peer.addresses.first().map_or("-".into(), ToString::to_string),
            since(peer.since_unix),
            peer.vouched_by.map_or("ticket".into(), |by| by.short()),
            peer.id.fingerprint(),
        ]);
    }
    table
}

/// What to do about a key in whose place another was known.
pub(crate) fn changed_key(peer: &PendingPeer) -> String {
    let old = peer.replaces.unwrap_or(peer.id).short();
    format!(
        "if that machine was set up anew, `potluck peers accept-key {old}` replaces the key; otherwise this is somebody \
         else, whom `potluck peers approve {}` lets in beside it",
        peer.id.short()
    )
}

/// How long ago by this machine's clock.
pub(crate) fn since(unix: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    render::age(now.saturating_sub(unix).saturating_mul(1000))
}

pub(super) async fn approve(client: &Client, args: &WhichArgs) -> anyhow::Result<()> {
    let peer = client.approve(&args.peer).await?;
    render::say(&format!("{} ({}) is trusted now", render::tame(&peer.name), peer.id.short()));
    Ok(())
}

pub(super) async fn deny(client: &Client, args: &WhichArgs) -> anyhow::Result<()> {
    let peer = client.deny(&args.peer).await?;
    render::say(&format!("{} ({}) is not let in", render::tame(&peer.name), peer.id.short()));
    Ok(())
}

pub(super) async fn revoke(client: &Client, args: &RevokeArgs) -> anyhow::Result<()> {
    let asks = !args.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if asks && !confirmed(&format!("End everything {} does here, and tell the group?", args.peer))? {
        render::say("nothing was changed");
        return Ok(());
    }
    let peer = client.revoke(&args.peer).await?;
    let told = match client.daemon_runs() {
        true => "the others are told",
        false => "the others are told when the node runs (`potluck up -d`)",
    };
    render::say(&format!("{} ({}) is revoked; {told}", render::tame(&peer.name), peer.id.short()));
    Ok(())
}

pub(super) async fn accept_key(client: &Client, args: &AcceptKeyArgs) -> anyhow::Result<()> {
    let peer = client.accept_key(&args.peer, args.key.as_deref()).await?;
    let name = render::tame(&peer.name);
    render::say(&format!("{name} has the key {} now; its old key is revoked", peer.id.short()));
    Ok(())
}

/// Asks a person at the terminal; anything but yes is no.
pub(crate) fn confirmed(question: &str) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{} [y/N] ", render::tame(question)).and_then(|()| stderr.flush()).context("cannot ask")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the answer")?;
    Ok(is_yes(&line))
}

/// Whether a typed line says yes.
pub(crate) fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
