//! `potluck logs`: what a job says, stdout on stdout and stderr on stderr, in the order in which it was said.

use crate::exit;
use crate::following::{Follower, Left, Streams, Until, reader_gone};
use crate::guest_bar::GuestBar;
use crate::job_ids::JobIds;
use crate::progress::{Manner, Progress};
use crate::settings;
use crate::signals::EndRequests;
use crate::stamps::Stamps;
use crate::streams::Writer;
use clap::Args;
use potluck_runtime::OutputStream;

const EXAMPLES: &str = "\
Examples:
  potluck logs 3fa9c1                            what the job has said so far
  potluck logs -f --times 3fa9c1                 until it ends, each line with the time at which it was said
  potluck logs --stderr-only 3fa9c1 2> errors.txt

`potluck attach ID` ends as the job does; `potluck get ID` brings its files.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    /// Which job, by any beginning of its id that is its alone
    #[arg(value_name = "ID")]
    id: String,
    /// Go on until the job ends; Ctrl-C leaves, and the job goes on
    #[arg(short, long)]
    follow: bool,
    /// Put the time of day before each line
    #[arg(long)]
    times: bool,
    /// Its stdout alone
    #[arg(long, conflicts_with = "stderr_only")]
    stdout_only: bool,
    /// Its stderr alone
    #[arg(long)]
    stderr_only: bool,
}

pub(crate) fn execute(args: &LogsArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let bar = GuestBar::new(if args.follow { Manner::suitable(false) } else { Manner::Silent });
        let follower = Follower {
            job: ids.find_given(&args.id).await?,
            client,
            until: if args.follow { Until::End } else { Until::Now },
            streams: match (args.stdout_only, args.stderr_only) {
                (true, _) => Streams::Only(OutputStream::Stdout),
                (_, true) => Streams::Only(OutputStream::Stderr),
                (false, false) => Streams::Both,
            },
            stamps: args.times.then(Stamps::default),
            progress: Progress::new(Manner::Silent),
            writer: Writer::beside(bar)?,
        };
        match follower.follow(&mut requests).await? {
            Left::Through(_) => Ok(exit::SUCCESS),
            Left::Interrupted => Ok(exit::CANCELLED),
            Left::ReaderGone => Err(reader_gone()),
        }
    })
}
