//! Measures warm runs of Potluck against native Python, by the script `benches/compare.py`.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, run};
use crate::guests;
use crate::workspace::Workspace;

/// Builds what is measured, then measures it.
pub(crate) fn run_comparison(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    run(cargo().args(["build", "--release", "--locked"]).current_dir(workspace.root()))?;
    guests::build(workspace)?;
    let script = workspace.root().join("benches/compare.py");
    if !script.is_file() {
        bail!("there is no {}", script.display());
    }
    let mut python = Command::new("python3");
    python.arg(&script).args(arguments).env("POTLUCK_BIN", workspace.potluck());
    run(python.env("POTLUCK_TEST_GUESTS", workspace.guests())).context("the measurement failed")
}
