//! `potluck run --dry-run`: what would be sent, and where the job would run. Nothing is sent.

use super::{Line, RunArgs, detached};
use crate::exit;
use crate::quantity::ByteSize;
use crate::render::{self, Table};
use crate::settings;
use potluck_node::client::{Client, LeftOut};
use potluck_node::state::placement::{Needs, Place};

/// Says what would happen.
pub(super) async fn rehearse(args: &RunArgs, line: &Line) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let wish = args.wish.wish(line.on.as_deref())?;
    let submission = args.program.submission(&client, &line.program, line.args.clone())?;
    let parcel = detached::parcel(&client, submission).await?;
    let files = parcel.files();
    let mut table = Table::new(&["would be sent", "size"]);
    for (name, size) in &files {
        table.push(vec![name.clone(), ByteSize(*size).to_string()]);
    }
    let total = files.iter().fold(0u64, |total, (_, size)| total.saturating_add(*size));
    let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    let place = if wish.on.is_empty() {
        let memory_bytes = args.program.memory_bytes().max(wish.needs.memory_bytes);
        chosen(&client, Needs { memory_bytes }).await?
    } else {
        // Names that mean nobody are said now and not when it is given.
        client.requirements(&wish).await?;
        wish.on.join(" or ")
    };
    render::print(&format!("{}\n{count}, {} in all, would go to {place}\n", table.render(), ByteSize(total)))?;
    tell_left_out(parcel.left_out())?;
    if args.wish.typed().is_some() {
        render::say("what else it needs is weighed when it is given; `potluck why ID` explains that then");
    }
    Ok(exit::SUCCESS)
}

/// What of folders would stay behind.
fn tell_left_out(left_out: &LeftOut) -> anyhow::Result<()> {
    if left_out.count == 0 {
        return Ok(());
    }
    let mut text = "left out (`--all-files` sends it too):\n".to_owned();
    for place in &left_out.places {
        text.push_str(&format!("  {}\n", render::tame(place)));
    }
    let more = left_out.count.saturating_sub(left_out.places.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    render::print(&text)
}

/// The machine that would be chosen now.
async fn chosen(client: &Client, needs: Needs) -> anyhow::Result<String> {
    let placement = client.placement(needs).await.map_err(super::refusal)?;
    Ok(match placement.order.first() {
        None | Some(Place::Here) => "this machine".to_owned(),
        Some(Place::Peer(peer)) => {
            let list = client.peers().await?;
            let name = list.peers.iter().find(|known| known.id == *peer).map(|known| known.name.clone());
            name.unwrap_or_else(|| peer.short())
        }
    })
}
