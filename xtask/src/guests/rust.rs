//! One Rust guest crate: each of its binaries as a module and as a component.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::install;
use crate::command::{read, run};
use crate::toolchain::{RUST_TARGET, RustCompiler};
use crate::workspace::Workspace;

/// Compiles the crate in `directory` and puts its binaries into `out`.
pub(crate) fn build(workspace: &Workspace, compiler: &RustCompiler, directory: &Path, out: &Path) -> Result<()> {
    let manifest = directory.join("Cargo.toml");
    let names = binaries(compiler, &manifest)?;
    // The linker is not part of what cargo compares between builds, hence one target directory for each.
    for (kind, suffix) in [("module", ""), ("component", "-component")] {
        let target = workspace.guest_build(kind);
        let mut command = compiler.cargo();
        command.args(["build", "--quiet", "--release", "--locked", "--target", RUST_TARGET, "--manifest-path"]);
        command.arg(&manifest).arg("--target-dir").arg(&target);
        if kind == "component" {
            command.env("CARGO_TARGET_WASM32_WASIP1_LINKER", compiler.component_linker()?);
        }
        run(&mut command).with_context(|| format!("cannot compile the guests in {}", directory.display()))?;
        for name in &names {
            let made = target.join(RUST_TARGET).join("release").join(format!("{name}.wasm"));
            install(&made, &out.join(format!("{name}{suffix}.wasm")))?;
        }
    }
    Ok(())
}

/// The names of the crate's binaries, as cargo sees them.
fn binaries(compiler: &RustCompiler, manifest: &Path) -> Result<Vec<String>> {
    let mut command = compiler.cargo();
    command.args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--manifest-path"]).arg(manifest);
    let metadata: Value = serde_json::from_str(&read(&mut command)?).context("cannot read cargo's metadata")?;
    let targets = metadata["packages"][0]["targets"].as_array().context("cargo's metadata names no targets")?;
    let is_binary = |target: &&Value| target["kind"][0] == "bin";
    Ok(targets.iter().filter(is_binary).filter_map(|target| target["name"].as_str()).map(str::to_owned).collect())
}
