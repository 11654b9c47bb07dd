//! AssemblyScript and what has it speak to WASI, from npm's packages.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{require, stamp};
use crate::command::run;

const PACKAGES: [&str; 2] = ["assemblyscript@0.28.20", "@assemblyscript/wasi-shim@0.1.0"];

/// Makes `prefix/node_modules`.
pub(super) fn make(prefix: &Path) -> Result<()> {
    require("npm", "npm")?;
    stamp::make_once(prefix, &PACKAGES.join(" "), || {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix"]);
        run(npm.arg(prefix).args(PACKAGES).current_dir(prefix))
    })
}
