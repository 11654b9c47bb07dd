//! Versions of Python packages and what is asked of them, as PEP 440 orders and reads them. Pure; pip decides what is fetched,
//! this only whether something that is here fits.

use std::cmp::Ordering;
use std::fmt;

/// Characters of a version.
const LEN_MAX: usize = 128;

/// A version. Local parts (`+cpu`) do not count.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    epoch: u64,
    release: Vec<u64>,
    pre: Option<(char, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
}

impl Version {
    /// Reads one; nothing of what is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.len() > LEN_MAX {
            return None;
        }
        let text = text.strip_prefix('v').unwrap_or(&text);
        let text = text.split_once('+').map_or(text, |(public, _)| public);
        let (epoch, text) = match text.split_once('!') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, text),
        };
        let mut rest = Rest(text);
        let mut release = vec![rest.number()?];
        while let Some(number) = rest.dotted_number() {
            release.push(number);
        }
        let pre = rest.word(&[
            ("alpha", 'a'),
            ("beta", 'b'),
            ("preview", 'r'),
            ("pre", 'r'),
            ("rc", 'r'),
            ("a", 'a'),
            ("b", 'b'),
            ("c", 'r'),
        ]);
        let post = rest
            .bare_post()
            .or_else(|| rest.word(&[("post", 'p'), ("rev", 'p'), ("r", 'p')]).map(|(_, number)| number));
        let dev = rest.word(&[("dev", 'd')]).map(|(_, number)| number);
        rest.0.is_empty().then_some(Self { epoch, release, pre, post, dev })
    }

    fn is_pre(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    /// The release with as many numbers.
    fn release(&self, len: usize) -> Vec<u64> {
        let mut release = self.release.clone();
        release.resize(len.max(release.len()), 0);
        release
    }

    fn begins_with(&self, prefix: &Self) -> bool {
        self.epoch == prefix.epoch && self.release(prefix.release.len()).starts_with(&prefix.release)
    }

    fn is_same_release(&self, other: &Self) -> bool {
        let len = self.release.len().max(other.release.len());
        self.epoch == other.epoch && self.release(len) == other.release(len)
    }

    /// What it is ordered by after its release: a development release comes first, then what comes before the release itself,
    /// then that, and then what comes after it.
    fn rank(&self) -> (u8, char, u64, Option<u64>, u8, u64) {
        let (stage, letter, number) = match (self.pre, self.post, self.dev) {
            (Some((letter, number)), ..) => (1, letter, number),
            (None, None, Some(_)) => (0, ' ', 0),
            (None, ..) => (2, ' ', 0),
        };
        (stage, letter, number, self.post, u8::from(self.dev.is_none()), self.dev.unwrap_or_default())
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let len = self.release.len().max(other.release.len());
        let key = |version: &Self| (version.epoch, version.release(len), version.rank());
        key(self).cmp(&key(other))
    }
}

/// What is left to be read of a version.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn number(&mut self) -> Option<u64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let number = self.0[..end].parse().ok()?;
        self.0 = &self.0[end..];
        Some(number)
    }

    fn dotted_number(&mut self) -> Option<u64> {
        let mut rest = Rest(self.0.strip_prefix('.')?);
        let number = rest.number()?;
        self.0 = rest.0;
        Some(number)
    }

    /// One of these words, with what it stands for, and the number after it.
    fn word(&mut self, words: &[(&str, char)]) -> Option<(char, u64)> {
        let trimmed = self.0.strip_prefix(['.', '-', '_']).unwrap_or(self.0);
        let (rest, letter) = words.iter().find_map(|(word, letter)| Some((trimmed.strip_prefix(word)?, *letter)))?;
        let mut rest = Rest(rest);
        let mut numbered = Rest(rest.0.strip_prefix(['.', '-', '_']).unwrap_or(rest.0));
        let number = numbered.number();
        if number.is_some() {
            rest = numbered;
        }
        self.0 = rest.0;
        Some((letter, number.unwrap_or_default()))
    }

    /// A post-release as `1.0-1`.
    fn bare_post(&mut self) -> Option<u64> {
        let mut rest = Rest(self.0.strip_prefix('-')?);
        let number = rest.number()?;
        self.0 = rest.0;
        Some(number)
    }
}

/// What is asked of a version: all of its clauses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Specifiers(Vec<Clause>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Clause {
    operator: Operator,
    text: String,
    version: Version,
    /// Whether it ended in `.*`.
    any_after: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Same,
    Compatible,
    Equal,
    NotEqual,
    AtMost,
    AtLeast,
    Below,
    Above,
}

