//! One file for each command; each gives an exit code or an error.

pub(crate) mod run;

pub(crate) mod new;

pub(crate) mod jobs;

pub(crate) mod logs;

pub(crate) mod attach;

pub(crate) mod get;

pub(crate) mod wait;

pub(crate) mod cancel;

pub(crate) mod why;

pub(crate) mod rerun;

pub(crate) mod each;

pub(crate) mod map;

pub(crate) mod inspect;

pub(crate) mod shell;

pub(crate) mod session;

pub(crate) mod up;

pub(crate) mod down;

pub(crate) mod status;

pub(crate) mod peers;

pub(crate) mod quota;

pub(crate) mod history;

pub(crate) mod rm;

pub(crate) mod ledger;

pub(crate) mod cache;

pub(crate) mod share;

pub(crate) mod pause;

pub(crate) mod top;

pub(crate) mod invite;

pub(crate) mod join;

pub(crate) mod whoami;

pub(crate) mod identity;

pub(crate) mod setup;

pub(crate) mod config;

pub(crate) mod env;

pub(crate) mod doctor;

pub(crate) mod completions;

pub(crate) mod version;

use crate::args::Command;

/// Carries a command out.
pub(crate) fn dispatch(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Run(args) => run::execute(args),
        Command::Jobs(args) => jobs::execute(&args),
        Command::Logs(args) => logs::execute(&args),
        Command::Attach(args) => attach::execute(&args),
        Command::Get(args) => get::execute(&args),
        Command::Wait(args) => wait::execute(&args),
        Command::Cancel(args) => cancel::execute(&args),
        Command::Why(args) => why::execute(&args),
        Command::Rerun(args) => rerun::execute(&args),
        Command::New(args) => new::execute(&args),
        Command::Each(args) => each::execute(&args),
        Command::Map(args) => map::execute(&args),
        Command::Inspect(args) => inspect::execute(&args),
        Command::Shell(args) => shell::execute(args),
        Command::Session(args) => session::execute(args),
        Command::Up(args) => up::execute(&args),
        Command::Down(args) => down::execute(&args),
        Command::Status(args) => status::execute(&args),
        Command::Peers(args) => peers::execute(args),
        Command::Quota(args) => quota::execute(&args),
        Command::History(args) => history::execute(&args),
        Command::Ledger(args) => ledger::execute(&args),
        Command::Cache(args) => cache::execute(args),
        Command::Rm(args) => rm::execute(&args),
        Command::Share(args) => share::execute(&args),
        Command::Pause(args) => pause::execute(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Top(args) => top::execute(&args),
        Command::Invite(args) => invite::execute(&args),
        Command::Join(args) => join::execute(&args),
        Command::Whoami(args) => whoami::execute(&args),
        Command::Identity(args) => identity::execute(&args),
        Command::Setup(args) => setup::execute(args),
        Command::Config(args) => config::execute(args),
        Command::Env(args) => env::execute(args),
        Command::Doctor(args) => doctor::execute(&args),
        Command::Completions(args) => completions::execute(&args),
        Command::Version(args) => version::execute(&args),
    }
}
