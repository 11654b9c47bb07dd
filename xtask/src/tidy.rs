//! The house rules that no compiler checks. Every breach is printed with its place; one is enough to fail.

mod manifest;
mod order;
mod source;
mod text;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// A place and what is wrong there.
pub(crate) struct Breach {
    file: String,
    line: usize,
    what: String,
}

/// Checks them all.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let files = source::files(workspace)?;
    let mut breaches = Vec::new();
    for file in &files {
        text::check(file, &mut breaches);
        order::check_uses(file, &mut breaches);
    }
    order::check_manifests(workspace, &mut breaches)?;
    manifest::check(workspace, &mut breaches)?;
    for Breach { file, line, what } in &breaches {
        eprintln!("{file}:{line}: {what}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the house rules", breaches.len());
    }
    eprintln!("tidy: {} files keep the house rules", files.len());
    Ok(())
}
