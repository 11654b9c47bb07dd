//! Everything the tests need, then all the tests.
//!
//! What a test reads from outside is named by environment variables, which `cargo xtask env` prints, so that a single
//! test can be run by hand as well.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, find, is_root, run, succeeds};
use crate::packages::PACKAGES;
use crate::workspace::Workspace;
use crate::{fuzz, guests};

/// Runs all tests, or with `arguments` those that the runner selects by them.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let variables = prepare(workspace)?;
    let with_nextest = succeeds(cargo().args(["nextest", "--version"]));
    // Examples in documentation first: the runner's own summary then ends the output.
    if arguments.is_empty() {
        run_in(workspace, cargo().args(["test", "--release", "--workspace", "--locked", "--doc"]), &variables)?;
    }
    if arguments.is_empty() {
        fuzz::run_all(workspace, &[])?;
    }
    let mut tests = cargo();
    if with_nextest {
        tests.args(["nextest", "run", "--release", "--workspace", "--locked", "--no-fail-fast"]);
    } else {
        tests.args(["test", "--release", "--workspace", "--locked", "--no-fail-fast", "--tests"]);
    }
    run_in(workspace, tests.args(arguments), &variables)
}

/// Prints the variables as a shell reads them, without making what they name.
pub(crate) fn print_environment(workspace: &Workspace) {
    for (name, value) in variables_at_hand(workspace) {
        println!("export {name}='{}'", value.display());
    }
}

/// What a test reads from outside: names and values.
pub(crate) type Variables = Vec<(&'static str, PathBuf)>;

/// The variables with what is there now; a package is left out when nobody has fetched it.
pub(crate) fn variables_at_hand(workspace: &Workspace) -> Variables {
    let at_hand = PACKAGES.iter().filter_map(|package| Some((package.variable, package.at_hand(workspace)?)));
    variables(workspace, at_hand.collect())
}

fn prepare(workspace: &Workspace) -> Result<Variables> {
    run_in(workspace, cargo().args(["build", "--release", "--locked", "--workspace"]), &Vec::new())?;
    guests::build(workspace)?;
    let fetched = PACKAGES.iter().map(|package| Ok((package.variable, package.fetched(workspace)?)));
    let fetched = fetched.collect::<Result<_>>()?;
    install_tools()?;
    let mut variables = variables(workspace, fetched);
    if namespaces_work() {
        variables.push(("POTLUCK_TEST_NETNS", "1".into()));
    } else {
        eprintln!("this user cannot make network namespaces (root can): the tests over several hosts will not run");
    }
    if engine_starts()? {
        variables.push(("POTLUCK_TEST_DOCKER", "1".into()));
    } else {
        eprintln!(
            "no container engine can be started (root can, with dockerd and busybox): the tests of containers will not run"
        );
    }
    Ok(variables)
}

fn variables(workspace: &Workspace, packages: Variables) -> Variables {
    let mut variables = vec![
        ("POTLUCK_BIN", workspace.potluck()),
        ("POTLUCK_TEST_GUESTS", workspace.guests()),
        ("POTLUCK_TEST_HOME", workspace.test_data().join("shared-cache")),
    ];
    variables.extend(packages);
    variables
}

fn run_in(workspace: &Workspace, command: &mut Command, variables: &Variables) -> Result<()> {
    run(command.current_dir(workspace.root()).envs(variables.iter().map(|(name, value)| (name, value))))
}

/// The static shell of which the tests of containers make their image.
const STATIC_SHELL: &str = "/bin/busybox";

/// The tests over several hosts lay cables between network namespaces with `ip`; those of containers start an engine of their
/// own, and make an image of a static shell.
fn install_tools() -> Result<()> {
    let mut missing = Vec::new();
    if find("ip").is_none() {
        missing.push("iproute2");
    }
    if find("dockerd").is_none() {
        missing.push("docker.io");
    }
    if !Path::new(STATIC_SHELL).is_file() {
        missing.push("busybox-static");
    }
    if missing.is_empty() || !is_root()? || find("apt-get").is_none() {
        return Ok(());
    }
    run(Command::new("apt-get").args(["-qq", "update"]))?;
    let mut install = Command::new("apt-get");
    install.args(["-qq", "-y", "install", "--no-install-recommends"]).args(missing);
    // A service that a package starts is not wanted, and a machine without services would refuse.
    run(install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"))
}

/// Whether a container engine could be started by the tests, as far as that can be told without starting it.
fn engine_starts() -> Result<bool> {
    let tools = ["dockerd", "setpriv"].iter().all(|tool| find(tool).is_some());
    Ok(is_root()? && tools && Path::new(STATIC_SHELL).is_file() && namespaces_work())
}

/// Makes a namespace and removes it.
fn namespaces_work() -> bool {
    let name = format!("potluck-probe-{}", std::process::id());
    succeeds(Command::new("ip").args(["netns", "add", &name]))
        && succeeds(Command::new("ip").args(["netns", "delete", &name]))
}
