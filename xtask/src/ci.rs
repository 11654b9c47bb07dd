//! What must hold before a change goes in, cheapest first.

use anyhow::Result;

use crate::command::{cargo, run};
use crate::workspace::Workspace;
use crate::{deny, test, tidy};

/// All checks and all tests, with warnings as errors. Everything is built in the release profile, so that the
/// dependencies are compiled once for the program and its tests, and checked once for clippy and rustdoc.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let root = workspace.root();
    run(cargo().args(["fmt", "--all", "--check"]).current_dir(root))?;
    tidy::check(workspace)?;
    deny::check(workspace)?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    run(clippy.current_dir(root))?;
    let mut doc = cargo();
    doc.args(["doc", "--release", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    run(doc.current_dir(root))?;
    test::run_all(workspace, &[])
}
