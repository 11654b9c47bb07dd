//! `potluck session ls`: the sessions of this machine and of every peer in reach.

use crate::quantity::ByteSize;
use crate::render::{self, Table};
use crate::sessions;
use clap::Args;
use potluck_node::client::{Client, SessionFound, SessionsFound};
use potluck_node::wire::SessionState;
use potluck_runtime::Limits;
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  potluck session ls
  potluck session ls --json | jq -r '.sessions[] | select(.state == \"parked\") | .id'";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct LsArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The object of `ls --json`.
#[derive(Serialize)]
struct ListObject {
    sessions: Vec<SessionObject>,
    /// Names of peers that did not answer.
    unreachable: Vec<String>,
}

#[derive(Serialize)]
struct SessionObject {
    id: String,
    name: Option<String>,
    node: String,
    here: bool,
    environment: String,
    image: String,
    state: &'static str,
    turns: u64,
    created_unix: u64,
    used_unix: u64,
    memory_bytes: u64,
    /// Whose it is, where it is somebody else's.
    owner: Option<String>,
    limits: Limits,
}

pub(super) async fn execute(client: &Client, args: &LsArgs) -> anyhow::Result<()> {
    let found = client.sessions().await?;
    if args.json {
        return render::print_json(&ListObject::new(found));
    }
    for peer in &found.unreachable {
        render::say(&format!("{} did not answer; its sessions are not listed", render::tame(peer)));
    }
    if found.sessions.is_empty() {
        render::say("no sessions; `potluck session new` or `potluck shell --name NAME` opens one that stays");
        return Ok(());
    }
    render::print(&table(&found.sessions).render())
}

impl ListObject {
    fn new(found: SessionsFound) -> Self {
        let object = |SessionFound { node, peer, info }| SessionObject {
            id: info.session.to_string(),
            name: info.name,
            node,
            here: peer.is_none(),
            environment: info.environment,
            image: info.image,
            state: state(info.state),
            turns: info.turns,
            created_unix: info.created_unix,
            used_unix: info.used_unix,
            memory_bytes: info.memory_bytes,
            owner: info.owner,
            limits: info.limits,
        };
        Self { sessions: found.sessions.into_iter().map(object).collect(), unreachable: found.unreachable }
    }
}

fn table(found: &[SessionFound]) -> Table {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut table = Table::new(&["name", "id", "on", "state", "turns", "memory", "image", "used", "of"]);
    for SessionFound { node, info, .. } in found {
        table.push(vec![
            info.name.clone().unwrap_or_else(|| "-".to_owned()),
            sessions::short_id(info),
            node.clone(),
            state(info.state).to_owned(),
            info.turns.to_string(),
            ByteSize(info.memory_bytes).to_string(),
            info.image.clone(),
            render::age(now.saturating_sub(info.used_unix).saturating_mul(1000)),
            info.owner.clone().unwrap_or_else(|| "you".to_owned()),
        ]);
    }
    table
}

fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Busy => "busy",
        SessionState::Awake => "awake",
        SessionState::Parked => "parked",
    }
}
