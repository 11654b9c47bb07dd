//! `potluck run --dry-run`: what would be sent, and where the job would run. Nothing is sent.

use super::{Line, RunArgs, detached};
use crate::exit;
use crate::quantity::ByteSize;
use crate::reasons::MachineObject;
use crate::render::{self, Table, tame};
use crate::settings;
use potluck_node::client::{Client, LeftOut, Parcel, Wish};
use potluck_node::state::needs::Requirements;
use potluck_node::state::placement::{Needs, Place};
use potluck_node::wire::Rehearsed;
use serde::Serialize;

/// The object of `--json`.
#[derive(Serialize)]
struct RehearsalObject<'a> {
    files: Vec<FileObject<'a>>,
    bytes: u64,
    /// The machine it would go to; none when it would wait.
    place: Option<&'a str>,
    /// Machines that would not take it now, of a job that the node sees to.
    machines: Vec<MachineObject<'a>>,
    /// How much of the folders would stay behind.
    left_out: u64,
}

#[derive(Serialize)]
struct FileObject<'a> {
    path: &'a str,
    size: u64,
}

/// Says what would happen.
pub(super) async fn rehearse(args: &RunArgs, line: &Line) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let wanted = args.wish.resolved(&client, line.on.as_deref()).await?;
    let submission = args.program.submission(&client, &line.program, line.args.clone(), args.quiet).await?;
    let needs = submission.needs();
    let parcel = detached::parcel(&client, submission).await?;
    let rehearsed = rehearsed(args, &client, (&parcel, &needs), wanted).await?;
    let files = parcel.files();
    let bytes = files.iter().fold(0u64, |total, (_, size)| total.saturating_add(*size));
    if args.json {
        render::print_json(&RehearsalObject {
            files: files.iter().map(|(path, size)| FileObject { path, size: *size }).collect(),
            bytes,
            place: rehearsed.place.as_deref(),
            machines: rehearsed.lines.iter().map(MachineObject::from).collect(),
            left_out: parcel.left_out().count,
        })?;
    } else {
        tell(&files, bytes, &rehearsed)?;
        tell_left_out(parcel.left_out())?;
    }
    Ok(if rehearsed.place.is_some() { exit::SUCCESS } else { exit::FAILED })
}

fn tell(files: &[(String, u64)], bytes: u64, rehearsed: &Rehearsed) -> anyhow::Result<()> {
    let mut table = Table::new(&["would be sent", "size"]);
    for (name, size) in files {
        table.push(vec![name.clone(), ByteSize(*size).to_string()]);
    }
    let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    let mut text = format!("{}\n{count}, {} in all, ", table.render(), ByteSize(bytes));
    match &rehearsed.place {
        Some(place) => text.push_str(&format!("would go to {}\n", tame(place))),
        None => {
            text.push_str("would wait, because no machine fits now:\n");
            rehearsed.lines.iter().for_each(|line| text.push_str(&format!("  {}\n", MachineObject::from(line))));
        }
    }
    render::print(&text)
}

/// Where it would go: by the rules of the node for what the node sees to, and by those of a job in the foreground otherwise.
async fn rehearsed(
    args: &RunArgs,
    client: &Client,
    (parcel, needs): (&Parcel, &Needs),
    (wish, requirements): (Wish, Requirements),
) -> anyhow::Result<Rehearsed> {
    // What offers the image of a container is for the rules of the node to say, machine by machine.
    let is_contained = needs.container.is_some();
    if args.detach || args.wish.typed().is_some() || wish.on.len() > 1 || is_contained {
        return Ok(client.rehearse(parcel, &requirements).await?);
    }
    let place = match requirements.on.first() {
        Some(place) => *place,
        None => {
            let placement = client.placement(needs).await.map_err(super::refusal)?;
            placement.order.first().copied().unwrap_or(Place::Here)
        }
    };
    Ok(Rehearsed { place: Some(called(client, place).await?), lines: Vec::new() })
}

/// What a machine is called.
async fn called(client: &Client, place: Place) -> anyhow::Result<String> {
    let Place::Peer(peer) = place else { return Ok("this machine".to_owned()) };
    let list = client.peers().await?;
    let name = list.peers.into_iter().find(|known| known.id == peer).map(|known| known.name);
    Ok(name.unwrap_or_else(|| peer.short()))
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
