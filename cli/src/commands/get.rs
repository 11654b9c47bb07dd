//! `potluck get`: the files of a job, as soon as it has ended.

use crate::exit::{self, Refusal, Trouble};
use crate::following::node_gone;
use crate::job_ids::JobIds;
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::render::{self, say, tame};
use crate::settings;
use crate::signals::EndRequests;
use crate::standing::{EndKind, Ending, Standing};
use clap::{Args, ValueHint};
use potluck_node::client::{Client, HomeEvent};
use potluck_node::wire::{FollowJob, JobId};
use serde::Serialize;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  potluck get 3fa9c1                             into ./3fa9c1/
  potluck get 3fa9c1 -o results
  potluck get 3fa9c1 --json | jq -r '.files[].path'

It waits until the job has ended. The files of a job that failed come too. It ends with 0 when all there is has come, however
the job ended, which is said.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GetArgs {
    /// Which job, by any beginning of its id that is its alone
    #[arg(value_name = "ID")]
    id: String,
    /// Into this folder [default: one that is named by the beginning of the job's id]
    #[arg(short = 'o', value_name = "DIR", value_hint = ValueHint::DirPath)]
    outputs: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct GotObject {
    id: String,
    state: &'static str,
    exit_code: u8,
    why: Option<String>,
    dir: String,
    files: Vec<FileObject>,
}

/// One file that came.
#[derive(Serialize)]
struct FileObject {
    path: String,
    size: u64,
    /// BLAKE3 of its content, in hexadecimal.
    digest: String,
}

pub(crate) fn execute(args: &GetArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let ids = JobIds::open(&client)?;
    settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let job = ids.find_given(&args.id).await?;
        let dir = args.outputs.clone().unwrap_or_else(|| PathBuf::from(ids.short(job)));
        let (ending, files) = tokio::select! {
            got = bring(&client, job, &dir, args.json) => got?,
            () = requests.next() => {
                say("the job goes on, and its files are kept: the same command comes back");
                return Ok(exit::CANCELLED);
            }
        };
        if args.json {
            render::print_json(&object(job, &ending, &dir, files))?;
        } else {
            tell(&ending, &dir, &files);
            if files.is_empty() && ending.kind != EndKind::Done {
                return Err(Refusal::error(Trouble::Failed, "no files of the job are there"));
            }
        }
        Ok(exit::SUCCESS)
    })
}

/// Waits for the job's end and brings its files.
async fn bring(client: &Client, job: JobId, dir: &Path, quiet: bool) -> anyhow::Result<(Ending, Vec<FileObject>)> {
    let progress = Progress::new(Manner::suitable(quiet));
    let which = FollowJob { job, output: true, now: false };
    let mut following = client.follow(which, Some(dir.to_owned())).await?;
    let mut files = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    while let Some(event) = following.next().await? {
        match event {
            HomeEvent::Job(job) => last = Some(Standing::from(&job)),
            // What an earlier run brought does not count.
            HomeEvent::Says(_) => files.clear(),
            HomeEvent::File { path, size, digest } => {
                bytes += size;
                progress.bytes("bringing files", bytes, None);
                files.push(FileObject { path: path.to_string(), size, digest: digest.to_string() });
            }
            HomeEvent::RunEnded(ended) => {
                ended.left_behind.iter().for_each(|left| say(&format!("not brought back: {}", tame(left))));
            }
            HomeEvent::Stage(_)
            | HomeEvent::Started
            | HomeEvent::Time(_)
            | HomeEvent::Output { .. }
            | HomeEvent::RunFailed(_) => {}
        }
    }
    progress.finish();
    match last {
        Some(Standing::Ended(ending)) => Ok((ending, files)),
        _ => Err(node_gone()),
    }
}

fn tell(ending: &Ending, dir: &Path, files: &[FileObject]) {
    for file in files {
        say(&format!("{} ({})", dir.join(tame(&file.path)).display(), ByteSize(file.size)));
    }
    let count = match files.len() {
        0 => "it left no files".to_owned(),
        1 => format!("1 file in {}", dir.display()),
        count => format!("{count} files in {}", dir.display()),
    };
    say(&format!("the job's end: {ending}; {count}"));
    ending.why.iter().flat_map(|why| why.lines()).for_each(|line| say(&tame(line)));
}

fn object(job: JobId, ending: &Ending, dir: &Path, files: Vec<FileObject>) -> GotObject {
    GotObject {
        id: job.to_string(),
        state: ending.kind.word(),
        exit_code: ending.exit_code,
        why: ending.why.clone(),
        dir: dir.display().to_string(),
        files,
    }
}
