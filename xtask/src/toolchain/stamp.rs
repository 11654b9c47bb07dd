//! A made directory is whole when its stamp says so: the stamp is written last, and anything else is made again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The stamp holds the recipe and the place, because wrappers in the directory name their place.
fn text(prefix: &Path, recipe: &str) -> String {
    format!("{recipe}\n{}\n", prefix.display())
}

fn file(prefix: &Path) -> PathBuf {
    prefix.join("STAMP")
}

/// Whether `prefix` was made whole by this very recipe.
pub(crate) fn is_valid(prefix: &Path, recipe: &str) -> bool {
    fs::read_to_string(file(prefix)).is_ok_and(|present| present == text(prefix, recipe))
}

/// Runs `make` on an empty `prefix` unless it is whole already.
pub(crate) fn make_once(prefix: &Path, recipe: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if is_valid(prefix, recipe) {
        return Ok(());
    }
    if prefix.exists() {
        fs::remove_dir_all(prefix).with_context(|| format!("cannot clear {}", prefix.display()))?;
    }
    fs::create_dir_all(prefix).with_context(|| format!("cannot make {}", prefix.display()))?;
    make()?;
    fs::write(file(prefix), text(prefix, recipe)).with_context(|| format!("cannot write {}", file(prefix).display()))
}
