//! `potluck cache`: what takes room on the disk, by kind, and freeing some of it.

use crate::quantity::{ByteSize, Span};
use crate::render::{self, Table};
use crate::{exit, settings};
use anyhow::Context;
use clap::{Args, Subcommand};
use potluck_node::client::Client;
use potluck_node::store::cache::{Bounds, Collected, Item, Kind, collect, contents, would_collect};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  potluck cache ls                               what takes room, by kind
  potluck cache ls --items                       one by one, the largest first
  potluck cache gc                               down to the setting cache_bytes_max
  potluck cache gc --max 2G --older-than 7d      to less, and nothing that was not used for a week
  potluck cache gc --max 0 --dry-run             what would go, without removing it

Code, images, blobs and packages go, the least recently used first, and never while they are in use; they are made or sent again when \
they are needed. Environments stay until `potluck env rm`, sessions until `potluck session stop`, records until `potluck rm`.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what takes room
    Ls {
        /// One by one
        #[arg(long)]
        items: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove what was not used for longest
    Gc {
        /// Bytes that may stay [default: the setting cache_bytes_max]
        #[arg(long, value_name = "SIZE")]
        max: Option<ByteSize>,
        /// Also what was last used longer ago
        #[arg(long, value_name = "TIME")]
        older_than: Option<Span>,
        /// Remove nothing
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct ListObject {
    cache_bytes_max: u64,
    kinds: Vec<KindObject>,
    items: Vec<ItemObject>,
}

#[derive(Serialize)]
struct KindObject {
    kind: &'static str,
    items: usize,
    bytes: u64,
    in_use: usize,
    used_unix: Option<u64>,
    may_go: bool,
}

#[derive(Serialize)]
struct ItemObject {
    kind: &'static str,
    name: String,
    bytes: u64,
    used_unix: Option<u64>,
    in_use: bool,
}

#[derive(Serialize)]
struct CollectedObject {
    dry_run: bool,
    freed_bytes: u64,
    removed: Vec<ItemObject>,
    kept_in_use: Vec<ItemObject>,
}

pub(crate) fn execute(args: CacheArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    match args.action {
        Action::Ls { items, json } => list(&client, items, json)?,
        Action::Gc { max, older_than, dry_run, json } => {
            let bytes_max = max.map_or(client.config().cache_bytes_max, |max| max.0);
            let bounds = Bounds { bytes_max, age_max: older_than.map(|span| span.0) };
            let go = if dry_run { would_collect } else { collect };
            let collected = go(client.paths(), bounds).context("cannot look after the cache")?;
            report(&collected, dry_run, json)?;
        }
    }
    Ok(exit::SUCCESS)
}

fn list(client: &Client, one_by_one: bool, json: bool) -> anyhow::Result<()> {
    let mut items = contents(client.paths()).context("cannot list the cache")?;
    items.sort_by_key(|item| std::cmp::Reverse(item.bytes));
    let kinds: Vec<KindObject> = Kind::ALL.into_iter().map(|kind| KindObject::of(kind, &items)).collect();
    let cache_bytes_max = client.config().cache_bytes_max;
    if json {
        let items = items.iter().map(ItemObject::new).collect();
        return render::print_json(&ListObject { cache_bytes_max, kinds, items });
    }
    if one_by_one {
        let mut table = Table::new(&["kind", "size", "last use", "in use", "name"]);
        for item in &items {
            let in_use = if item.in_use { "yes" } else { "" };
            let size = ByteSize(item.bytes).to_string();
            let row = [item.kind.word(), &size, &ago(item.used), in_use, &item.name];
            table.push(row.map(str::to_owned).to_vec());
        }
        return render::print(&table.render());
    }
    let mut table = Table::new(&["kind", "items", "size", "last use", "in use"]);
    for kind in &kinds {
        let used = kind.used_unix.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        let in_use = if kind.may_go { kind.in_use.to_string() } else { "stays".to_owned() };
        let size = ByteSize(kind.bytes).to_string();
        table.push(vec![kind.kind.to_owned(), kind.items.to_string(), size, ago(used), in_use]);
    }
    let may_go: u64 = kinds.iter().filter(|kind| kind.may_go).map(|kind| kind.bytes).sum();
    let (may_go, bound) = (ByteSize(may_go), ByteSize(cache_bytes_max));
    let sum = format!("what may go takes {may_go}, and may take {bound} (`potluck config set cache_bytes_max`)\n");
    render::print(&(table.render() + &sum))
}

fn report(collected: &Collected, dry_run: bool, json: bool) -> anyhow::Result<()> {
    let Collected { removed, in_use } = collected;
    let freed_bytes = removed.iter().map(|item| item.bytes).sum();
    if json {
        let objects = |items: &[Item]| items.iter().map(ItemObject::new).collect();
        let object = CollectedObject { dry_run, freed_bytes, removed: objects(removed), kept_in_use: objects(in_use) };
        return render::print_json(&object);
    }
    for item in removed.iter().filter(|_| dry_run) {
        render::print(&format!("{} {} {}\n", item.kind.word(), item.name, ByteSize(item.bytes)))?;
    }
    let verb = if dry_run { "would be freed" } else { "freed" };
    let counts: Vec<String> = Kind::ALL
        .into_iter()
        .map(|kind| (kind, removed.iter().filter(|item| item.kind == kind).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.word()))
        .collect();
    let of = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    render::say(&format!("{} {verb}{of}", ByteSize(freed_bytes)));
    if !in_use.is_empty() {
        let bytes = ByteSize(in_use.iter().map(|item| item.bytes).sum());
        render::say(&format!("{bytes} stay because they are in use"));
    }
    Ok(())
}

fn ago(used: Option<SystemTime>) -> String {
    let elapsed = used.and_then(|used| used.elapsed().ok());
    elapsed.map_or_else(String::new, |elapsed| render::age(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
}

fn unix(time: Option<SystemTime>) -> Option<u64> {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs())
}

impl KindObject {
    fn of(kind: Kind, items: &[Item]) -> Self {
        let items: Vec<&Item> = items.iter().filter(|item| item.kind == kind).collect();
        Self {
            kind: kind.word(),
            items: items.len(),
            bytes: items.iter().map(|item| item.bytes).sum(),
            in_use: items.iter().filter(|item| item.in_use).count(),
            used_unix: items.iter().filter_map(|item| unix(item.used)).max(),
            may_go: kind.may_go(),
        }
    }
}

impl ItemObject {
    fn new(item: &Item) -> Self {
        Self {
            kind: item.kind.word(),
            name: item.name.clone(),
            bytes: item.bytes,
            used_unix: unix(item.used),
            in_use: item.in_use,
        }
    }
}
