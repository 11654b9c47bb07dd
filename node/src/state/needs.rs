//! What a job wants of the machine that runs it, as its submitter says it: `--need` is hard, `--prefer` and `--avoid` are
//! wishes, `--on` names the only machines that may. Parsed here from text, into values that are true by themselves; names of
//! machines are looked up by whoever knows the peers, because no decision looks at a name.

mod gpus;

use super::containers::Image;
use super::placement::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Tags of one machine, or needed by one job: at most a line of `peers`.
pub const TAGS_MAX: usize = 16;
/// Machines and tags in one `--prefer`, `--avoid` or `--on`: more than a group of friends has, and 2 KiB in a record.
pub const WHO_MAX: usize = 64;
/// Characters of a tag, and of a name of a system or a processor.
const TAG_LEN_MAX: usize = 32;

/// All that a job wants of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// What it must have.
    pub needs: Needs,
    /// The image of its container, where it runs in one; said by what it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Image>,
    /// The only machines that may run it; any, where none is named.
    #[serde(default)]
    pub on: Vec<Place>,
    /// Where it runs rather.
    #[serde(default)]
    pub prefer: Vec<Who>,
    /// Where it runs only when no other machine fits.
    #[serde(default)]
    pub avoid: Vec<Who>,
}

/// What a machine must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Logical cores, in use or not.
    #[serde(default)]
    pub cores: u32,
    /// Memory that is free, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Its operating system.
    #[serde(default)]
    pub os: Option<Tag>,
    /// Its processor's architecture.
    #[serde(default)]
    pub arch: Option<Tag>,
    /// Graphics processors, in use or not.
    #[serde(default, rename = "gpu", with = "gpus")]
    pub gpus: u32,
    /// Memory of each of them in all, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpu_memory_bytes: u64,
    /// Tags its owner gave it.
    #[serde(default)]
    pub tags: BTreeSet<Tag>,
}

/// A word an owner gives a machine: lower-case letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// Some machines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Who {
    /// This one.
    Machine(Place),
    /// All with this tag.
    Tag(Tag),
}

/// Some machines, as they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhoText {
    /// A name, an id, or the beginning of one.
    Machine(String),
    /// All with this tag.
    Tag(Tag),
}

/// Words that say no need. Each names the word and what would fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedsError {
    /// Nothing is called so.
    #[error(
        "{0:?} is no need; there are cpu=N, mem=SIZE, os=NAME, arch=NAME, gpu, gpu=N, gpu-memory=SIZE and tag=WORD, as in \
         `cpu=2,mem=4G,tag=fast`"
    )]
    Unknown(String),
    /// Its value is missing, empty or none that fits.
    #[error("{value:?} does not fit {word}=; {fits}")]
    Value {
        /// The word.
        word: &'static str,
        /// What was given.
        value: String,
        /// What would fit.
        fits: &'static str,
    },
    /// The same thing, twice and differently.
    #[error("{word}= is given twice, as {first:?} and as {second:?}; a machine has one, so leave one out")]
    Twice {
        /// The word.
        word: &'static str,
        /// What was given first.
        first: String,
        /// What was given then.
        second: String,
    },
    /// More than anybody needs.
    #[error("{what}: at most {max} may be given")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may be.
        max: usize,
    },
    /// Nobody is named.
    #[error(
        "an empty word names no machine; write names, ids or tag=WORD with commas between them, as in `attic,tag=fast`"
    )]
    Nobody,
}

const CPU_FITS: &str = "a number of cores from 1 to 4096 would, as in cpu=2";
const MEM_FITS: &str = "a size would, such as 512M or 4G";
const WORD_FITS: &str = "letters, digits, - _ and . would, at most 32";

impl Needs {
    /// Adds what `text` says (`cpu=2,mem=4G,os=linux,arch=aarch64,gpu,tag=fast`). Of two numbers the greater counts.
    ///
    /// # Errors
    /// [`NeedsError`], and nothing is added.
    pub fn add(&mut self, text: &str) -> Result<(), NeedsError> {
        let mut all = self.clone();
        for word in text.split(',').map(str::trim) {
            all.add_word(word)?;
        }
        *self = all;
        Ok(())
    }

    fn add_word(&mut self, text: &str) -> Result<(), NeedsError> {
        let (word, value) = text.split_once('=').map_or((text, None), |(word, value)| (word, Some(value)));
        match (word.to_ascii_lowercase().as_str(), value) {
            ("cpu" | "cores", value) => self.cores = self.cores.max(cores(value)?),
            ("mem" | "memory", value) => self.memory_bytes = self.memory_bytes.max(memory("mem", value)?),
            ("os", value) => set_once("os", &mut self.os, canonical(&word_of("os", value)?, &OS_ALIASES))?,
            ("arch", value) => set_once("arch", &mut self.arch, canonical(&word_of("arch", value)?, &ARCH_ALIASES))?,
            ("gpu", None) => self.gpus = self.gpus.max(1),
            ("gpu", value) => self.gpus = self.gpus.max(gpus::count(value)?),
            ("gpu-memory" | "gpu-mem", value) => {
                self.gpu_memory_bytes = self.gpu_memory_bytes.max(memory("gpu-memory", value)?);
                self.gpus = self.gpus.max(1);
            }
            ("tag", value) => {
                self.tags.insert(word_of("tag", value)?);
                if self.tags.len() > TAGS_MAX {
                    return Err(NeedsError::TooMany { what: "tags", max: TAGS_MAX });
                }
            }
            _ => return Err(NeedsError::Unknown(text.to_owned())),
        }
        Ok(())
    }
}

