//! Measures warm runs of Potluck against native Python, by the script `benches/compare.py`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, run};
use crate::workspace::Workspace;
use crate::{guests, test};

/// Builds what is measured, then measures it.
pub(crate) fn run_comparison(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    run(cargo().args(["build", "--release", "--locked"]).current_dir(workspace.root()))?;
    guests::build(workspace)?;
    let mut python = Command::new("python3");
    python.arg(workspace.root().join("benches/compare.py")).args(arguments);
    run(python.envs(test::variables_at_hand(workspace))).context("the measurement failed")
}
