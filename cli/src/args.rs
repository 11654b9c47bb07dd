//! What can be typed. Each command's own options stand beside the command; nothing here opens or reads anything.

use crate::commands::{
    attach, cache, cancel, completions, config, doctor, down, each, env, get, history, identity, inspect, invite, jobs,
    join, ledger, logs, map, new, pause, peers, quota, rerun, rm, run, session, setup, share, shell, status, top, up,
    version, wait, whoami, why,
};
use crate::exit;
use crate::logging::Audience;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Examples under `potluck --help`.
const EXAMPLES: &str = "\
Examples:
  potluck run hello.py                     run a script here, in a sandbox
  potluck up -d                            lend this machine, find the others
  potluck invite                           print a ticket for another machine
  potluck run report.py --on attic         run a script on the machine called attic
  potluck run -d report.py                 give the job to the node, print its id and leave
  potluck attach ID                        come back to it
  potluck shell                            a Python prompt
  potluck pause --for 1h                   take this machine back from its peers

`potluck COMMAND --help` shows the options of a command and examples.
POTLUCK_HOME moves configuration and data, POTLUCK_CACHE_DIR the cache; POTLUCK_LOG=debug says more.";

/// Run .py and .wasm jobs on any machine of people who trust each other, in a sandbox.
#[derive(Debug, Parser)]
#[command(name = "potluck", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Of the options of all of these only those are made that are asked for: a third of the time of a command that does little.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Run a program here or on a peer
    Run(run::RunArgs),
    /// Make a directory with a job to begin from
    New(new::NewArgs),
    /// Run a program once on every machine of the group
    Each(each::EachArgs),
    /// Run a program over many inputs, on all machines of the group
    Map(map::MapArgs),
    /// List the jobs that this machine's node sees to, and those that ended lately
    Jobs(jobs::JobsArgs),
    /// Show what a job says
    Logs(logs::LogsArgs),
    /// Come back to a job: show what it says, and end as it does
    Attach(attach::AttachArgs),
    /// Bring the files of a job when it has ended
    Get(get::GetArgs),
    /// Wait until jobs have ended
    Wait(wait::WaitArgs),
    /// End jobs that nobody wants any more
    Cancel(cancel::CancelArgs),
    /// Say why a job waits: what each machine lacks, and what would change it
    Why(why::WhyArgs),
    /// Give a job again, as it was
    Rerun(rerun::RerunArgs),
    /// Say what a program is, what it could do, and where it can run
    Inspect(inspect::InspectArgs),
    /// Open a Python prompt here or on a peer
    Shell(shell::ShellArgs),
    /// Interpreters that keep their variables: open, use, save, move and end them
    Session(session::SessionArgs),
    /// Start this machine's node: find peers, run their jobs
    Up(up::UpArgs),
    /// Stop this machine's node
    Down(down::DownArgs),
    /// Say whether the node runs, and what it is
    Status(status::StatusArgs),
    /// List the machines of the group, or change who belongs to it
    Peers(peers::PeersArgs),
    /// Watch the machines of the group, the jobs here, and what is lent
    Top(top::TopArgs),
    /// Show and change what this machine lends, and when
    Share(share::ShareArgs),
    /// Take this machine back from its peers, at once
    Pause(pause::PauseArgs),
    /// Lend this machine again
    Resume(pause::ResumeArgs),
    /// Show and change what each peer may use of this machine
    Quota(quota::QuotaArgs),
    /// List the jobs this machine gave away and those it ran for others
    History(history::HistoryArgs),
    /// Say who ran how much for whom, and show receipts
    Ledger(ledger::LedgerArgs),
    /// Forget jobs that have ended
    Rm(rm::RmArgs),
    /// Make a ticket that lets one more machine join
    Invite(invite::InviteArgs),
    /// Join a group with a ticket
    Join(join::JoinArgs),
    /// Say who this machine is
    Whoami(whoami::WhoamiArgs),
    /// Change who this machine is
    Identity(identity::IdentityArgs),
    /// Set this machine up with a few questions
    Setup(setup::SetupArgs),
    /// Read and change settings
    Config(config::ConfigArgs),
    /// List, add and remove language environments
    Env(env::EnvArgs),
    /// Say what takes room on the disk, and free some
    Cache(cache::CacheArgs),
    /// Test each thing Potluck needs and say what to do about a failure
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the version
    Version(version::VersionArgs),
}

impl Command {
    /// Who reads this command's log.
    pub(crate) fn audience(&self) -> Audience {
        match self {
            Self::Up(up) if !up.detach => Audience::Daemon,
            _ => Audience::Command,
        }
    }
}

