//! The packages that a script brings along: those that are typed, those it names itself, and those of a `requirements.txt` beside
//! it. Where they come from is said, unless they are typed.

use crate::exit::{Refusal, Trouble};
use crate::progress::{Manner, Progress};
use crate::render::{say, sentence};
use clap::Args;
use potluck_node::client::Client;
use potluck_runtime::wheels::declared::{LIST_LEN_MAX, inline, requirements_file};
use potluck_runtime::wheels::requirement::Requirement;
use potluck_runtime::wheels::resolve::{Found, Freshness, PackagesError, resolve};
use std::path::{Path, PathBuf};

/// What a list of packages beside a script is called.
const LIST: &str = "requirements.txt";
/// The environment whose packages these are.
const PYTHON: &str = "python";
/// Bytes of a script that are looked at for what it says of itself.
const SCRIPT_LEN_MAX: u64 = 16 << 20;

// Which packages a script brings along. No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PackageArgs {
    /// Send a package along that is written in Python alone, with all it needs; found by this machine's pip, once
    #[arg(long = "with", value_name = "PACKAGE[==VERSION]", value_parser = parse)]
    with: Vec<Requirement>,
    /// Leave a `requirements.txt` beside the script alone
    #[arg(long)]
    no_requirements: bool,
    /// Ask pip again for packages that were found before; those without a version are asked for again after a day
    #[arg(long)]
    refresh_packages: bool,
}

fn parse(text: &str) -> Result<Requirement, String> {
    Requirement::parse(text).map_err(|error| error.to_string())
}

/// What a script says it needs, and where.
struct Declared {
    requirements: Vec<Requirement>,
    place: Option<PathBuf>,
}

impl PackageArgs {
    /// What a program brings along.
    pub(crate) async fn found(
        &self,
        client: &Client,
        program: &Path,
        environment: Option<&str>,
        quiet: bool,
    ) -> anyhow::Result<Found> {
        let Some(script) = script_of(program, environment) else {
            if self.with.is_empty() {
                return Ok(Found::default());
            }
            let text = format!(
                "cannot run {}: only Python scripts bring packages along; leave `--with` out",
                program.display()
            );
            return Err(Refusal::error(Trouble::CannotRun, text));
        };
        let declared = self.declared(&script, program)?;
        let mut asked = self.with.clone();
        asked.extend(declared.requirements);
        if asked.is_empty() {
            return Ok(Found::default());
        }
        let progress = Progress::new(Manner::suitable(quiet));
        let freshness = if self.refresh_packages { Freshness::Anew } else { Freshness::AsFound };
        let found = resolve(&client.paths().cache_dir, &asked, freshness, &progress).await;
        if found.is_ok() {
            progress.finish()
        } else {
            progress.abandon()
        }
        let found = found.map_err(|error| refusal(error, declared.place.as_deref()))?;
        if !quiet {
            tell(&found, declared.place.as_deref());
        }
        Ok(found)
    }

    /// Refuses packages that are typed for a program in a container: its image has them, or has them not.
    pub(crate) fn refuse_in_container(&self, program: &Path) -> anyhow::Result<()> {
        if self.with.is_empty() {
            return Ok(());
        }
        let text = format!(
            "cannot run {}: in a container the image has the packages; leave `--with` out, and choose an image that has them",
            program.display()
        );
        Err(Refusal::error(Trouble::CannotRun, text))
    }

    /// What the script says. Where it says it itself, a list beside it is for something else.
    fn declared(&self, script: &Path, program: &Path) -> anyhow::Result<Declared> {
        let nothing = Declared { requirements: Vec::new(), place: None };
        let refuse = |place: &Path, error: &dyn std::error::Error| {
            let why = sentence(&anyhow::anyhow!("{}", chain(error)));
            Refusal::error(Trouble::CannotRun, format!("cannot use {}: {why}", place.display()))
        };
        if let Some(source) = text(script, SCRIPT_LEN_MAX)
            && let Some(requirements) = inline(&source).map_err(|error| refuse(script, &error))?
        {
            return Ok(Declared { requirements, place: None });
        }
        if self.no_requirements {
            return Ok(nothing);
        }
        let folder = if program.is_dir() { Some(program) } else { script.parent() };
        let list = folder.map(|folder| folder.join(LIST)).filter(|list| list.is_file());
        let Some(list) = list else { return Ok(nothing) };
        let source = text(&list, LIST_LEN_MAX as u64);
        let source = source.ok_or_else(|| refuse(&list, &std::io::Error::other("it is no text of at most 1 MiB")))?;
        let requirements = requirements_file(&source).map_err(|error| {
            let why = chain(&error);
            let text = format!("cannot use {}: {why}; `--no-requirements` leaves it alone", list.display());
            Refusal::error(Trouble::CannotRun, text)
        })?;
        Ok(Declared { requirements, place: Some(list) })
    }
}

/// The script of a program, if it is one for Python.
fn script_of(program: &Path, environment: Option<&str>) -> Option<PathBuf> {
    let is_python = || program.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("py"));
    match environment {
        Some(name) if name != PYTHON => None,
        _ if program.is_dir() => Some(program.join("__main__.py")),
        Some(_) => Some(program.to_owned()),
        None => is_python().then(|| program.to_owned()),
    }
}

/// What cannot be read is for whoever runs it to say.
fn text(path: &Path, most: u64) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > most {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// What people should know of packages that they did not type.
fn tell(found: &Found, list: Option<&Path>) {
    if let Some(why) = &found.stale {
        say(why);
    }
    let Some(list) = list.filter(|_| !found.wheels.is_empty()) else { return };
    let names: Vec<&str> = found.wheels.iter().map(|wheel| package(&wheel.name)).collect();
    say(&format!("packages of {}: {} (`--no-requirements` leaves them out)", list.display(), names.join(", ")));
}

/// A wheel's package and version.
fn package(wheel: &str) -> &str {
    wheel.match_indices('-').nth(1).map_or(wheel, |(at, _)| &wheel[..at])
}

fn refusal(error: PackagesError, list: Option<&Path>) -> anyhow::Error {
    let trouble = match &error {
        PackagesError::Misfit { .. }
        | PackagesError::NoSuchPackage { .. }
        | PackagesError::NoSuchVersion { .. }
        | PackagesError::Native { .. }
        | PackagesError::Conflict { .. }
        | PackagesError::Many { .. }
        | PackagesError::Wheel { .. } => Trouble::CannotRun,
        PackagesError::NoPip { .. }
        | PackagesError::PipStart { .. }
        | PackagesError::NoNetwork { .. }
        | PackagesError::Pip { .. }
        | PackagesError::Disk { .. } => Trouble::Failed,
    };
    let text = sentence(&anyhow::Error::new(error));
    let cure = list.map(|list| format!("\nit is asked for by {}; `--no-requirements` leaves that out", list.display()));
    Refusal::error(trouble, text + &cure.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_told_by_its_package_and_version() {
        assert_eq!(package("humanize-4.9.0-py3-none-any.whl"), "humanize-4.9.0");
        assert_eq!(package("odd.whl"), "odd.whl");
    }

    #[test]
    fn scripts_and_folders_bring_packages_and_other_programs_do_not() {
        assert_eq!(script_of(Path::new("x.py"), None), Some("x.py".into()));
        assert_eq!(script_of(Path::new("x"), Some("python")), Some("x".into()));
        assert_eq!((script_of(Path::new("x.wasm"), None), script_of(Path::new("x.py"), Some("js"))), (None, None));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(script_of(dir.path(), None), Some(dir.path().join("__main__.py")));
    }
}
