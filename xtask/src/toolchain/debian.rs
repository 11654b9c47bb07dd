//! Debian packages, downloaded by name and unpacked below a directory: the system is not changed and root not needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::require;
use crate::command::{read, run, succeeds};

/// Checks that this is a Debian whose package lists know `package`; fetches the lists when they do not.
pub(crate) fn prepare(package: &str) -> Result<()> {
    require("apt-get", "apt")?;
    require("dpkg-deb", "dpkg")?;
    let is_known = || succeeds(Command::new("apt-cache").args(["show", package]));
    if !is_known() {
        run(Command::new("apt-get").args(["-qq", "update"])).context("cannot fetch the package lists (root can)")?;
    }
    if !is_known() {
        bail!("this system's packages have no {package}");
    }
    Ok(())
}

/// What an installation of `packages` would add to this system, the packages themselves included.
pub(crate) fn with_missing_dependencies(packages: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new("apt-get");
    command.args(["-s", "-o", "Debug::NoLocking=1", "install", "--no-install-recommends"]).args(packages);
    let plan = read(&mut command)?;
    let added = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let mut names: Vec<String> = added.map(str::to_owned).collect();
    names.extend(packages.iter().map(|&name| name.to_owned()));
    names.sort();
    names.dedup();
    Ok(names)
}

/// The first dependency of `package` whose name starts with `prefix` and a digit.
pub(crate) fn dependency(package: &str, prefix: &str) -> Result<String> {
    let listing = read(Command::new("apt-cache").args(["depends", package]))?;
    let names = listing.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let is_versioned = |name: &str| name.strip_prefix(prefix)?.chars().next().filter(char::is_ascii_digit);
    let mut found = names.map(str::to_owned).filter(|name| is_versioned(name).is_some());
    found.next().with_context(|| format!("package {package} depends on no {prefix}N"))
}

/// The highest N for which there is a package `{before}N{after}`.
pub(crate) fn newest(before: &str, after: &str) -> Result<u32> {
    let pattern = format!("^{before}[0-9]+{after}$");
    let listing = read(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    let names = listing.lines().filter_map(|line| line.split(' ').next());
    let numbers = names.filter_map(|name| name.strip_prefix(before)?.strip_suffix(after)?.parse().ok());
    numbers.max().with_context(|| format!("there is no package {before}N{after}"))
}

/// Fetches the packages into `directory` and returns the files.
pub(crate) fn download(packages: &[String], directory: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    run(Command::new("apt-get")
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download"])
        .args(packages)
        .current_dir(directory))?;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Unpacks a package below `prefix`.
pub(crate) fn unpack(package: &Path, prefix: &Path) -> Result<()> {
    let status = Command::new("dpkg-deb").arg("-x").args([package, prefix]).status()?;
    if !status.success() {
        bail!("cannot unpack {}", package.display());
    }
    Ok(())
}
