//! The files that people write: what lies in the work tree, less what is built or fetched.

use std::collections::BTreeSet;
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
    /// Whether its parent declares it under `#[cfg(test)]`.
    pub(crate) is_test_module: bool,
}

impl SourceFile {
    /// Whether all of it is there for tests, measurements or as a guest, where a panic is an answer.
    pub(crate) fn is_for_tests(&self) -> bool {
        let mut parts = self.path.split('/');
        self.is_test_module
            || parts.any(|part| matches!(part, "tests" | "benches" | "fuzz" | "tests.rs" | "testkit" | "testkit.rs"))
    }

    /// The files of the modules that this one declares under `#[cfg(test)]`.
    fn test_modules(&self) -> impl Iterator<Item = String> {
        let (stem, _) = self.path.rsplit_once('.').unwrap_or((&self.path, ""));
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let folder = if matches!(name, "lib" | "main" | "mod") { folder } else { stem };
        let lines = self.text.lines().map(str::trim);
        lines.clone().zip(lines.skip(1)).filter(|(line, _)| *line == "#[cfg(test)]").filter_map(move |(_, next)| {
            let (_, declared) = next.split_once("mod ")?;
            Some(format!("{folder}/{}.rs", declared.strip_suffix(';')?))
        })
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
    let test_modules: BTreeSet<String> = found.iter().flat_map(SourceFile::test_modules).collect();
    for file in &mut found {
        file.is_test_module = test_modules.contains(&file.path);
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
            found.push(SourceFile { path, text, is_test_module: false });
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::SourceFile;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned(), is_test_module: false }
    }

    #[test]
    fn modules_for_tests_are_found_where_they_lie() {
        let text = "#[cfg(test)]\nmod golden;\nmod other;\n#[cfg(test)]\nmod tests {\n}\n";
        let modules = |path| file(path, text).test_modules().collect::<Vec<_>>();
        assert_eq!(modules("node/src/wire.rs"), ["node/src/wire/golden.rs"]);
        assert_eq!(modules("node/src/lib.rs"), ["node/src/golden.rs"]);
    }

    #[test]
    fn what_stands_under_cfg_test_does_not_ship() {
        let text = "a\n#[cfg(test)]\nmod tests {\n    b\n}\nc\n#[cfg(test)]\nmod more;\n// d\ne\n";
        let file = file("x.rs", text);
        let shipped: Vec<_> = file.shipped_lines().collect();
        assert_eq!(shipped, [(1, "a"), (6, "c"), (10, "e")]);
    }
}
