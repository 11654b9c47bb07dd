//! Which files and directories can lie together: no path twice, none a file and a directory, none that the disk cannot
//! tell from another. Pure, but for finding out how the disk is.

use potluck_runtime::GuestPath;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::path::Path;

/// Whether a directory tells upper from lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `Makefile` and `makefile` are two files.
    Kept,
    /// They are one.
    Folded,
}

impl Case {
    /// How it is in `dir`, found out by trying.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        // Named by this process, so that the next removes it should this one be killed.
        let prefix = format!("{}-case-", std::process::id());
        let probe = tempfile::Builder::new().prefix(&prefix).rand_bytes(8).suffix("-probe").tempfile_in(dir)?;
        let Some(name) = probe.path().file_name().and_then(|name| name.to_str()) else { return Ok(Self::Kept) };
        let other = dir.join(name.replace("-probe", "-PROBE"));
        Ok(if other.exists() { Self::Folded } else { Self::Kept })
    }
}

/// Two things of a job that cannot both be in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clash {
    /// The same path twice.
    Twice(GuestPath),
    /// Paths that differ in case alone, on a machine that cannot tell them apart.
    Case(String, String),
    /// A file where a directory must be.
    FileAndDirectory(String),
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(path) => write!(f, "{path} is there twice"),
            Self::Case(one, other) => {
                write!(
                    f,
                    "{one} and {other} differ in upper and lower case alone, which that machine cannot tell apart"
                )
            }
            Self::FileAndDirectory(path) => write!(f, "{path} would be a file and a directory"),
        }
    }
}

/// Whether these files and empty directories can lie together in one directory.
///
/// # Errors
/// The first [`Clash`].
pub fn check_paths<'a>(
    files: impl Iterator<Item = &'a GuestPath>,
    directories: &'a [GuestPath],
    case: Case,
) -> Result<(), Clash> {
    let mut seen = Seen { case, paths: HashMap::new() };
    let entries = files.map(|path| (path, true)).chain(directories.iter().map(|path| (path, false)));
    for (path, is_file) in entries {
        for (end, _) in path.as_str().match_indices('/') {
            seen.note(&path.as_str()[..end], false)?;
        }
        if seen.note(path.as_str(), is_file)? == Noted::Before && is_file {
            return Err(Clash::Twice(path.clone()));
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Noted {
    Now,
    Before,
}

/// Every path that must exist, by the form in which the machine tells it from others: how it is spelt, and whether it is
/// a file.
struct Seen<'a> {
    case: Case,
    paths: HashMap<Cow<'a, str>, (&'a str, bool)>,
}

impl<'a> Seen<'a> {
    fn note(&mut self, path: &'a str, is_file: bool) -> Result<Noted, Clash> {
        let form = match self.case {
            Case::Kept => Cow::Borrowed(path),
            Case::Folded => Cow::Owned(path.to_lowercase()),
        };
        let (before, was_file) = match self.paths.entry(form) {
            Entry::Vacant(place) => {
                place.insert((path, is_file));
                return Ok(Noted::Now);
            }
            Entry::Occupied(before) => *before.get(),
        };
        if before != path {
            return Err(Clash::Case(before.to_owned(), path.to_owned()));
        }
        if was_file != is_file {
            return Err(Clash::FileAndDirectory(path.to_owned()));
        }
        Ok(Noted::Before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> GuestPath {
        GuestPath::parse(text).unwrap()
    }

    #[test]
    fn paths_that_cannot_lie_together_are_refused_by_name() {
        let refused = |files: &[&str], directories: &[&str]| {
            let files: Vec<GuestPath> = files.iter().map(|f| path(f)).collect();
            let directories: Vec<GuestPath> = directories.iter().map(|d| path(d)).collect();
            check_paths(files.iter(), &directories, Case::Folded).unwrap_err()
        };
        assert_eq!(refused(&["a", "a"], &[]), Clash::Twice(path("a")));
        assert_eq!(refused(&["a/x", "A/y"], &[]), Clash::Case("a".into(), "A".into()));
        assert_eq!(refused(&["a", "a/b"], &[]), Clash::FileAndDirectory("a".into()));
        assert_eq!(refused(&["a/b", "a"], &[]), Clash::FileAndDirectory("a".into()));
        assert_eq!(refused(&["a"], &["a"]), Clash::FileAndDirectory("a".into()));
    }

    #[test]
    fn names_that_differ_in_case_alone_are_two_where_the_disk_says_so() {
        let files = [path("Makefile"), path("makefile"), path("a/x"), path("A/y")];
        assert_eq!(check_paths(files.iter(), &[], Case::Kept), Ok(()));
        assert!(matches!(check_paths(files.iter(), &[], Case::Folded), Err(Clash::Case(..))));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), b"").unwrap();
        let told_apart = !dir.path().join("X").exists();
        assert_eq!(Case::of(dir.path()).unwrap() == Case::Kept, told_apart);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
