//! Measures Potluck by the scripts in `benches/`: warm runs against native Python, or what the first argument names.

use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, run};
use crate::workspace::Workspace;
use crate::{guests, test};

/// Builds what is measured, then measures it.
pub(crate) fn run_comparison(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    run(cargo().args(["build", "--release", "--locked"]).current_dir(workspace.root()))?;
    guests::build(workspace)?;
    let (script, arguments) = match arguments {
        [named, rest @ ..] if matches!(named.as_str(), "map" | "pause") => (named.as_str(), rest),
        all => ("compare", all),
    };
    let mut python = Command::new("python3");
    python.arg(workspace.root().join("benches").join(format!("{script}.py"))).args(arguments);
    run(python.envs(test::variables_at_hand(workspace))).context("the measurement failed")
}
