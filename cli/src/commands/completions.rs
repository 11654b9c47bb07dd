//! `potluck completions`: a script that teaches a shell our words.

use crate::args::Cli;
use crate::{exit, render};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  potluck completions bash > ~/.local/share/bash-completion/completions/potluck
  potluck completions zsh > ~/.zfunc/_potluck
  potluck completions fish > ~/.config/fish/completions/potluck.fish";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(crate) fn execute(args: &CompletionsArgs) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "potluck", &mut script);
    render::print(&String::from_utf8_lossy(&script))?;
    Ok(exit::SUCCESS)
}