impl FromStr for Needs {
    type Err = NeedsError;

    fn from_str(text: &str) -> Result<Self, NeedsError> {
        let mut needs = Self::default();
        needs.add(text)?;
        Ok(needs)
    }
}

fn value_error(word: &'static str, value: Option<&str>, fits: &'static str) -> NeedsError {
    NeedsError::Value { word, value: value.unwrap_or_default().to_owned(), fits }
}

fn cores(value: Option<&str>) -> Result<u32, NeedsError> {
    let number = value.and_then(|value| value.parse::<u32>().ok()).filter(|cores| (1..=4096).contains(cores));
    number.ok_or_else(|| value_error("cpu", value, CPU_FITS))
}

/// A size: a number with K, M, G or T of 1024 each (`4G`, `4GiB`), or of bytes.
fn memory(word: &'static str, value: Option<&str>) -> Result<u64, NeedsError> {
    let parse = |text: &str| {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
    };
    value.and_then(parse).ok_or_else(|| value_error(word, value, MEM_FITS))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn word_of(word: &'static str, value: Option<&str>) -> Result<Tag, NeedsError> {
    value.and_then(|value| value.parse().ok()).ok_or_else(|| value_error(word, value, WORD_FITS))
}

fn set_once(word: &'static str, slot: &mut Option<Tag>, value: Tag) -> Result<(), NeedsError> {
    match slot {
        Some(first) if *first != value => {
            Err(NeedsError::Twice { word, first: first.to_string(), second: value.to_string() })
        }
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// Names people use for what machines call otherwise.
const OS_ALIASES: [(&str, &str); 4] = [("darwin", "macos"), ("mac", "macos"), ("osx", "macos"), ("win", "windows")];
const ARCH_ALIASES: [(&str, &str); 3] = [("amd64", "x86_64"), ("x64", "x86_64"), ("arm64", "aarch64")];

fn canonical(word: &Tag, aliases: &[(&str, &str)]) -> Tag {
    let found = aliases.iter().find(|(alias, _)| *alias == word.0);
    found.map_or_else(|| word.clone(), |(_, name)| Tag((*name).to_owned()))
}

impl FromStr for Tag {
    type Err = NeedsError;

    fn from_str(text: &str) -> Result<Self, NeedsError> {
        let lower = text.to_ascii_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if lower.is_empty() || lower.len() > TAG_LEN_MAX || !lower.chars().all(fits) {
            return Err(value_error("tag", Some(text), WORD_FITS));
        }
        Ok(Self(lower))
    }
}

impl TryFrom<String> for Tag {
    type Error = NeedsError;

    fn try_from(text: String) -> Result<Self, NeedsError> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl WhoText {
    /// The machines that `text` names: `attic,tag=fast`.
    ///
    /// # Errors
    /// [`NeedsError`] for an empty word, a bad tag, or too many.
    pub fn list(text: &str) -> Result<Vec<Self>, NeedsError> {
        let one = |word: &str| match word.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("tag") => Ok(Self::Tag(value.parse()?)),
            Some(_) => Err(NeedsError::Unknown(word.to_owned())),
            None if word.is_empty() => Err(NeedsError::Nobody),
            None => Ok(Self::Machine(word.to_owned())),
        };
        let all = text.split(',').map(str::trim).map(one).collect::<Result<Vec<_>, _>>()?;
        if all.len() > WHO_MAX {
            return Err(NeedsError::TooMany { what: "machines and tags", max: WHO_MAX });
        }
        Ok(all)
    }

    /// Whom it means, where `find` knows the names.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn resolve<E>(self, find: impl FnOnce(&str) -> Result<Place, E>) -> Result<Who, E> {
        Ok(match self {
            Self::Machine(name) => Who::Machine(find(&name)?),
            Self::Tag(tag) => Who::Tag(tag),
        })
    }
}

impl fmt::Display for Needs {
    /// As it would be typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.cores > 0 {
            words.push(format!("cpu={}", self.cores));
        }
        if self.memory_bytes > 0 {
            words.push(format!("mem={}", Size(self.memory_bytes)));
        }
        words.extend(self.os.iter().map(|os| format!("os={os}")));
        words.extend(self.arch.iter().map(|arch| format!("arch={arch}")));
        match self.gpus {
            0 => {}
            1 => words.push("gpu".to_owned()),
            count => words.push(format!("gpu={count}")),
        }
        if self.gpu_memory_bytes > 0 {
            words.push(format!("gpu-memory={}", Size(self.gpu_memory_bytes)));
        }
        words.extend(self.tags.iter().map(|tag| format!("tag={tag}")));
        f.write_str(&words.join(","))
    }
}

/// A size as it would be typed.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |shift: u32| self.0 > 0 && self.0.trailing_zeros() >= shift;
        match self.0 {
            bytes if whole(30) => write!(f, "{}G", bytes >> 30),
            bytes if whole(20) => write!(f, "{}M", bytes >> 20),
            bytes if whole(10) => write!(f, "{}K", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests;
