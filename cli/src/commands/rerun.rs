//! `potluck rerun`: a job again, as it was given, under a new id.

use super::run::detached::{hand_over, print};
use crate::exit;
use crate::job_ids::JobIds;
use crate::settings;
use crate::signals::EndRequests;
use crate::wishes::WishArgs;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  potluck rerun 3fa9c1                           prints the new job's id
  potluck rerun 3fa9c1 --avoid attic

Program, arguments, limits and inputs are those of before, however the files on this machine have changed since. What it wants of
machines is said anew.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RerunArgs {
    /// Which job, by any beginning of its id that is its alone
    #[arg(value_name = "ID")]
    id: String,
    /// The only machines that may run it, with commas between them [default: any machine that fits]
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
        let wish = args.wish.wish(args.on.as_deref())?;
        let parcel = client.parcel_again(ids.store(), ids.find(&args.id).await?)?;
        let job = hand_over(&client, parcel, &wish, &mut requests).await?;
        print(&client, job, args.json)
    })?;
    Ok(exit::SUCCESS)
}
