//! `potluck attach`: a job as if it had never been left, with its exit code.

use crate::exit;
use crate::following::{Follower, Left, Streams, Until, reader_gone};
use crate::guest_bar::GuestBar;
use crate::job_ids::JobIds;
use crate::progress::{Manner, Progress};
use crate::render::{say, tame};
use crate::settings;
use crate::signals::EndRequests;
use crate::standing::Standing;
use crate::streams::Writer;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  potluck attach 3fa9c1                          from its beginning to its end
  potluck attach 3fa9c1 && potluck get 3fa9c1

Ctrl-C leaves the job alone, which goes on; `potluck cancel ID` ends it.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::TABLE))]
pub(crate) struct AttachArgs {
    /// Which job, by any beginning of its id that is its alone
    #[arg(value_name = "ID")]
    id: String,
    /// Say nothing but what the program says, unless it did not end by itself
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn execute(args: &AttachArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let job = ids.find_given(&args.id).await?;
        let manner = Manner::suitable(args.quiet);
        let (progress, writer) = (Progress::new(manner), Writer::beside(GuestBar::new(manner))?);
        let (until, streams) = (Until::End, Streams::Both);
        let follower = Follower { client, job, until, streams, stamps: None, progress, writer };
        match follower.follow(&mut requests).await? {
            Left::Through(standing) => Ok(code_of(&standing)),
            Left::Interrupted => {
                let id = ids.short(job);
                say(&format!("the job goes on: `potluck attach {id}` comes back, `potluck cancel {id}` ends it"));
                Ok(exit::CANCELLED)
            }
            Left::ReaderGone => Err(reader_gone()),
        }
    })
}

/// Ends as the job did, and says what its output and its code do not.
fn code_of(standing: &Standing) -> u8 {
    let Standing::Ended(ending) = standing else { return exit::FAILED };
    ending.why.iter().flat_map(|why| why.lines()).for_each(|line| say(&tame(line)));
    ending.exit_code
}