/// Longer ones stand before those they begin with.
const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Same),
    ("~=", Operator::Compatible),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Below),
    (">", Operator::Above),
];

impl Specifiers {
    /// Reads what is separated by commas; nothing of what is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let clauses = text.split(',').map(str::trim).filter(|clause| !clause.is_empty()).map(Clause::parse);
        clauses.collect::<Option<_>>().map(Self)
    }

    /// Whether a version is what is asked for.
    pub(crate) fn admit(&self, version: &Version) -> bool {
        self.0.iter().all(|clause| clause.admits(version))
    }

    /// Whether there is one version only that can be meant.
    pub(crate) fn is_pinned(&self) -> bool {
        let pins = |clause: &Clause| matches!(clause.operator, Operator::Equal | Operator::Same) && !clause.any_after;
        self.0.iter().any(pins)
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let (rest, operator) =
            OPERATORS.iter().find_map(|(sign, operator)| Some((text.strip_prefix(sign)?, *operator)))?;
        let rest = rest.trim();
        let bare = rest.strip_suffix(".*");
        let any_after = bare.is_some();
        if any_after && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return None;
        }
        let version = Version::parse(bare.unwrap_or(rest))?;
        if operator == Operator::Compatible && version.release.len() < 2 {
            return None;
        }
        Some(Self { operator, text: rest.to_owned(), version, any_after })
    }

    fn admits(&self, version: &Version) -> bool {
        let asked = &self.version;
        let is_equal = || if self.any_after { version.begins_with(asked) } else { version == asked };
        match self.operator {
            Operator::Same | Operator::Equal => is_equal(),
            Operator::NotEqual => !is_equal(),
            Operator::AtMost => version <= asked,
            Operator::AtLeast => version >= asked,
            // What comes before or after a version itself is not what people mean.
            Operator::Below => {
                version < asked && (asked.is_pre() || !version.is_pre() || !version.is_same_release(asked))
            }
            Operator::Above => {
                version > asked && (asked.post.is_some() || version.post.is_none() || !version.is_same_release(asked))
            }
            Operator::Compatible => {
                let mut series = asked.clone();
                series.release.pop();
                version >= asked && version.begins_with(&series)
            }
        }
    }
}

impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, clause) in self.0.iter().enumerate() {
            let sign = OPERATORS.iter().find(|(_, operator)| *operator == clause.operator).map_or("", |(sign, _)| sign);
            write!(f, "{}{sign}{}", if at == 0 { "" } else { "," }, clause.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is a version"))
    }

    #[test]
    fn versions_are_ordered_as_python_packages_are() {
        let ordered =
            ["0.9", "1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.0.1", "1.10", "2", "1!0.1"];
        for pair in ordered.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        for (one, other) in
            [("1.0", "1"), ("v1.0", "1.0.0"), ("1.0-1", "1.0.post1"), ("1.0alpha1", "1.0.a.1"), ("1+x", "1")]
        {
            assert_eq!(version(one), version(other));
        }
        for none in ["", "x", "1.x", "1..0", "1.0 beta x", "=1", "1,2", &"1".repeat(200), "99999999999999999999999"] {
            assert!(Version::parse(none).is_none(), "{none}");
        }
    }

    #[test]
    fn what_is_asked_of_a_version_is_read_as_pip_does() {
        for (asked, fits, does_not) in [
            ("==1.2", "1.2.0", "1.2.1"),
            ("==1.2.*", "1.2.9", "1.3"),
            ("!=1.2.*", "1.3", "1.2.1"),
            (">=1.2, <2", "1.9", "2.0"),
            ("~=1.4.2", "1.4.9", "1.5"),
            ("~=1.4", "1.9", "2.0"),
            ("<2", "1.9", "2.0rc1"),
            (">1.0", "1.1", "1.0.post1"),
            ("", "0.1", ""),
        ] {
            let specifiers = Specifiers::parse(asked).unwrap();
            assert!(specifiers.admit(&version(fits)), "{asked} {fits}");
            assert!(does_not.is_empty() || !specifiers.admit(&version(does_not)), "{asked} {does_not}");
        }
        for none in ["1.2", "=1", ">=1.*", "~=1", ">=x"] {
            assert!(Specifiers::parse(none).is_none(), "{none}");
        }
        assert!(
            Specifiers::parse("==1.2").unwrap().is_pinned() && !Specifiers::parse("==1.*,>=1").unwrap().is_pinned()
        );
        assert_eq!(Specifiers::parse(" >=1 ,<2").unwrap().to_string(), ">=1,<2");
    }
}
