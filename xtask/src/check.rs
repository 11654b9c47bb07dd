//! What must hold besides the tests, cheapest first.

use anyhow::Result;

use crate::command::{cargo, run};
use crate::workspace::Workspace;
use crate::{deny, tidy};

/// Formatting, house rules, dependencies, clippy and documentation, with warnings as errors. All of it uses the release
/// profile, so that dependencies are checked once for clippy and rustdoc, and their build scripts and macros are those
/// of the program.
pub(crate) fn run_all(workspace: &Workspace) -> Result<()> {
    let root = workspace.root();
    run(cargo().args(["fmt", "--all", "--check"]).current_dir(root))?;
    tidy::check(workspace)?;
    deny::check(workspace)?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    run(clippy.current_dir(root))?;
    let mut doc = cargo();
    doc.args(["doc", "--release", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    run(doc.current_dir(root))
}
