//! One package that is asked for, as PEP 508 writes it: a name, extras, versions, and when. Addresses and paths are refused: what
//! is fetched comes from where the submitter's pip looks, and nowhere else.

use super::version::{Specifiers, Version};
use crate::python::built_in;
use std::collections::BTreeSet;
use std::fmt;

/// Characters of one requirement.
const LEN_MAX: usize = 1024;
/// What a file may be named by, with the digits of such a name: those that pip takes.
const HASHES: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// A package that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    name: String,
    extras: String,
    versions: Specifiers,
    /// When it is needed, as pip reads it; empty is always.
    marker: String,
    /// What its file may be, as pip reads it (`sha256:...`); empty is whatever it is.
    hashes: BTreeSet<String>,
}

/// A text asks for no package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no package that can be sent along: {why}")]
pub struct RequirementError {
    text: String,
    why: &'static str,
}

/// What the environment has of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InEnvironment {
    /// It is there and fits.
    Fits,
    /// It is there in this version, which is not the one that is asked for.
    Other(&'static str),
    /// It is not there.
    Absent,
}

impl Requirement {
    /// Reads one.
    ///
    /// # Errors
    /// [`RequirementError`].
    pub fn parse(text: &str) -> Result<Self, RequirementError> {
        let text = text.trim();
        let refuse = |why| RequirementError { text: text.chars().take(200).collect(), why };
        if text.len() > LEN_MAX || text.chars().any(char::is_control) {
            return Err(refuse("it is too long or holds control characters"));
        }
        let (what, marker) = text.split_once(';').map_or((text, ""), |(what, marker)| (what.trim(), marker.trim()));
        // In a list for pip such a word would be an option.
        if marker.split_whitespace().any(|word| word.starts_with('-')) {
            return Err(refuse("what stands after ';' says when it is needed, and nothing else"));
        }
        if what.contains("://") || what.contains('@') || what.contains(['/', '\\']) {
            return Err(refuse("name the package, as NAME or NAME==VERSION; addresses and paths are not fetched"));
        }
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let end = what.find(|c: char| !is_of_name(c)).unwrap_or(what.len());
        let (name, rest) = what.split_at(end);
        let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if !is_end(name.chars().next()) || !is_end(name.chars().next_back()) {
            return Err(refuse("a package's name has letters, digits, '-', '_' and '.', such as humanize==4.9.0"));
        }
        let rest = rest.trim();
        let (extras, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| refuse("its '[' is not closed"))?,
            None => ("", rest),
        };
        if !extras.chars().all(|c| is_of_name(c) || c == ',' || c == ' ') {
            return Err(refuse("what stands in '[ ]' are names"));
        }
        let rest = rest.trim();
        let rest = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest);
        let versions =
            Specifiers::parse(rest).ok_or_else(|| refuse("a version is asked for as ==1.2, >=1.2 or ~=1.2"))?;
        Ok(Self {
            name: normal(name),
            extras: extras.replace(' ', ""),
            versions,
            marker: marker.to_owned(),
            hashes: BTreeSet::new(),
        })
    }

    /// The same, of which the file must be one of these as well.
    ///
    /// # Errors
    /// [`RequirementError`] for one that pip would not take.
    pub fn with_hashes<'a>(mut self, hashes: impl IntoIterator<Item = &'a str>) -> Result<Self, RequirementError> {
        for hash in hashes {
            let lower = hash.to_ascii_lowercase();
            let is_one = lower.split_once(':').is_some_and(|(kind, digits)| {
                let is_kind = HASHES.contains(&(kind, digits.len()));
                is_kind && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if !is_one {
                let why = "a hash is sha256:, sha384: or sha512: and its hexadecimal digits";
                return Err(RequirementError { text: hash.chars().take(200).collect(), why });
            }
            self.hashes.insert(lower);
        }
        Ok(self)
    }

    /// Whether its file is checked.
    #[must_use]
    pub(super) fn has_hashes(&self) -> bool {
        !self.hashes.is_empty()
    }

    /// As a line of a list for pip.
    pub(super) fn line(&self) -> String {
        let hashes = self.hashes.iter().map(|hash| format!(" --hash={hash}"));
        std::iter::once(self.to_string()).chain(hashes).collect()
    }

    /// The package's name, as all ways of writing it come to be written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is one version only that can be meant.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.versions.is_pinned()
    }

    /// What the environment has of it. One that is not always needed is for pip to look at.
    #[must_use]
    pub fn in_environment(&self) -> InEnvironment {
        let Some(version) = built_in(&self.name) else { return InEnvironment::Absent };
        let fits = Version::parse(version).is_some_and(|version| self.versions.admit(&version));
        match (fits, self.marker.is_empty()) {
            (true, true) => InEnvironment::Fits,
            (false, true) => InEnvironment::Other(version),
            (_, false) => InEnvironment::Absent,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras)?;
        }
        write!(f, "{}", self.versions)?;
        if self.marker.is_empty() { Ok(()) } else { write!(f, "; {}", self.marker) }
    }
}

/// A package's name as all ways of writing it come to be written.
pub(crate) fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars().map(|c| if matches!(c, '_' | '.') { '-' } else { c.to_ascii_lowercase() }) {
        if c != '-' || !normal.ends_with('-') {
            normal.push(c);
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_however_it_is_written() {
        for (text, read) in [
            ("humanize==4.9.0", "humanize==4.9.0"),
            (
                " Foo_Bar.baz [a, b] ( >= 1 , < 2 ) ; python_version < '3' ",
                "foo-bar-baz[a,b]>=1,<2; python_version < '3'",
            ),
            ("x", "x"),
            ("x ~= 1.4", "x~=1.4"),
        ] {
            assert_eq!(Requirement::parse(text).unwrap().to_string(), read);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_before_pip_sees_it() {
        for text in [
            "",
            "-r other.txt",
            "--index-url=x",
            "./local",
            "x @ https://host/x.whl",
            "git+ssh://x",
            "x; python_version > '3' --index-url=x",
            "x=1",
            "x==",
            "x[a",
            "-x",
            "x-",
            "x\n--foo",
            "x==1;\0",
            "Ä",
            "x /etc",
        ] {
            assert!(Requirement::parse(text).is_err(), "{text:?}");
        }
        assert!(Requirement::parse(&"x".repeat(2000)).is_err());
    }

    #[test]
    fn what_the_environment_has_is_seen_with_its_version() {
        let of = |text: &str| Requirement::parse(text).unwrap().in_environment();
        assert_eq!(of("Pandas>=2"), InEnvironment::Fits);
        assert_eq!(of("scikit_learn"), InEnvironment::Fits);
        assert!(matches!(of("numpy<2"), InEnvironment::Other(_)));
        assert_eq!(of("humanize"), InEnvironment::Absent);
        assert_eq!(of("numpy<2; python_version < '3'"), InEnvironment::Absent);
    }
}
