//! One C guest: one source file, one preview-1 module.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::command::run;
use crate::toolchain::CCompiler;

/// The stack lies below the data, where overflowing it traps instead of overwriting, and holds 1 MiB.
const LINK_FLAGS: [&str; 3] = ["-Wl,-z,stack-size=1048576", "-Wl,--stack-first", "-Wl,--strip-all"];

/// Compiles `source`, which may include the `header` of words for guests, to `module`, unless the module is newer than both.
pub(crate) fn build(compiler: &CCompiler, source: &Path, header: &Path, module: &Path) -> Result<()> {
    if is_newer(module, source) && is_newer(module, header) {
        return Ok(());
    }
    let aside = module.with_extension("partial");
    let mut command = compiler.clang();
    command.args(["-std=c17", "-O2", "-Wall", "-Wextra", "-Werror"]).args(LINK_FLAGS);
    if let Some(folder) = header.parent() {
        command.arg("-I").arg(folder);
    }
    command.arg(source).arg("-o").arg(&aside);
    run(&mut command).with_context(|| format!("cannot compile the guest {}", source.display()))?;
    fs::rename(&aside, module).with_context(|| format!("cannot write {}", module.display()))
}

fn is_newer(made: &Path, source: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    matches!((changed(made), changed(source)), (Some(made), Some(source)) if made > source)
}
