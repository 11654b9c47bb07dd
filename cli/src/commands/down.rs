//! `potluck down`: the node says goodbye, its jobs end, and the command returns when it is gone.

use crate::{exit, render, settings};
use clap::Args;

const EXAMPLES: &str = "Examples:\n  potluck down";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DownArgs {}

pub(crate) fn execute(_args: &DownArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        client.shutdown().await?;
        Ok(())
    })?;
    render::say("the node is down");
    Ok(exit::SUCCESS)
}
