//! The crates depend on each other strictly downward: cli, node, runtime, and the guest SDK's contract.

use potluck_tests::workspace;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Each crate's directory, its name in code, and the crates of ours it may use.
const EDGES: [(&str, &[&str]); 4] = [
    ("guest-sdk", &[]),
    ("runtime", &["potluck_guest"]),
    ("node", &["potluck_runtime", "potluck_guest"]),
    ("cli", &["potluck_node", "potluck_runtime"]),
];
const OURS: [&str; 6] =
    ["potluck_guest", "potluck_runtime", "potluck_node", "potluck_tests", "potluck_benches", "xtask"];
/// What a layer must not know at all.
const STRANGE: [(&str, &[&str]); 2] =
    [("runtime", &["quinn", "clap", "rustls", "rcgen"]), ("node", &["clap", "wasmtime", "wasmtime_wasi", "indicatif"])];

#[test]
fn crates_depend_strictly_downward() {
    for (directory, allowed) in EDGES {
        let used = ours_used_by(directory);
        let extra: Vec<_> = used.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(extra.is_empty(), "{directory} uses {extra:?}, which is not below it");
    }
}

#[test]
fn no_layer_knows_what_belongs_to_another() {
    for (directory, strange) in STRANGE {
        let manifest = manifest_names(directory);
        for name in strange {
            assert!(!manifest.contains(*name), "{directory}/Cargo.toml depends on {name}");
            let users =
                sources(directory).filter(|(_, text)| text.contains(&format!("{name}::"))).map(|(path, _)| path);
            assert_eq!(users.collect::<Vec<_>>(), Vec::<String>::new(), "{name} is used");
        }
    }
}

#[test]
fn the_check_would_see_an_edge() {
    assert!(ours_used_by("cli").contains("potluck_node"), "the cli does use the node; if this is not seen, nothing is");
    assert!(manifest_names("node").contains("quinn"));
}

fn ours_used_by(directory: &str) -> BTreeSet<String> {
    let mut used: BTreeSet<String> =
        manifest_names(directory).into_iter().filter(|name| OURS.contains(&name.as_str())).collect();
    for (_, text) in sources(directory) {
        used.extend(OURS.iter().filter(|name| text.contains(&format!("{name}::"))).map(|name| (*name).to_owned()));
    }
    used
}

/// The names in every table of dependencies of a manifest, as code spells them. Those for tests alone do not count:
/// nothing ships with them.
fn manifest_names(directory: &str) -> BTreeSet<String> {
    let path = workspace().join(directory).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut counts = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if let Some(table) = line.trim().strip_prefix('[') {
            counts = table.trim_end_matches(']').ends_with("dependencies") && !table.contains("dev-dependencies");
        } else if counts && let Some((name, _)) = line.split_once(['=', '.']) {
            names.insert(name.trim().replace('-', "_"));
        }
    }
    names
}

fn sources(directory: &str) -> impl Iterator<Item = (String, String)> {
    let mut open = vec![workspace().join(directory).join("src")];
    let mut found = Vec::new();
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension() == Some("rs".as_ref()) {
                found.push((path.display().to_string(), read(&path)));
            }
        }
    }
    found.into_iter()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
