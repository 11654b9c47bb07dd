//! Compiles every guest of the tree to `target/guests/NAME.wasm`.
//!
//! A Rust guest becomes two files: the preview-1 module `NAME.wasm` and the preview-2 component
//! `NAME-component.wasm`. A guest in C, Go or AssemblyScript becomes a preview-1 module. The compilers come from [`crate::toolchain`].

mod assemblyscript;
mod c;
mod go;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::toolchain;
use crate::workspace::Workspace;

/// Builds them all. Nothing is compiled again that has not changed.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let out = workspace.guests();
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let compiler = toolchain::rust(workspace)?;
    for directory in rust_guests(workspace)? {
        rust::build(workspace, &compiler, &directory, &out)?;
    }
    let compiler = toolchain::c(workspace)?;
    let header = workspace.root().join("guest-sdk/c/potluck.h");
    for (source, name) in c_guests(workspace)? {
        c::build(&compiler, &source, &header, &out.join(format!("{name}.wasm")))?;
    }
    for directory in entries(&workspace.root().join("examples"))? {
        let name = file_name(&directory)?;
        let module = out.join(format!("{name}.wasm"));
        match name.split('-').next() {
            Some("go") => go::build(workspace, &toolchain::go(workspace)?, &directory, &module)?,
            Some("assemblyscript") => {
                assemblyscript::build(&toolchain::assemblyscript(workspace)?, &directory, &module)?;
            }
            _ => {}
        }
    }
    eprintln!("guests are in {}", out.display());
    Ok(())
}

/// The crates `examples/rust-*`, and those of the tests' and the benches' own guests.
fn rust_guests(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut found = entries(&workspace.root().join("examples"))?;
    found.extend(["tests/guests", "benches/guests"].map(|folder| workspace.root().join(folder)));
    found.retain(|directory| directory.join("Cargo.toml").is_file());
    Ok(found)
}

/// Each `examples/c-NAME/*.c` is one guest named after its folder; each `tests/guests/c/NAME.c` is one of its name.
fn c_guests(workspace: &Workspace) -> Result<Vec<(PathBuf, String)>> {
    let is_c = |file: &Path| file.extension().is_some_and(|extension| extension == "c");
    let mut found = Vec::new();
    for directory in entries(&workspace.root().join("examples"))? {
        let name = file_name(&directory)?;
        if name.starts_with("c-") {
            found.extend(entries(&directory)?.into_iter().filter(|file| is_c(file)).map(|file| (file, name.clone())));
        }
    }
    let tests = workspace.root().join("tests/guests/c");
    if tests.is_dir() {
        for file in entries(&tests)?.into_iter().filter(|file| is_c(file)) {
            let name = file_name(&file.with_extension(""))?;
            found.push((file, name));
        }
    }
    Ok(found)
}

/// What lies in a directory, in the order of names.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read {}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        found.push(entry.with_context(context)?.path());
    }
    found.sort();
    Ok(found)
}

/// Whether something was made after all that lies in a folder was changed.
fn is_newer_than_all(made: &Path, directory: &Path) -> Result<bool> {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let made = changed(made);
    Ok(made.is_some() && entries(directory)?.iter().all(|source| changed(source) < made))
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no name in UTF-8", path.display()))?.to_owned())
}

/// Copies a guest to its place unless the same bytes lie there already, so that what depends on it stays fresh.
fn install(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let aside = to.with_extension("partial");
    fs::write(&aside, bytes).with_context(|| format!("cannot write {}", aside.display()))?;
    fs::rename(&aside, to).with_context(|| format!("cannot write {}", to.display()))
}
