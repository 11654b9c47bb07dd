//! `potluck quota`: what each peer may use of this machine, and what it has used. A change counts at once.

use crate::quantity::{ByteSize, Fuel};
use crate::render::{self, Table};
use crate::{exit, settings};
use clap::Args;
use potluck_node::client::{Client, QuotaChange};
use potluck_node::wire::{PeerQuota, Share};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  potluck quota                                  what each peer has used, and may
  potluck quota attic --jobs 2 --stored 50G      a quota of its own
  potluck quota --fuel-per-day 500T              for every peer that has none of its own
  potluck quota attic --reset                    back to what holds for everyone
  potluck quota --json | jq '.peers[] | {name, jobs}'

Fuel is counted over 24 hours; a busy core burns about 700T in a day. The owner's own jobs have no quota.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct QuotaArgs {
    /// Its name or id; without one, everyone
    #[arg(value_name = "PEER")]
    peer: Option<String>,
    /// Jobs and turns that run at once
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Jobs and turns that wait
    #[arg(long, value_name = "N")]
    queue: Option<u32>,
    /// Bytes kept here: inputs, and sessions on disk
    #[arg(long, value_name = "SIZE")]
    stored: Option<ByteSize>,
    /// Fuel in 24 hours
    #[arg(long, value_name = "FUEL")]
    fuel_per_day: Option<Fuel>,
    /// Forget what was set before
    #[arg(long)]
    reset: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct QuotasObject {
    everyone: QuotaObject,
    peers: Vec<QuotaObject>,
}

#[derive(Serialize)]
struct QuotaObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    jobs: ShareObject,
    queue: ShareObject,
    stored_bytes: ShareObject,
    fuel: ShareObject,
}

#[derive(Serialize)]
struct ShareObject {
    used: u64,
    allowed: u64,
}

pub(crate) fn execute(args: &QuotaArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        if args.changes() {
            client.change_quota(args.peer.as_deref(), &args.change()).await?;
        }
        show(&client, args).await?;
        Ok(exit::SUCCESS)
    })
}

impl QuotaArgs {
    fn changes(&self) -> bool {
        self.reset || self.change() != QuotaChange::default()
    }

    fn change(&self) -> QuotaChange {
        QuotaChange {
            reset: self.reset,
            jobs: self.jobs,
            queue: self.queue,
            stored_bytes: self.stored.map(|size| size.0),
            fuel_per_day: self.fuel_per_day.map(|fuel| fuel.0),
        }
    }
}

async fn show(client: &Client, args: &QuotaArgs) -> anyhow::Result<()> {
    let (everyone, peers) = client.quotas(args.peer.as_deref()).await?;
    if args.json {
        let peers = peers.iter().map(|(name, quota)| QuotaObject::new(Some(name), quota)).collect();
        return render::print_json(&QuotasObject { everyone: QuotaObject::new(None, &everyone), peers });
    }
    let mut table = Table::new(&["peer", "id", "jobs", "waiting", "stored", "fuel in 24 h"]);
    let bytes = |bytes| ByteSize(bytes).to_string();
    let fuel = |fuel| Fuel(fuel).to_string();
    for (name, quota) in &peers {
        table.push(vec![
            name.clone(),
            quota.peer.short(),
            share(quota.jobs, |n| n.to_string()),
            share(quota.queue, |n| n.to_string()),
            share(quota.stored_bytes, bytes),
            share(quota.fuel, fuel),
        ]);
    }
    if args.peer.is_none() {
        table.push(vec![
            "(any other)".to_owned(),
            String::new(),
            everyone.jobs.allowed.to_string(),
            everyone.queue.allowed.to_string(),
            bytes(everyone.stored_bytes.allowed),
            fuel(everyone.fuel.allowed),
        ]);
    }
    render::print(&table.render())
}

fn share(share: Share, text: impl Fn(u64) -> String) -> String {
    format!("{} of {}", text(share.used), text(share.allowed))
}

impl QuotaObject {
    fn new(name: Option<&String>, quota: &PeerQuota) -> Self {
        let share = |Share { used, allowed }| ShareObject { used, allowed };
        Self {
            id: name.map(|_| quota.peer.to_string()),
            name: name.cloned(),
            jobs: share(quota.jobs),
            queue: share(quota.queue),
            stored_bytes: share(quota.stored_bytes),
            fuel: share(quota.fuel),
        }
    }
}
