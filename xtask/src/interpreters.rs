//! The interpreters that come in the binary, compiled anew from pinned sources by the guests' own C compiler.
//!
//! What is in the tree stays unless its bytes change, and its manifest is brought up to date with it. Nobody needs this
//! to build Potluck; it is run when an interpreter is to be a newer one, or to see where the bytes come from.

mod recipe;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{cargo, read, run};
use crate::toolchain::{self, CCompiler};
use crate::workspace::Workspace;
use recipe::{RECIPES, Recipe};

/// Names the crates that carry the sources, and their digests; nothing of it is compiled as Rust.
const SOURCES: [(&str, &str); 2] = [
    ("Cargo.toml", include_str!("../interpreters/Cargo.toml.in")),
    ("Cargo.lock", include_str!("../interpreters/Cargo.lock.in")),
];

/// Compiles all of them.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let compiler = toolchain::c(workspace)?;
    for recipe in &RECIPES {
        let sources = sources(workspace, recipe)?;
        let made = compile(workspace, &compiler, recipe, &sources)?;
        keep(workspace, recipe, &made)?;
    }
    Ok(())
}

/// Where the sources of a recipe lie, once cargo has fetched and checked them.
fn sources(workspace: &Workspace, recipe: &Recipe) -> Result<PathBuf> {
    let folder = workspace.guest_build("interpreters");
    fs::create_dir_all(folder.join("src")).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("src/lib.rs"), "").context("cannot write the carrier of sources")?;
    for (name, text) in SOURCES {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let mut command = cargo();
    command.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    let metadata: Value = serde_json::from_str(&read(&mut command)?).context("cargo metadata is no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package = packages.iter().find(|package| package["name"] == recipe.package);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.with_context(|| format!("there are no sources of {}", recipe.package))?;
    Ok(Path::new(manifest).parent().context("a manifest lies in a folder")?.join(recipe.folder))
}

fn compile(workspace: &Workspace, compiler: &CCompiler, recipe: &Recipe, sources: &Path) -> Result<PathBuf> {
    let own = own_folder(workspace, recipe);
    let made = workspace.guest_build("interpreters").join(format!("{}.wasm", recipe.name));
    let mut command = compiler.clang();
    command.args(["-std=gnu17", "-O2", "-w"]).args(recipe.flags);
    for header in recipe.included {
        command.arg("-include").arg(own.join(header));
    }
    command.arg("-I").arg(&own).arg("-I").arg(sources);
    command.args(recipe.sources(sources)?).args(recipe.own.iter().map(|name| own.join(name)));
    run(command.args(recipe.libraries).arg("-o").arg(&made))?;
    Ok(made)
}

/// Puts what was made into the tree, unless it is there.
fn keep(workspace: &Workspace, recipe: &Recipe, made: &Path) -> Result<()> {
    let folder = own_folder(workspace, recipe);
    let program = folder.join(format!("{}.wasm", recipe.name));
    let bytes = fs::read(made).with_context(|| format!("cannot read {}", made.display()))?;
    if fs::read(&program).is_ok_and(|present| present == bytes) {
        eprintln!("{}: the bytes in the tree are those of its sources", recipe.name);
        return Ok(());
    }
    fs::write(&program, &bytes).with_context(|| format!("cannot write {}", program.display()))?;
    let digest = read(std::process::Command::new("sha256sum").arg(&program))?;
    let sha256 = digest.split(' ').next().context("sha256sum printed nothing")?;
    let manifest = folder.join("environment.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let Some((kept, _)) = text.split_once("sha256 = ") else {
        bail!("{} names no sha256", manifest.display());
    };
    let text = format!("{kept}sha256 = \"{sha256}\"\nsize = {}\n", bytes.len());
    fs::write(&manifest, text).with_context(|| format!("cannot write {}", manifest.display()))?;
    eprintln!("{}: {} new bytes are in the tree; its `version` is for you to check", recipe.name, bytes.len());
    Ok(())
}

fn own_folder(workspace: &Workspace, recipe: &Recipe) -> PathBuf {
    workspace.root().join("node/interpreters").join(recipe.name)
}
