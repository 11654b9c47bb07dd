//! `potluck map`: one program over many inputs, a task for each, on all machines of the group. The tasks are the node's; this
//! command gives them, collects what they come to, and may be left and come back at any time.

mod account;
mod board;
mod collecting;
mod forgotten;
mod giving;
mod journal;
mod plan;
mod report;
mod results;
mod under_way;

use crate::job_ids::JobIds;
use crate::program::ProgramArgs;
use crate::progress::Manner;
use crate::signals::EndRequests;
use crate::wishes::WishArgs;
use crate::{background, settings, streams};
use account::{Account, Before};
use anyhow::Context;
use board::Board;
use clap::{Args, ValueHint};
use giving::Giving;
use journal::Journal;
use potluck_node::client::Client;
use potluck_node::state::home::spec::{BatchId, BatchSpec, OnFailure};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tokio::sync::Notify;
use under_way::{Leaving, Map};

const EXAMPLES: &str = "\
Examples:
  potluck map resize.py photos/*.jpg -o small -- --width 800
  potluck map count.wasm logs/*.gz -o counts --keep-going --jobs 32
  find data -name '*.csv' | potluck map clean.py --inputs - -o clean --per-task 50

Each task has its inputs in its working directory, and ARGS and their names as arguments. Of the input a.jpg, stdout goes to
DIR/a.out, stderr to DIR/a.err if there is any, and files that it made into DIR/a/.

The same command again runs what is missing: tasks that are done, and whose program, arguments and inputs are the same, are
not run again. Ctrl-C leaves the tasks with the node; the same command comes back to them. It ends with 0 if all tasks are
done, and otherwise with 1.";

/// Tasks of one map.
const TASKS_MAX: usize = 10_000_000;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// Put the results into this folder, which also remembers what was run
    #[arg(short = 'o', value_name = "DIR", value_hint = ValueHint::DirPath)]
    outputs: PathBuf,
    /// Read more inputs from this file, one on each line; `-` is stdin
    #[arg(long = "inputs", value_name = "FILE", value_hint = ValueHint::FilePath)]
    list: Option<PathBuf>,
    /// Tasks that may be with machines at once [default: as many as they take]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Inputs of one task [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    per_task: Option<u32>,
    /// Go on when a task fails; otherwise those that wait are cancelled then
    #[arg(short, long)]
    keep_going: bool,
    /// The only machines that may run tasks, with commas between them [default: any machine that fits]
    #[arg(long, value_name = "WHO")]
    on: Option<String>,
    #[command(flatten)]
    wish: WishArgs,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// Show no progress, and say nothing but what went wrong
    #[arg(short, long)]
    quiet: bool,
    /// file.py, file.wasm, or a directory with __main__.py
    #[arg(value_name = "PROGRAM", value_hint = ValueHint::FilePath)]
    path: PathBuf,
    /// Files and folders, each for a task of its own unless --per-task says otherwise
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// Arguments of the program before the names of its inputs
    #[arg(value_name = "ARGS", last = true)]
    words: Vec<String>,
}

pub(crate) fn execute(args: &MapArgs) -> anyhow::Result<u8> {
    let per_task = usize::try_from(args.per_task.unwrap_or(1))?;
    let tasks = plan::plan(inputs(args)?, per_task, &args.outputs).map_err(anyhow::Error::msg)?;
    args.program.check_needs(&args.wish.needs()?)?;
    if tasks.is_empty() || tasks.len() > TASKS_MAX {
        anyhow::bail!("a map has from 1 to {TASKS_MAX} tasks, and these inputs make {}", tasks.len());
    }
    std::fs::create_dir_all(&args.outputs)
        .with_context(|| format!("cannot make the folder {}", args.outputs.display()))?;
    let account = Account::new(&args.outputs, tasks, Journal::open(&args.outputs)?, args.keep_going);
    settings::block_on(run(args, account))
}

/// The inputs that were named and those that are listed; each must be there.
fn inputs(args: &MapArgs) -> anyhow::Result<Vec<PathBuf>> {
    let mut inputs = args.inputs.clone();
    if let Some(list) = &args.list {
        let text = if list == Path::new("-") {
            streams::names_on_stdin()?
        } else {
            std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?
        };
        inputs.extend(text.lines().filter(|line| !line.is_empty()).map(PathBuf::from));
    }
    for input in &inputs {
        std::fs::metadata(input).with_context(|| format!("cannot read {}", input.display()))?;
    }
    Ok(inputs)
}

async fn run(args: &MapArgs, mut account: Account) -> anyhow::Result<u8> {
    let mut requests = EndRequests::listen()?;
    let client = settings::client()?;
    background::ensure(&client, args.quiet).await?;
    let before = {
        let ids = JobIds::open(&client)?;
        account.resume(|job| Ok(ids.record(job)?.is_some()))?
    };
    let total = account.tasks.len() as u64;
    let account = RefCell::new(account);
    let ended = Notify::new();
    let mut map = Map::new(&client, &account, &ended, Board::new(Manner::suitable(args.quiet), total));
    for (batch, Before { given, unsure }) in before {
        account.borrow_mut().take_up(given);
        let giving = async {
            if unsure.is_empty() {
                return Ok(());
            }
            giving(args, &client, batch, (&account, &ended)).await?.give_again(unsure).await
        };
        map.follow(batch, giving, &mut requests).await?;
    }
    if map.leaving != Leaving::Left {
        let batch = client.new_map().map_err(super::run::refusal)?;
        let giving = giving(args, &client, batch, (&account, &ended)).await?;
        map.follow(batch, giving.give_all(), &mut requests).await?;
    }
    map.board.finish();
    account.borrow_mut().flush()?;
    report::show(&mut account.borrow_mut(), args)
}

async fn giving<'a>(
    args: &MapArgs,
    client: &'a Client,
    id: BatchId,
    (account, ended): (&'a RefCell<Account>, &'a Notify),
) -> anyhow::Result<Giving<'a>> {
    let (wish, requirements) = args.wish.resolved(client, args.on.as_deref()).await?;
    let on_failure = if args.keep_going { OnFailure::KeepGoing } else { OnFailure::StopTheRest };
    let submission = args.program.submission(client, &args.path, Vec::new(), args.quiet).await?;
    Ok(Giving {
        client,
        program: args.path.clone(),
        pattern: client.pattern(submission).await.map_err(super::run::refusal)?,
        args: args.words.clone(),
        batch: BatchSpec { id, jobs_max: args.jobs, on_failure },
        requirements,
        wish,
        account,
        ended,
    })
}
