//! The one binary: parse, log, dispatch, exit code. Started as `potluck worker` it is the confined child in which a
//! guest runs, and nothing else of this crate is touched.

mod args;
mod backend;
mod background;
mod capture;
mod commands;
mod exit;
mod fetching;
mod following;
mod gpus;
mod guest_bar;
mod guest_words;
mod job_ids;
mod limits;
mod logging;
mod outcome;
mod packages;
mod program;
mod progress;
mod quantity;
mod reasons;
mod records;
mod render;
mod repetition;
mod sessions;
mod settings;
mod signals;
mod stamps;
mod standing;
mod streams;
mod terminal;
mod turn;
mod wishes;

use args::Cli;
use clap::Parser;
use std::ffi::OsStr;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(settings::WORKER_COMMAND)) {
        return potluck_runtime::worker_main();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::answer(&error),
    };
    let result = logging::start(cli.command.audience()).and_then(|()| commands::dispatch(cli.command));
    ExitCode::from(result.unwrap_or_else(|error| {
        let trouble = exit::trouble_of(&error);
        if trouble != exit::Trouble::ReaderGone {
            render::say(&render::sentence(&error));
        }
        trouble.code()
    }))
}
