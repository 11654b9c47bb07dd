//! The order of the crates, strictly downward, read from the manifests and from the names that sources use.
//!
//! ```text
//! cli ──► node ──► runtime ──► guest-sdk (its `abi` module only)
//! tests, benches, examples ──► anything;  nothing ──► them
//! ```

use std::fs;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Breach;
use super::source::SourceFile;
use crate::workspace::Workspace;

/// What one of our crates may know.
struct Rule {
    /// Its folder, below the work tree.
    folder: &'static str,
    /// Its own name, which its tests and examples use from outside.
    own: &'static str,
    /// Our crates that it may name.
    below: &'static [&'static str],
    /// Other people's crates that are another layer's business.
    strange: &'static [&'static str],
}

/// Everything of ours that can be depended on.
const OURS: [&str; 6] =
    ["potluck-guest", "potluck-runtime", "potluck-node", "potluck", "potluck-tests", "potluck-benches"];

const RULES: [Rule; 7] = [
    Rule { folder: "guest-sdk", own: "potluck-guest", below: &[], strange: &[] },
    Rule {
        folder: "runtime",
        own: "potluck-runtime",
        below: &["potluck-guest"],
        strange: &["quinn", "rustls", "clap", "anyhow"],
    },
    Rule {
        folder: "node",
        own: "potluck-node",
        below: &["potluck-runtime"],
        strange: &["clap", "wasmtime", "wasmtime-wasi", "indicatif", "anyhow", "tracing-subscriber"],
    },
    // The cli names the runtime for one thing: `potluck worker`, the child process, has its life there.
    Rule {
        folder: "cli",
        own: "potluck",
        below: &["potluck-node", "potluck-runtime"],
        strange: &["quinn", "rustls", "wasmtime"],
    },
    Rule { folder: "xtask", own: "xtask", below: &[], strange: &["wasmtime", "tokio", "clap"] },
    Rule {
        folder: "tests",
        own: "potluck-tests",
        below: &["potluck-guest", "potluck-runtime", "potluck-node", "potluck", "potluck-tests"],
        strange: &["anyhow"],
    },
    Rule {
        folder: "benches",
        own: "potluck-benches",
        below: &["potluck-guest", "potluck-runtime", "potluck-node", "potluck", "potluck-benches"],
        strange: &[],
    },
];

/// Each manifest names only what its rule allows.
pub(crate) fn check_manifests(workspace: &Workspace, breaches: &mut Vec<Breach>) -> Result<()> {
    for rule in &RULES {
        let file = format!("{}/Cargo.toml", rule.folder);
        let path = workspace.root().join(&file);
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        let manifest: Table = text.parse().with_context(|| format!("cannot parse {file}"))?;
        for name in dependencies(&manifest) {
            if let Some(what) = objection(rule, &name) {
                let line = text.lines().position(|line| line.starts_with(&name)).map_or(1, |index| index + 1);
                breaches.push(Breach { file: file.clone(), line, what });
            }
        }
    }
    Ok(())
}

/// Each source file names only crates that its rule allows, whatever the manifest says.
pub(crate) fn check_uses(file: &SourceFile, breaches: &mut Vec<Breach>) {
    let is_inside = |rule: &&Rule| file.path.starts_with(&format!("{}/", rule.folder));
    let Some(rule) = RULES.iter().find(is_inside) else {
        return;
    };
    // The chores name crates in text, of which this file is full; their manifest says that they use none.
    if rule.folder == "xtask" || !file.path.ends_with(".rs") {
        return;
    }
    for (number, line) in file.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        let is_outside =
            ["tests", "examples"].iter().any(|part| file.path.starts_with(&format!("{}/{part}/", rule.folder)));
        let foreign = OURS.iter().filter(|name| !(is_outside && **name == rule.own));
        for name in foreign.filter(|name| names_crate(line, &name.replace('-', "_"))) {
            if let Some(what) = objection(rule, name) {
                breaches.push(Breach { file: file.path.clone(), line: number + 1, what });
            }
        }
        if rule.folder == "runtime" && line.contains("potluck_guest::") && !line.contains("potluck_guest::abi") {
            let what = "the runtime shares constants with guests, nothing else: potluck_guest::abi".to_owned();
            breaches.push(Breach { file: file.path.clone(), line: number + 1, what });
        }
    }
}

fn objection(rule: &Rule, name: &str) -> Option<String> {
    let is_ours = OURS.contains(&name) && !rule.below.contains(&name);
    if is_ours {
        return Some(format!("{} does not know {name}: crates depend strictly downward", rule.folder));
    }
    rule.strange
        .contains(&name)
        .then(|| format!("{} does not know {name}: it is another crate's business", rule.folder))
}

/// The names in every dependency table of a manifest, those for one platform included.
fn dependencies(manifest: &Table) -> Vec<String> {
    const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut tables: Vec<&Table> = vec![manifest];
    if let Some(Value::Table(platforms)) = manifest.get("target") {
        tables.extend(platforms.values().filter_map(Value::as_table));
    }
    let lists = tables.iter().flat_map(|table| TABLES.iter().filter_map(|name| table.get(*name)?.as_table()));
    lists.flat_map(|list| list.keys().cloned()).collect()
}

/// Whether a line of Rust uses a path into the crate.
fn names_crate(line: &str, name: &str) -> bool {
    let is_part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(name).any(|(start, _)| {
        let starts_word = !line[..start].ends_with(|last: char| is_part_of_word(last) || last == '"' || last == '-');
        starts_word && line[start + name.len()..].starts_with("::")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> usize {
        let mut breaches = Vec::new();
        check_uses(&SourceFile { path: path.to_owned(), text: text.to_owned(), is_test_module: false }, &mut breaches);
        breaches.len()
    }

    #[test]
    fn an_upward_use_is_a_breach() {
        assert_eq!(breaches("runtime/src/a.rs", "use potluck_node::NodeId;"), 1);
        assert_eq!(breaches("node/src/a.rs", "use potluck_runtime::Digest;"), 0);
        assert_eq!(breaches("node/src/a.rs", "let a = potluck_guest::abi::TEMP_DIR;"), 1);
    }

    #[test]
    fn the_tests_of_a_crate_use_it_by_name() {
        assert_eq!(breaches("runtime/tests/a.rs", "use potluck_runtime::Digest;"), 0);
        assert_eq!(breaches("runtime/tests/a.rs", "use potluck_node::NodeId;"), 1);
    }

    #[test]
    fn the_runtime_takes_only_constants_from_the_guest_crate() {
        assert_eq!(breaches("runtime/src/a.rs", "use potluck_guest::abi;"), 0);
        assert_eq!(breaches("runtime/src/a.rs", "use potluck_guest::progress;"), 1);
    }

    #[test]
    fn a_name_inside_a_longer_word_or_a_comment_is_no_use() {
        assert_eq!(breaches("runtime/src/a.rs", "use my_potluck_node::a;"), 0);
        assert_eq!(breaches("runtime/src/a.rs", "// potluck_node::a knows peers"), 0);
        assert_eq!(breaches("runtime/src/a.rs", "let potluck_node = 1;"), 0);
    }

    #[test]
    fn dependencies_of_one_platform_and_of_tests_are_seen() {
        let text = "[dependencies]\na = '1'\n[dev-dependencies]\nb = '1'\n[target.'cfg(unix)'.dependencies]\nc = '1'\n";
        let manifest: Table = text.parse().expect("the sample is TOML");
        assert_eq!(dependencies(&manifest), ["a", "b", "c"]);
    }
}
