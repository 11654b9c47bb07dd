//! One Go guest: one module, one preview-1 module of WebAssembly.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::is_newer_than_all;
use crate::command::run;
use crate::workspace::Workspace;

/// Compiles the module in `directory` with the Go below `root`, unless what was made is newer.
pub(crate) fn build(workspace: &Workspace, root: &Path, directory: &Path, module: &Path) -> Result<()> {
    if is_newer_than_all(module, directory)? {
        return Ok(());
    }
    let (aside, own) = (module.with_extension("partial"), workspace.guest_build("go"));
    let mut go = Command::new(root.join("bin/go"));
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&aside).arg(".").current_dir(directory);
    go.env("GOROOT", root).env("GOCACHE", own.join("cache")).env("GOPATH", own.join("path"));
    go.env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly");
    run(&mut go).with_context(|| format!("cannot compile the guest {}", directory.display()))?;
    fs::rename(&aside, module).with_context(|| format!("cannot write {}", module.display()))
}
