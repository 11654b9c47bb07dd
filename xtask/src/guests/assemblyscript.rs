//! One AssemblyScript guest: `primes.ts` and what it imports become one preview-1 module.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{entries, is_newer_than_all};
use crate::command::run;

/// Compiles the guest in `directory`, whose name ends in that of its main file, with the packages below `prefix`, unless what was made
/// is newer.
pub(crate) fn build(prefix: &Path, directory: &Path, module: &Path) -> Result<()> {
    if is_newer_than_all(module, directory)? {
        return Ok(());
    }
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((_, main)) = name.split_once('-') else { bail!("{} names no main file", directory.display()) };
    // Packages are looked for from where the sources lie.
    let sources = prefix.join("sources");
    fs::create_dir_all(&sources).with_context(|| format!("cannot make {}", sources.display()))?;
    for source in entries(directory)? {
        let copy = sources.join(source.file_name().unwrap_or_default());
        fs::copy(&source, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    let aside = module.with_extension("partial");
    let packages = prefix.join("node_modules");
    let mut compiler = Command::new("node");
    compiler.arg(packages.join("assemblyscript/bin/asc.js")).arg(format!("sources/{main}.ts")).arg("--config");
    compiler.arg("node_modules/@assemblyscript/wasi-shim/asconfig.json").args(["--optimize", "--noAssert", "-o"]);
    run(compiler.arg(&aside).current_dir(prefix))
        .with_context(|| format!("cannot compile the guest {}", directory.display()))?;
    fs::rename(&aside, module).with_context(|| format!("cannot write {}", module.display()))
}
