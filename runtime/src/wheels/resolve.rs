//! From what is asked for to wheels on this machine: what the environment has is taken from there, what was found before is taken
//! again, and for the rest the submitter's pip is asked.

pub use super::archive::WheelError as WheelFault;
use super::archive::{Wheel, WheelError, is_pure_tag, parts};
pub use super::failed::PackagesError;
use super::failed::failed;
use super::pip::{self, named};
use super::requirement::{InEnvironment, Requirement, normal};
use super::shelf::Shelf;
pub use super::shelf::{FoundWheel, cached_packages};
use super::{WHEEL_NAME_LEN_MAX, WHEELS_MAX, stubs};
use crate::python::{built_in, imported_as};
use crate::watch::{Stage, Watch};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Whether what was found before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As long as it is good.
    AsFound,
    /// pip is asked again.
    Anew,
}

/// Packages that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Their wheels, with all they need that is not built in.
    pub wheels: Vec<FoundWheel>,
    /// What an `import` can find in them.
    pub modules: BTreeSet<String>,
    /// What they use, or what is asked for, that is built in, by the names it is imported by.
    pub uses: BTreeSet<String>,
    /// Why it is what was found before, although that is not good any more.
    pub stale: Option<String>,
}

/// Finds wheels for what is asked.
///
/// # Errors
/// [`PackagesError`].
pub async fn resolve(
    cache_dir: &Path,
    asked: &[Requirement],
    freshness: Freshness,
    watch: &dyn Watch,
) -> Result<Found, PackagesError> {
    let mut found = Found::default();
    let (wanted, taken) = beside_the_environment(asked, &mut found)?;
    if wanted.is_empty() {
        return Ok(found);
    }
    let shelf = Shelf::open(cache_dir)?;
    let question = question(&wanted);
    let is_pinned = wanted.iter().all(Requirement::is_pinned);
    let known = shelf.answer(&question, is_pinned);
    let (answer, wheels) = match known {
        Some((answer, wheels, true)) if freshness == Freshness::AsFound => (answer, wheels),
        known => {
            watch.stage(Stage::Fetching { what: named(&wanted), done: 0, total: None });
            let fetched = fetch(&shelf, (&wanted, &taken), &question).await;
            if fetched.is_ok() {
                watch.stage(Stage::Ready);
            }
            match (fetched, known) {
                (Err(PackagesError::NoNetwork { .. } | PackagesError::NoPip { .. }), Some((answer, wheels, _))) => {
                    found.stale =
                        Some("pip reaches no package index, so what was found before is taken again".to_owned());
                    (answer, wheels)
                }
                (fetched, _) => fetched?,
            }
        }
    };
    found.wheels = wheels;
    found.modules.extend(answer.modules);
    found.uses.extend(answer.uses);
    Ok(found)
}

/// What of it is not built in, and the names of what is.
fn beside_the_environment<'a>(
    asked: &'a [Requirement],
    found: &mut Found,
) -> Result<(Vec<Requirement>, Vec<&'a str>), PackagesError> {
    let (mut wanted, mut taken) = (Vec::new(), Vec::new());
    for requirement in asked {
        let name = requirement.name();
        match requirement.in_environment() {
            InEnvironment::Fits => {
                found.uses.extend(imported_as(name).map(str::to_owned));
                taken.push(name);
            }
            InEnvironment::Absent => wanted.push(requirement.clone()),
            InEnvironment::Other(version) => {
                return Err(PackagesError::Misfit { name: name.to_owned(), version, asked: requirement.to_string() });
            }
        }
    }
    Ok((wanted, taken))
}

/// What is asked, in whatever order it was.
fn question(wanted: &[Requirement]) -> String {
    let all: BTreeSet<String> = wanted.iter().map(Requirement::line).collect();
    all.into_iter().collect::<Vec<_>>().join("\n")
}

async fn fetch(
    shelf: &Shelf,
    (wanted, taken): (&[Requirement], &[&str]),
    question: &str,
) -> Result<(super::shelf::Answer, Vec<FoundWheel>), PackagesError> {
    let aside = shelf.aside()?;
    let stubs = stubs::write(aside.path())?;
    let into = aside.path().join("wheels");
    fs::create_dir(&into).map_err(failed("make", &into))?;
    pip::download((wanted, taken), &stubs, &into).await?;
    let (mut modules, mut uses, mut wheels) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (path, name) in wheels_in(&into)? {
        let package = parts(&name).map(|(package, _)| normal(package)).unwrap_or_default();
        // The empty ones stand for what is built in.
        if built_in(&package).is_some() {
            uses.extend(imported_as(&package).map(str::to_owned));
            continue;
        }
        let unusable = |source| PackagesError::Wheel { name: name.clone(), source };
        modules.extend(look_at(&path, &name).map_err(unusable)?);
        wheels.push(shelf.put(&path, &name)?);
    }
    if wheels.len() > WHEELS_MAX {
        return Err(PackagesError::Many { count: wheels.len() });
    }
    wheels.sort_by(|one, other| one.name.cmp(&other.name));
    let answer = shelf.remember(question, &wheels, (modules, uses))?;
    Ok((answer, wheels))
}

/// What pip has brought: files and their names.
fn wheels_in(dir: &Path) -> Result<Vec<(PathBuf, String)>, PackagesError> {
    let entries = fs::read_dir(dir).map_err(failed("look for packages in", dir))?;
    let named =
        |path: PathBuf| path.file_name().and_then(|name| name.to_str()).map(str::to_owned).map(|name| (path, name));
    let wheels = entries.flatten().map(|entry| entry.path()).filter_map(named);
    Ok(wheels.filter(|(_, name)| name.ends_with(".whl") && name.len() <= WHEEL_NAME_LEN_MAX).collect())
}

/// The modules of a wheel that can be used.
fn look_at(path: &Path, name: &str) -> Result<BTreeSet<String>, WheelError> {
    if !name.strip_suffix(".whl").is_some_and(is_pure_tag) {
        return Err(WheelError::Native(name.to_owned()));
    }
    let file = File::open(path).map_err(WheelError::Disk)?;
    Ok(Wheel::open(BufReader::new(file))?.modules())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::SilentWatch;

    fn asked(texts: &[&str]) -> Vec<Requirement> {
        texts.iter().map(|text| Requirement::parse(text).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_built_in_is_taken_from_the_environment_without_asking_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let found = resolve(dir.path(), &asked(&["pandas>=2", "PyYAML"]), Freshness::Anew, &SilentWatch).await.unwrap();
        assert!(found.wheels.is_empty());
        assert_eq!(found.uses.into_iter().collect::<Vec<_>>(), ["pandas", "yaml"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn another_version_of_what_is_built_in_is_refused_with_the_one_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let error = resolve(dir.path(), &asked(&["numpy<2"]), Freshness::AsFound, &SilentWatch).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("numpy<2") && text.contains("numpy==2."), "{text}");
    }

    #[test]
    fn a_question_is_the_same_in_whatever_order_it_is_asked() {
        assert_eq!(question(&asked(&["b", "a==1", "b"])), question(&asked(&["a == 1", "b"])));
    }
}