/// Prints what the parser has to say (help, or what is wrong) and gives the exit code for it.
pub(crate) fn answer(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody is left to be told when the stream is closed.
            let _gone = error.print();
        }
        _ => complain(error),
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::from(exit::SUCCESS),
        _ if ends_as_its_program(std::env::args_os().skip(1)) => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::USAGE),
    }
}

/// Whether these words are a command whose exit codes are those of what it runs, so that 2 means nothing of ours.
fn ends_as_its_program(mut words: impl Iterator<Item = OsString>) -> bool {
    let command = words.next().unwrap_or_default();
    let as_they_do = ["run", "shell", "attach", "wait"];
    as_they_do.iter().any(|name| command == *name)
        || (command == "session" && words.next().is_some_and(|word| word == "run"))
}

/// What is wrong, the way Potluck says everything else.
fn complain(error: &clap::Error) {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Nobody is left to be told when stderr is closed.
    let _gone = write!(std::io::stderr().lock(), "potluck: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_is_described_in_its_help_as_in_the_list_of_commands() {
        let mut cli = Cli::command();
        // Before it is built a command has what stands in the list; its help has what its options have made of that.
        let about = |command: &clap::Command| (command.get_name().to_owned(), command.get_about().unwrap().to_string());
        let listed: Vec<_> = cli.get_subcommands().map(about).collect();
        cli.build();
        let begins = |command: &mut clap::Command, about: &str| {
            let help = command.render_long_help().to_string();
            assert!(help.starts_with(about), "{about:?} is in the list, and the help begins: {help}");
        };
        for (name, about) in listed {
            begins(cli.find_subcommand_mut(&name).unwrap(), &about);
        }
        let session = cli.find_subcommand_mut("session").unwrap();
        for (name, about) in [("new", "Open a session"), ("attach", "Open a prompt"), ("run", "Run code in a session")]
        {
            begins(session.find_subcommand_mut(name).unwrap(), about);
        }
    }

    #[test]
    fn every_command_has_examples() {
        let mut cli = Cli::command();
        cli.build();
        let of_sessions = cli.find_subcommand("session").unwrap().get_subcommands();
        let commands = cli.get_subcommands().chain(of_sessions);
        // What the parser adds itself speaks for itself.
        for command in commands.filter(|command| command.get_name() != "help") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("potluck"), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn what_stands_after_the_program_belongs_to_the_program() {
        let typed = ["potluck", "run", "--on", "attic", "x.py", "--on", "b", "-f", "--fuel", "1", "--", "-x", "--help"];
        let cli = Cli::try_parse_from(typed).unwrap();
        let Command::Run(mut run) = cli.command else { panic!("run was typed") };
        let line = run.line().unwrap();
        assert_eq!(line.on.as_deref(), Some("attic"));
        assert_eq!(line.program, std::path::Path::new("x.py"));
        assert_eq!(line.args, typed[5..]);
    }

    #[test]
    fn a_machine_may_be_named_before_the_program_or_directly_after_it() {
        for typed in
            [&["--on", "attic", "x.py", "-v"][..], &["x.py", "--on", "attic", "-v"], &["x.py", "--on=attic", "-v"]]
        {
            let cli = Cli::try_parse_from(["potluck", "run"].iter().chain(typed)).unwrap();
            let Command::Run(mut run) = cli.command else { panic!("run was typed") };
            let line = run.line().unwrap();
            assert_eq!(
                (line.on.as_deref(), line.args.as_slice()),
                (Some("attic"), &["-v".to_owned()][..]),
                "{typed:?}"
            );
        }
    }

    #[test]
    fn two_dashes_after_the_program_reach_its_line() {
        let cli = Cli::try_parse_from(["potluck", "run", "x.py", "--", "--on", "b"]).unwrap();
        let Command::Run(mut run) = cli.command else { panic!("run was typed") };
        let line = run.line().unwrap();
        assert_eq!((line.on, line.args), (None, vec!["--on".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn an_option_without_a_usable_value_is_refused() {
        for wrong in [
            ["--fuel", "plenty"],
            ["--memory", "x"],
            ["--timeout", "soon"],
            ["-e", "=x"],
            ["--stdin", "maybe"],
            ["--on", ""],
        ] {
            assert!(Cli::try_parse_from(["potluck", "run", wrong[0], wrong[1], "x.py"]).is_err(), "{wrong:?}");
        }
        assert!(Cli::try_parse_from(["potluck", "run", "--mount", "here", "x.py"]).is_err());
        assert!(Cli::try_parse_from(["potluck", "run"]).is_err());
    }
}
