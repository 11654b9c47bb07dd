//! `potluck get`: the files of a job, as soon as it has ended.

use crate::exit;
use crate::following::end_of;
use crate::guest_words::OwnJson;
use crate::job_ids::JobIds;
use crate::outcome::tell_left_behind;
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::render::{self, say, tame};
use crate::settings;
use crate::signals::EndRequests;
use crate::standing::Ending;
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
    /// What the program says it has come to.
    result: Option<OwnJson>,
}

/// What of a job has come.
struct Got {
    ending: Ending,
    files: Vec<FileObject>,
    result: Option<OwnJson>,
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
        let got = tokio::select! {
            got = bring(&client, job, &dir, args.json) => got?,
            () = requests.next() => {
                say("the job goes on, and its files are kept: the same command comes back");
                return Ok(exit::CANCELLED);
            }
        };
        if args.json {
            render::print_json(&object(job, got, &dir))?;
        } else {
            tell(&got.ending, &dir, &got.files);
        }
        Ok(exit::SUCCESS)
    })
}

/// Waits for the job's end and brings the files of the run that counts; those of others are not asked for.
async fn bring(client: &Client, job: JobId, dir: &Path, quiet: bool) -> anyhow::Result<Got> {
    let progress = Progress::new(Manner::suitable(quiet));
    let ending = end_of(client, job).await?;
    let mut following = client.follow(FollowJob { job, output: true, now: false }).await?;
    let (mut files, mut bytes, mut result) = (Vec::new(), 0, None);
    while let Some(event) = following.next().await? {
        match event {
            HomeEvent::Says(_) => following.bring_to(dir.to_owned()),
            HomeEvent::File { path, size, digest } => {
                bytes += size;
                progress.bytes("bringing files", bytes, None);
                files.push(FileObject { path: path.to_string(), size, digest: digest.to_string() });
            }
            HomeEvent::RunEnded(ended) => {
                tell_left_behind(&ended);
                result = ended.result.as_ref().map(OwnJson::from);
            }
            HomeEvent::Job(_)
            | HomeEvent::Stage(_)
            | HomeEvent::Started
            | HomeEvent::Time(_)
            | HomeEvent::Output { .. }
            | HomeEvent::Said(_)
            | HomeEvent::RunFailed(_) => {}
        }
    }
    progress.finish();
    Ok(Got { ending, files, result })
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

fn object(job: JobId, got: Got, dir: &Path) -> GotObject {
    let Got { ending, files, result } = got;
    GotObject {
        id: job.to_string(),
        state: ending.kind.word(),
        exit_code: ending.exit_code,
        why: ending.why,
        dir: dir.display().to_string(),
        files,
        result,
    }
}
