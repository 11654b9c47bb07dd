//! `potluck setup`: a few questions, each of which is a flag too. Nothing is changed before every answer is known.

use super::{join, up};
use crate::quantity::ByteSize;
use crate::render::say;
use crate::{exit, settings};
use anyhow::Context;
use clap::Args;
use potluck_node::config::Settings;
use std::io::{BufRead, IsTerminal, Write};

const EXAMPLES: &str = "\
Examples:
  potluck setup                                              asks
  potluck setup --yes                                        takes the default of every question
  potluck setup --name attic --lend yes --jobs 2 --memory 4G --start yes
  potluck setup --yes --join TICKET";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetupArgs {
    /// What this machine is called in its group
    #[arg(long)]
    name: Option<String>,
    /// Whether peers may run jobs here
    #[arg(long, value_name = "yes|no", value_parser = parse_yes)]
    lend: Option<bool>,
    /// How many of their jobs at once
    #[arg(long, value_name = "COUNT")]
    jobs: Option<u32>,
    /// Most memory for one of their jobs
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Join the group of this ticket; without it this machine starts a group
    #[arg(long, value_name = "TICKET")]
    join: Option<String>,
    /// Whether to start the node now, in the background
    #[arg(long, value_name = "yes|no", value_parser = parse_yes)]
    start: Option<bool>,
    /// Take the default of every question that no flag answers
    #[arg(short, long)]
    yes: bool,
}

struct Answers {
    name: String,
    lend: bool,
    jobs: u32,
    memory: Option<ByteSize>,
    ticket: Option<String>,
    start: bool,
}

pub(crate) fn execute(args: SetupArgs) -> anyhow::Result<u8> {
    let file = settings::paths()?.config_file();
    let mut current = Settings::load(&file)?;
    let answers = answers(args, &current)?;
    current.set("name", &answers.name)?;
    current.set("lend", if answers.lend { "true" } else { "false" })?;
    current.set("jobs_max", &answers.jobs.to_string())?;
    current.set("job_memory_bytes_max", &answers.memory.map(|size| size.0.to_string()).unwrap_or_default())?;
    current.save(&file)?;
    say(&format!("settings are in {}", file.display()));
    let client = settings::client()?;
    if answers.start {
        match potluck_node::node::running(client.paths()) {
            Some(_) => say("the node runs already; it takes the settings at its next start"),
            None => up::detach(&client)?,
        }
    }
    match answers.ticket {
        Some(ticket) => join::join(&ticket, std::time::Duration::ZERO)?,
        None if answers.start => say("to let another machine in, type `potluck invite`"),
        None => say("`potluck up -d` starts the node, then `potluck invite` lets another machine in"),
    }
    Ok(exit::SUCCESS)
}

/// Every answer: from a flag, else from the user, else the default when `--yes` says so.
fn answers(args: SetupArgs, current: &Settings) -> anyhow::Result<Answers> {
    let defaults = current.clone().resolve()?;
    let complete = args.name.is_some() && args.lend.is_some() && args.start.is_some();
    let asks = !args.yes && !complete;
    anyhow::ensure!(
        !asks || (std::io::stdin().is_terminal() && std::io::stderr().is_terminal()),
        "there is no terminal to ask in; add --yes to take the defaults, or answer with \
         --name NAME --lend yes|no --start yes|no"
    );
    let ask = |question: &str, default: &str| if asks { ask(question, default) } else { Ok(default.to_owned()) };
    let name = match args.name {
        Some(name) => name,
        None => ask("What is this machine called?", &defaults.name)?,
    };
    let lend = match args.lend {
        Some(lend) => lend,
        None => yes(&ask("May machines of your group run jobs here?", if defaults.lend { "yes" } else { "no" })?)?,
    };
    let jobs = match args.jobs {
        Some(jobs) => jobs,
        None if lend => ask("How many of their jobs at once?", &defaults.jobs_max.to_string())?
            .parse()
            .context("a number of jobs is expected")?,
        None => defaults.jobs_max,
    };
    let memory = match (args.memory, defaults.job_memory_bytes_max.map(ByteSize)) {
        (Some(memory), _) => Some(memory),
        (None, default) if lend && asks => {
            let shown = default.map_or("any".to_owned(), |size| size.0.to_string());
            let answer = ask("Most memory for one of their jobs (such as 4G, or any)?", &shown)?;
            if answer == "any" { None } else { Some(answer.parse()?) }
        }
        (None, default) => default,
    };
    let ticket = match args.join {
        Some(ticket) => Some(ticket),
        None => Some(ask("A ticket to join a group with (empty starts a group)?", "")?).filter(|text| !text.is_empty()),
    };
    let start = match args.start {
        Some(start) => start,
        None => yes(&ask("Start the node now?", "yes")?)?,
    };
    Ok(Answers { name, lend, jobs, memory, ticket, start })
}

fn ask(question: &str, default: &str) -> anyhow::Result<String> {
    let mut stderr = std::io::stderr().lock();
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    write!(stderr, "{question}{shown} ").and_then(|()| stderr.flush()).context("cannot ask")?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).context("cannot read the answer")?;
    anyhow::ensure!(read > 0, "setup was ended; nothing was changed");
    let answer = line.trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}

fn yes(text: &str) -> anyhow::Result<bool> {
    parse_yes(text).map_err(anyhow::Error::msg)
}

fn parse_yes(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "y" | "true" => Ok(true),
        "no" | "n" | "false" => Ok(false),
        _ => Err(format!("yes or no is expected, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(yes: bool) -> SetupArgs {
        let name = Some("attic".to_owned());
        SetupArgs { name, lend: Some(false), jobs: None, memory: None, join: None, start: None, yes }
    }

    #[test]
    fn yes_takes_the_default_of_what_no_flag_answers() {
        let answers = answers(args(true), &Settings::default()).unwrap();
        assert_eq!((answers.name.as_str(), answers.lend, answers.start), ("attic", false, true));
        assert!(answers.ticket.is_none() && answers.memory.is_none());
    }
}
