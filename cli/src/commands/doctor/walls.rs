//! The second wall: what this machine has to confine a guest that broke out of WebAssembly, and the proof that it holds.

use super::Check;
use crate::{exit, render};
use potluck_node::client::Client;
use potluck_runtime::{Proof, Wall, missing_walls};

/// Whether the parts of the wall are there.
pub(super) fn walls() -> Vec<Check> {
    let missing = missing_walls();
    let check = |wall: Wall| {
        if missing.contains(&wall) {
            Check::warn(wall.name(), "not on this machine", wall.advice())
        } else {
            Check::ok(wall.name(), "confines each worker; `potluck doctor --walls` proves it")
        }
    };
    Wall::ALL.map(check).into()
}

/// Has a worker try each thing it must not be able to do.
pub(super) async fn prove(client: &Client, json: bool) -> anyhow::Result<u8> {
    let proofs = client.runtime()?.prove_walls().await?;
    if json {
        render::print_json(&proofs)?;
    } else {
        render::print(&proofs.iter().map(describe).collect::<String>())?;
    }
    let through = proofs.iter().filter(|proof| !proof.denied).count();
    if through > 0 {
        render::say(&format!("{through} of {} attempts were not stopped; `potluck doctor` says why", proofs.len()));
        return Ok(exit::UNWELL);
    }
    render::say(&format!("all {} attempts of a confined worker were stopped", proofs.len()));
    Ok(exit::SUCCESS)
}

fn describe(proof: &Proof) -> String {
    let mark = if proof.denied { "denied " } else { "ALLOWED" };
    format!("{mark}  {:<46}  {}\n", proof.attempt, render::tame(&proof.how))
}
