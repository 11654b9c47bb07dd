//! Asks the submitter's pip for wheels. What it prints is for people, so only a few sentences of it that have stood for many
//! versions are read; everything else is shown as it was said.

use super::PYTHON_VERSION;
use super::failed::{PackagesError, failed};
use super::requirement::{Requirement, normal};
use super::stubs::Stubs;
use crate::fetch::{self, last_lines};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::process::Command;

/// Packages with compiled parts that are built in and that people ask for.
const COMPILED: [&str; 10] =
    ["numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "matplotlib", "pillow", "lxml", "regex", "pyyaml"];
/// Versions that are named where another was asked for.
const VERSIONS_SHOWN: usize = 8;
/// What is said of a package that nobody can be found for.
const NONE_FOUND: &str = "No matching distribution found for ";
/// What is said before the versions that there are.
const THERE_ARE: &str = "(from versions: ";
/// What is said where hashes do not match, or are missing.
const UNMATCHED: [&str; 2] = ["THESE PACKAGES DO NOT MATCH THE HASHES", "Hashes are required in --require-hashes mode"];
/// What is said where nothing is reached.
const UNREACHED: [&str; 7] = [
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "ConnectTimeoutError",
    "ProxyError",
    "Max retries exceeded",
];

/// Downloads what is asked for, with all it needs, into a directory. Dropping the future ends pip.
///
/// Once one of them has hashes, pip wants hashes of all; what is `built_in` is asked for with those of its empty wheel then.
pub(super) async fn download(
    (asked, built_in): (&[Requirement], &[&str]),
    stubs: &Stubs,
    into: &Path,
) -> Result<(), PackagesError> {
    let all = named(asked);
    let pip = fetch::pip().await.ok_or_else(|| PackagesError::NoPip { asked: all.clone() })?;
    let mut command = pip_command(pip, into);
    command
        .args(["download", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2"])
        .args(["--only-binary", ":all:", "--python-version", PYTHON_VERSION, "--implementation", "py"])
        .args(["--abi", "none", "--platform", "any", "--find-links"])
        .arg(&stubs.links)
        .arg("--constraint")
        .arg(&stubs.constraints)
        .arg("--dest")
        .arg(into);
    if asked.iter().any(Requirement::has_hashes) {
        command.arg("--requirement").arg(list(asked, stubs.lines(built_in)?, into)?);
    } else {
        command.arg("--").args(asked.iter().map(ToString::to_string));
    }
    let ended = run(pip, &mut command).await?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    tracing::debug!(%said, "pip found no packages");
    Err(explain(pip, all, &said, into).await)
}

/// A list for pip, beside what it brings: hashes are said in a list alone.
fn list(asked: &[Requirement], built_in: Vec<String>, into: &Path) -> Result<PathBuf, PackagesError> {
    let path = into.with_file_name("asked.txt");
    let lines: Vec<String> = asked.iter().map(Requirement::line).chain(built_in).collect();
    std::fs::write(&path, lines.join("\n")).map_err(failed("write", &path))?;
    Ok(path)
}

fn pip_command(pip: &[&str], aside: &Path) -> Command {
    let mut command = Command::new(pip[0]);
    command.args(&pip[1..]).env("TMPDIR", aside).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

async fn run(pip: &[&str], command: &mut Command) -> Result<Output, PackagesError> {
    command.output().await.map_err(|source| PackagesError::PipStart { program: pip.join(" "), source })
}

/// Why nothing was found.
async fn explain(pip: &[&str], asked: String, said: &str, aside: &Path) -> PackagesError {
    if UNREACHED.iter().any(|words| said.contains(words)) {
        return PackagesError::NoNetwork { asked };
    }
    if let Some(missing) = missing(said) {
        if !missing.versions.is_empty() {
            let there = format!(" written in Python alone; the last there are: {}", missing.versions.join(", "));
            return PackagesError::NoSuchVersion { asked: missing.asked, there };
        }
        // Without any version it is either not there at all or not as Python alone.
        let known = is_known(pip, &missing.name, aside).await;
        return if known {
            let built_in = COMPILED.join(", ");
            PackagesError::Native { name: missing.name, built_in }
        } else {
            PackagesError::NoSuchPackage { name: missing.name }
        };
    }
    let words = |at: usize| said[at..].lines().take(12).collect::<Vec<_>>().join("\n").trim().to_owned();
    if let Some(at) = UNMATCHED.iter().find_map(|sentence| said.find(sentence)) {
        return PackagesError::Pip { program: pip.join(" "), asked, said: words(at) };
    }
    match said.find("The conflict is caused by") {
        Some(at) => PackagesError::Conflict { asked, said: words(at) },
        None => PackagesError::Pip { program: pip.join(" "), asked, said: last_lines(said.as_bytes()) },
    }
}

/// Whether anything of this name can be had, for whatever machine.
async fn is_known(pip: &[&str], name: &str, aside: &Path) -> bool {
    let mut command = pip_command(pip, aside);
    command.args(["index", "versions", "--no-input", "--disable-pip-version-check", "--pre", "--", name]);
    run(pip, &mut command).await.is_ok_and(|ended| ended.status.success())
}

/// What was not found.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    asked: String,
    name: String,
    versions: Vec<String>,
}

fn missing(said: &str) -> Option<Missing> {
    let line = said.lines().rev().find_map(|line| line.split_once(NONE_FOUND))?.1;
    let asked = line.split(" (from").next().unwrap_or(line).trim().to_owned();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let end = asked.find(|c: char| !is_of_name(c)).unwrap_or(asked.len());
    let listed = said.lines().rev().find_map(|line| line.split_once(THERE_ARE)).map_or("none", |(_, rest)| rest);
    let listed = listed.trim_end().trim_end_matches(')');
    let all: Vec<&str> = listed.split(", ").filter(|version| *version != "none" && !version.is_empty()).collect();
    let versions = all[all.len().saturating_sub(VERSIONS_SHOWN)..].iter().map(|version| (*version).to_owned());
    Some(Missing { name: normal(&asked[..end]), versions: versions.collect(), asked })
}

/// What is asked for, for people.
pub(super) fn named(asked: &[Requirement]) -> String {
    asked.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_be_built_in_is() {
        assert!(COMPILED.iter().all(|name| crate::python::built_in(name).is_some()));
    }

    #[test]
    fn what_pip_did_not_find_is_read_from_its_words() {
        let said = "Looking in links: /x\nERROR: Could not find a version that satisfies the requirement Ujson>=1 (from a) (from versions: none)\nERROR: No matching distribution found for Ujson>=1 (from a)\n";
        let found = missing(said).unwrap();
        assert_eq!((found.name.as_str(), found.asked.as_str(), found.versions.len()), ("ujson", "Ujson>=1", 0));
        let said = "ERROR: Could not find a version that satisfies the requirement humanize==99 (from versions: 1.0, 2.0)\nERROR: No matching distribution found for humanize==99\n";
        assert_eq!(missing(said).unwrap().versions, ["1.0", "2.0"]);
        assert_eq!(missing("ERROR: something else\n"), None);
    }
}
