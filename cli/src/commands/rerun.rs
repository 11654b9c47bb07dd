//! `potluck rerun`: a job again, as it was given, under a new id.

use super::run::detached::{hand_over, print};
use crate::job_ids::JobIds;
use crate::signals::EndRequests;
use crate::wishes::WishArgs;
use crate::{background, exit, settings};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  potluck rerun 3fa9c1                           prints the new job's id
  potluck rerun 3fa9c1 --avoid attic

Program, arguments, limits and inputs are those of before, however the files on this machine have changed since, and so is what
it wanted of its home and of machines, but for what is said anew: `--on any` takes an `--on` back.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RerunArgs {
    /// Which job, by any beginning of its id that is its alone
    #[arg(value_name = "ID")]
    id: String,
    /// The only machines that may run it, with commas between them [default: as before]
    #[arg(long, value_name = "WHO")]
    on: Option<String>,
    #[command(flatten)]
    wish: WishArgs,
    /// Print one JSON object with the new id
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &RerunArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let before = ids.find(&args.id).await?;
        let priority = ids.record(before)?.map_or(0, |record| record.priority);
        let (parcel, wanted) = client.parcel_again(ids.store(), before)?;
        background::ensure(&client, false).await?;
        let (on, typed) = (args.on.as_deref(), args.wish.resolved(&client, args.on.as_deref()).await?);
        let wanted = match wanted {
            Some(wanted) => args.wish.over(on, typed, (priority, wanted)),
            None => typed,
        };
        let job = hand_over(&client, parcel, &wanted, &mut requests).await?;
        print(&client, job, args.json)
    })?;
    Ok(exit::SUCCESS)
}
