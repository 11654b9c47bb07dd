//! `potluck session run`: one turn of a session, as a command of its own.

use super::WhichArgs;
use crate::capture::{Capture, PrintedObject};
use crate::exit;
use crate::limits::TurnLimitArgs;
use crate::outcome::OutcomeObject;
use crate::render;
use crate::sessions;
use crate::signals::EndRequests;
use crate::streams;
use crate::turn::{Input, Seen, Turns};
use anyhow::Context;
use clap::{Args, ValueHint};
use potluck_node::client::{Client, SessionHandle};
use serde::Serialize;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  potluck session run work 'x = 6 * 7'
  potluck session run work 'x'                         prints 42
  potluck session run work --file load.py --timeout 1h
  echo 'print(x)' | potluck session run work
  potluck session run --json work x | jq -r .stdout";

/// What stands for stdin.
const STDIN: &str = "-";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::TABLE))]
pub(super) struct RunArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// What to run; `-`, or nothing, reads it from stdin
    #[arg(value_name = "CODE", allow_hyphen_values = true, conflicts_with = "file")]
    code: Option<String>,
    /// Run this file; `-` is stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    #[command(flatten)]
    limits: TurnLimitArgs,
    /// Print one JSON object with everything about the turn instead of its output
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct TurnObject {
    session: String,
    peer: String,
    outcome: OutcomeObject,
    exit_code: u8,
    /// Whether the session is what it was before.
    undone: bool,
    /// Whether the code asked for the session's end.
    quit: bool,
    fuel_used: u64,
    wall_ms: u64,
    memory_peak_bytes: u64,
    #[serde(flatten)]
    printed: PrintedObject,
}

pub(super) async fn execute(client: &Client, args: RunArgs) -> anyhow::Result<u8> {
    let mut requests = EndRequests::listen()?;
    let (source, input) = source(&args)?;
    let session = args.which.find(client).await?;
    let mut turns = Turns { session: &session, requests: &mut requests, input };
    let limits = args.limits.within(&session.info().limits);
    let seen = turns.run(&source, limits, args.json.then(Capture::default)).await;
    let seen = seen.map_err(|error| sessions::refusal_in(&session, error))?;
    if let Some(why) = seen.explanation() {
        render::say(&why);
    }
    let code = seen.exit_code();
    if args.json {
        render::print_json(&TurnObject::new(&session, seen))?;
    }
    Ok(code)
}

/// What is run, and what it reads: stdin, unless the code came from there.
fn source(args: &RunArgs) -> anyhow::Result<(String, Input)> {
    match (&args.file, &args.code) {
        (Some(file), _) if file != Path::new(STDIN) => {
            let source = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok((source, Input::stdin()))
        }
        (None, Some(code)) if code != STDIN => Ok((code.clone(), Input::stdin())),
        _ => Ok((streams::all_of_stdin()?, Input::Nothing)),
    }
}

impl TurnObject {
    fn new(session: &SessionHandle, seen: Seen) -> Self {
        let exit_code = seen.exit_code();
        Self {
            session: session.info().session.to_string(),
            peer: session.node().to_owned(),
            outcome: seen.ended.outcome.into(),
            exit_code,
            undone: seen.ended.undone,
            quit: seen.ended.quit,
            fuel_used: seen.ended.fuel_used,
            wall_ms: seen.ended.wall_ms,
            memory_peak_bytes: seen.ended.memory_peak_bytes,
            printed: seen.capture.as_ref().map(PrintedObject::from).unwrap_or_default(),
        }
    }
}
