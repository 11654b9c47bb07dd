//! Every dependency of the workspace has a sentence that says what it saves.

use std::fs;

use anyhow::{Context, Result};

use super::Breach;
use crate::workspace::Workspace;

const FILE: &str = "Cargo.toml";

pub(crate) fn check(workspace: &Workspace, breaches: &mut Vec<Breach>) -> Result<()> {
    let text = fs::read_to_string(workspace.root().join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    for (line, name) in without_sentence(&text) {
        let what = format!("{name} has no sentence above it that says what it saves");
        breaches.push(Breach { file: FILE.to_owned(), line, what });
    }
    Ok(())
}

/// The dependencies that have no comment directly above them, with their lines. Our own crates need none.
fn without_sentence(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_inside = false;
    let mut has_sentence = false;
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            is_inside = line == "[workspace.dependencies]";
        }
        let is_theirs = is_inside && !line.starts_with('#') && line.contains('=') && !line.contains("path = ");
        if is_theirs && !has_sentence {
            found.push((index + 1, line.split([' ', '=']).next().unwrap_or(line)));
        }
        has_sentence = line.starts_with('#');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::without_sentence;

    #[test]
    fn a_dependency_needs_a_sentence_and_a_path_of_ours_does_not() {
        let manifest =
            "[workspace.dependencies]\nours = { path = \"ours\" }\n# Saves a parser.\na = \"1\"\n\nb = \"1\"\n";
        assert_eq!(without_sentence(manifest), [(6, "b")]);
    }

    #[test]
    fn a_sentence_speaks_for_one_dependency() {
        let manifest = "[workspace.dependencies]\n# Saves a parser.\na = \"1\"\nb = \"1\"\n[other]\nc = 1\n";
        assert_eq!(without_sentence(manifest), [(4, "b")]);
    }
}
