//! `potluck ledger`: who ran how much for whom, in fuel, which is the same on every machine; and receipts.

mod receipt;

use crate::quantity::{Fuel, Span};
use crate::render::{self, Table};
use crate::{exit, records, settings};
use clap::{Args, Subcommand};
use potluck_node::clock::Clock;
use potluck_node::store::jobs::ledger::{Account, Work};
use serde::Serialize;
use std::cmp::Ordering;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  potluck ledger                                 all that is known
  potluck ledger --since 30d                     by whole days, from that day on (UTC)
  potluck ledger --json | jq '.peers[] | {name, balance}'
  potluck ledger receipt 3fa9c1                  what the machine that ran a job has signed about it
  potluck ledger receipt 3fa9c1 --json > r.json
  potluck ledger receipt --verify r.json         checks a receipt, here or anywhere

A balance is what this machine ran for the peer less what the peer ran for it. A receipt proves who said what; what the peer \
says of fuel is its word, which another machine can check by running the job again.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Since so long ago
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show or check what was signed about a job
    Receipt(receipt::ReceiptArgs),
}

#[derive(Serialize)]
struct LedgerObject {
    peers: Vec<AccountObject>,
}

#[derive(Serialize)]
struct AccountObject {
    id: String,
    name: String,
    for_us: Work,
    for_them: Work,
    /// Fuel; negative: more was run there for us.
    balance: i128,
}

pub(crate) fn execute(args: &LedgerArgs) -> anyhow::Result<u8> {
    match &args.action {
        Some(Action::Receipt(args)) => receipt::execute(args),
        None => show(args),
    }
}

fn show(args: &LedgerArgs) -> anyhow::Result<u8> {
    let store = records::open(&settings::client()?)?;
    let now = Clock::system().unix_now_ms();
    let accounts = store.ledger(args.since.map(|since| now.saturating_sub(since.milliseconds())))?;
    if args.json {
        let peers = accounts.iter().map(AccountObject::new).collect();
        render::print_json(&LedgerObject { peers })?;
        return Ok(exit::SUCCESS);
    }
    let headings = ["peer", "id", "ran for us", "jobs", "time", "receipts", "we ran", "jobs", "time", "balance"];
    let mut table = Table::new(&headings);
    for account in &accounts {
        let Account { peer, name, for_us, for_them } = account;
        let time = |work: &Work| Span(Duration::from_millis(work.wall_ms)).to_string();
        table.push(vec![
            name.clone(),
            peer.short(),
            Fuel(for_us.fuel).to_string(),
            for_us.jobs.to_string(),
            time(for_us),
            receipts(for_us),
            Fuel(for_them.fuel).to_string(),
            for_them.jobs.to_string(),
            time(for_them),
            balance(account),
        ]);
    }
    render::print(&table.render())?;
    if accounts.is_empty() {
        render::say("nothing was run for a peer here, or by a peer for this machine");
    }
    Ok(exit::SUCCESS)
}

fn receipts(work: &Work) -> String {
    match work.wrong_receipts {
        _ if work.jobs == 0 => String::new(),
        0 if work.receipts == work.jobs => "all".to_owned(),
        0 => format!("{} of {}", work.receipts, work.jobs),
        wrong => format!("{} of {}, {wrong} WRONG", work.receipts, work.jobs),
    }
}

fn balance(account: &Account) -> String {
    let (us, them) = (account.for_us.fuel, account.for_them.fuel);
    match them.cmp(&us) {
        Ordering::Equal => "even".to_owned(),
        Ordering::Greater => format!("+{}", Fuel(them - us)),
        Ordering::Less => format!("-{}", Fuel(us - them)),
    }
}

impl AccountObject {
    fn new(account: &Account) -> Self {
        Self {
            id: account.peer.to_string(),
            name: account.name.clone(),
            for_us: account.for_us,
            for_them: account.for_them,
            balance: i128::from(account.for_them.fuel) - i128::from(account.for_us.fuel),
        }
    }
}
