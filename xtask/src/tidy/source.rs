//! The files that people write: what lies in the work tree, less what is built or fetched.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Folders that hold sources; hidden ones and `target` inside them are passed over.
const FOLDERS: [&str; 8] = ["guest-sdk", "runtime", "node", "cli", "xtask", "tests", "benches", "examples"];

/// One source file.
pub(crate) struct SourceFile {
    /// Relative to the work tree, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether all of it is there for tests, measurements or as a guest, where a panic is an answer.
    pub(crate) fn is_for_tests(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| matches!(part, "tests" | "benches" | "fuzz" | "tests.rs" | "testkit" | "testkit.rs"))
    }

    /// The lines that ship: number and text, without comments and without what stands under `#[cfg(test)]`.
    pub(crate) fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut test_indent: Option<usize> = None;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            let trimmed = line.trim_start();
            let indent = line.len() - trimmed.len();
            if let Some(opened) = test_indent {
                let closes = indent == opened && (trimmed.starts_with('}') || trimmed.ends_with(';'));
                if closes {
                    test_indent = None;
                }
                return None;
            }
            if trimmed == "#[cfg(test)]" {
                test_indent = Some(indent);
                return None;
            }
            (!trimmed.starts_with("//")).then_some((index + 1, line))
        })
    }
}

/// Every Rust, Python and C file.
pub(crate) fn files(workspace: &Workspace) -> Result<Vec<SourceFile>> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let directory = workspace.root().join(folder);
        if directory.is_dir() {
            collect(workspace.root(), &directory, &mut found)?;
        }
    }
    Ok(found)
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<SourceFile>) -> Result<()> {
    let context = || format!("cannot read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name, "target" | "__pycache__") {
                collect(root, &path, found)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".py") || name.ends_with(".c") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let path = path.strip_prefix(root)?.to_string_lossy().into_owned();
            found.push(SourceFile { path, text });
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::SourceFile;

    #[test]
    fn what_stands_under_cfg_test_does_not_ship() {
        let text = "a\n#[cfg(test)]\nmod tests {\n    b\n}\nc\n#[cfg(test)]\nmod more;\n// d\ne\n";
        let file = SourceFile { path: "x.rs".to_owned(), text: text.to_owned() };
        let shipped: Vec<_> = file.shipped_lines().collect();
        assert_eq!(shipped, [(1, "a"), (6, "c"), (10, "e")]);
    }
}
