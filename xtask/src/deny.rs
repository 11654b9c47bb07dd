//! Licences, sources, bans and duplicate versions, as `deny.toml` states them.
//!
//! The file is cargo-deny's own format, and cargo-deny runs as well where it is installed. The check here needs neither
//! its build nor a network; what it leaves out is the advisories.

mod license;

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use toml::Table;

use crate::command::{cargo, find, read, run};
use crate::workspace::Workspace;

/// The rules that are read from `deny.toml`.
struct Rules {
    targets: Vec<String>,
    licenses: Vec<String>,
    bans: Vec<(String, String)>,
    skips: Vec<String>,
}

/// One package of the tree.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    license: String,
    source: Option<String>,
}

/// Checks the tree of `Cargo.lock`.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let path = workspace.root().join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let rules = Rules::parse(&text).context("cannot read deny.toml")?;
    let packages = packages(workspace, &rules)?;
    let breaches = breaches(&rules, &packages);
    for breach in &breaches {
        eprintln!("deny: {breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of deny.toml", breaches.len());
    }
    eprintln!("deny: {} packages keep deny.toml", packages.len());
    if find("cargo-deny").is_some() {
        run(cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]).current_dir(workspace.root()))?;
    }
    Ok(())
}

impl Rules {
    fn parse(text: &str) -> Result<Self> {
        let rules: Table = text.parse()?;
        let list = |table: &str, key: &str| -> Result<Vec<toml::Value>> {
            let value = rules.get(table).and_then(|table| table.get(key)).and_then(toml::Value::as_array);
            value.cloned().with_context(|| format!("[{table}] has no list {key}"))
        };
        let text_of = |value: &toml::Value, key: &str| -> Result<String> {
            let text = value.get(key).and_then(toml::Value::as_str);
            text.map(str::to_owned).with_context(|| format!("an entry has no {key}: {value}"))
        };
        let texts = |table: &str, key: &str| -> Result<Vec<String>> {
            let strings = list(table, key)?;
            strings.iter().map(|value| Ok(value.as_str().context("an entry is no string")?.to_owned())).collect()
        };
        let bans = list("bans", "deny")?;
        let skips = list("bans", "skip")?;
        Ok(Self {
            targets: texts("graph", "targets")?,
            licenses: texts("licenses", "allow")?,
            bans: bans
                .iter()
                .map(|ban| Ok((text_of(ban, "crate")?, text_of(ban, "reason")?)))
                .collect::<Result<_>>()?,
            skips: skips.iter().map(|skip| text_of(skip, "crate")).collect::<Result<_>>()?,
        })
    }

    /// `name@version`, where the version may be cut short: `syn@2` is every 2.x.
    fn skips(&self, name: &str, version: &str) -> bool {
        self.skips.iter().filter_map(|skip| skip.split_once('@')).any(|(skipped, start)| {
            let rest = version.strip_prefix(start);
            skipped == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// Every package that is built for one of the targets.
fn packages(workspace: &Workspace, rules: &Rules) -> Result<Vec<Package>> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(workspace.root());
    for target in &rules.targets {
        command.args(["--filter-platform", target]);
    }
    let metadata: Value = serde_json::from_str(&read(&mut command)?).context("cannot read cargo's metadata")?;
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo's metadata has no tree")?;
    let built: Vec<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let all = metadata["packages"].as_array().context("cargo's metadata has no packages")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut packages: Vec<Package> = all
        .iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| built.contains(&id)))
        .map(|package| Package {
            name: text(&package["name"]),
            version: text(&package["version"]),
            license: text(&package["license"]),
            source: package["source"].as_str().map(str::to_owned),
        })
        .collect();
    packages.sort();
    Ok(packages)
}

fn breaches(rules: &Rules, packages: &[Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Package { name, version, license, source } in packages {
        // Without a source it is ours.
        let Some(source) = source else { continue };
        if !source.starts_with("registry+") {
            breaches.push(format!("{name} {version} does not come from the registry"));
        }
        if !license::is_allowed(license, &rules.licenses) {
            breaches.push(format!("{name} {version} is under {license:?}, which [licenses] does not allow"));
        }
        if let Some((_, reason)) = rules.bans.iter().find(|(banned, _)| banned == name) {
            breaches.push(format!("{name} {version} is banned: {reason}"));
        }
        if !rules.skips(name, version) {
            versions.entry(name).or_default().push(version);
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        breaches.push(format!("{name} is built in {} versions: {}", versions.len(), versions.join(", ")));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            targets: Vec::new(),
            licenses: vec!["MIT".to_owned()],
            bans: vec![("openssl".to_owned(), "one TLS stack".to_owned())],
            skips: vec!["syn@2".to_owned()],
        }
    }

    fn package(name: &str, version: &str, license: &str, source: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.to_owned(),
            source: Some(source.to_owned()),
        }
    }

    #[test]
    fn a_plain_tree_passes() {
        let tree = [package("a", "1.0.0", "MIT", "registry+x"), package("syn", "2.1.0", "MIT", "registry+x")];
        assert_eq!(breaches(&rules(), &tree), Vec::<String>::new());
    }

    #[test]
    fn each_rule_bites() {
        for (tree, expected) in [
            (vec![package("a", "1.0.0", "GPL-3.0", "registry+x")], "GPL-3.0"),
            (vec![package("a", "1.0.0", "MIT", "git+x")], "registry"),
            (vec![package("openssl", "1.0.0", "MIT", "registry+x")], "one TLS stack"),
            (
                vec![package("a", "1.0.0", "MIT", "registry+x"), package("a", "2.0.0", "MIT", "registry+x")],
                "2 versions",
            ),
        ] {
            let found = breaches(&rules(), &tree);
            assert!(found.len() == 1 && found[0].contains(expected), "{found:?} does not name {expected}");
        }
    }

    #[test]
    fn a_skipped_version_may_stand_beside_another() {
        let tree = [package("syn", "2.1.0", "MIT", "registry+x"), package("syn", "3.0.0", "MIT", "registry+x")];
        assert_eq!(breaches(&rules(), &tree), Vec::<String>::new());
        assert!(!rules().skips("syn", "20.0.0"));
    }
}
