//! `potluck doctor`: tests each thing Potluck needs, one after the other, and says what to do about a failure. It
//! changes nothing and needs no node.

mod docker;
mod gpus;
mod machine;
mod multicast;
mod network;
mod records;
mod walls;

use crate::{exit, render, settings};
use clap::Args;
use potluck_node::client::Client;
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  potluck doctor
  potluck doctor --walls
  potluck doctor --json | jq '.[] | select(.result == \"fail\")'

Exits with 1 when something does not work, or is not stopped.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    /// Prove instead that a guest which broke out of WebAssembly is stopped: a worker tries all it must not do
    #[arg(long)]
    walls: bool,
}

/// How a test went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One test.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    result: Verdict,
    /// What was found.
    found: String,
    /// What to do about it; empty when nothing is to be done.
    remedy: String,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, result: Verdict::Ok, found: found.into(), remedy: String::new() }
    }

    pub(super) fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, result: Verdict::Warn, found: found.into(), remedy: remedy.into() }
    }

    pub(super) fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, result: Verdict::Fail, found: found.into(), remedy: remedy.into() }
    }
}

pub(crate) fn execute(args: &DoctorArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    if args.walls {
        return settings::block_on(walls::prove(&client, args.json));
    }
    let checks = settings::block_on(async { Ok(examine(&client).await) })?;
    if args.json {
        render::print_json(&checks)?;
    } else {
        render::print(&checks.iter().map(describe).collect::<String>())?;
    }
    let unwell = checks.iter().any(|check| check.result == Verdict::Fail);
    Ok(if unwell { exit::UNWELL } else { exit::SUCCESS })
}

async fn examine(client: &Client) -> Vec<Check> {
    let mut checks = vec![network::interfaces()];
    checks.extend(multicast::multicast(client.config()));
    checks.push(network::port(client).await);
    checks.push(machine::clock());
    checks.push(machine::cache(client.paths()));
    checks.extend(records::records(client));
    checks.push(machine::python(client));
    checks.push(machine::worker(client).await);
    checks.push(docker::docker(client).await);
    checks.extend(walls::walls());
    checks.push(gpus::gpus(client).await);
    checks
}

fn describe(check: &Check) -> String {
    let mark = match check.result {
        Verdict::Ok => "ok  ",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let remedy =
        if check.remedy.is_empty() { String::new() } else { format!("\n                    -> {}", check.remedy) };
    format!("{mark}  {:<12}  {}{remedy}\n", check.name, render::tame(&check.found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_followed_by_what_to_do() {
        let text = describe(&Check::fail("clock", "it is 1970", "set the clock"));
        assert_eq!(text, "FAIL  clock         it is 1970\n                    -> set the clock\n");
    }
}
