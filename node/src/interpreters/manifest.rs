//! What describes an interpreter: a short TOML text that names an ordinary WASI command and says how it is given a script. It
//! comes from anybody, so everything in it has a bound, and nothing in it names a file outside of its own folder. It is read
//! here and nowhere else; no file is touched.

use potluck_runtime::GuestPath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of a manifest; what says more was not meant.
pub const MANIFEST_LEN_MAX: usize = 64 << 10;
/// What stands in the arguments for the script's path.
pub const SCRIPT: &str = "{script}";
/// Bytes of an interpreter. Compiling takes memory in proportion.
pub(super) const PROGRAM_LEN_MAX: u64 = 256 << 20;

const NAME_LEN_MAX: usize = 32;
const LINE_LEN_MAX: usize = 200;
const ENDINGS_MAX: usize = 8;
const ENDING_LEN_MAX: usize = 16;
const WORDS_MAX: usize = 32;
const WORD_LEN_MAX: usize = 1024;
const FOLDERS_MAX: usize = 16;
/// What their files are run by without any manifest.
const ENDINGS_TAKEN: [&str; 2] = ["py", "wasm"];

/// An interpreter, described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// What users type after `--env`.
    pub name: String,
    /// The interpreter's own version.
    pub version: String,
    /// What people know it as.
    pub title: String,
    /// The licence its bytes come under.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// Files whose names end so are its scripts.
    pub endings: Vec<String>,
    /// Its arguments, `argv[0]` first; one of them holds [`SCRIPT`], and the script's own follow.
    pub args: Vec<String>,
    /// The command.
    pub program: ProgramFile,
    /// Environment variables; those of a job win.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Folders beside the manifest that a script may read, by the absolute path it sees them at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, GuestPath>,
}

/// The file of an interpreter's command, beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramFile {
    /// Where it lies.
    pub file: GuestPath,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A manifest cannot be used. The text says why and what would change it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ManifestError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    version: String,
    title: Option<String>,
    #[serde(default)]
    license: String,
    #[serde(default)]
    endings: Vec<String>,
    args: Option<Vec<String>>,
    program: toml::Value,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPinned {
    file: String,
    sha256: Option<String>,
    size: Option<u64>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] names the key and the cure.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MANIFEST_LEN_MAX {
            return Err(refuse(format!("it has {} bytes; the most is {MANIFEST_LEN_MAX}", text.len())));
        }
        let raw: Raw = toml::from_str(text).map_err(|error| refuse(error.to_string().trim_end().to_owned()))?;
        check_name(&raw.name)?;
        let title = raw.title.unwrap_or_else(|| format!("{} {}", raw.name, raw.version));
        for (key, line) in [("version", &raw.version), ("title", &title), ("license", &raw.license)] {
            check_line(key, line)?;
        }
        if raw.version.is_empty() {
            return Err(refuse("`version` is empty; say which one it is, such as \"5.4.9\"".to_owned()));
        }
        check_endings(&raw.endings)?;
        let args = raw.args.unwrap_or_else(|| vec![raw.name.clone(), SCRIPT.to_owned()]);
        check_args(&args)?;
        check_env(&raw.env)?;
        Ok(Self {
            program: program(raw.program)?,
            files: folders(raw.files)?,
            name: raw.name,
            version: raw.version,
            title,
            license: raw.license,
            endings: raw.endings,
            args,
            env: raw.env,
        })
    }

    /// The arguments for a script that lies at `entry`, up to it.
    #[must_use]
    pub fn argv(&self, entry: &GuestPath) -> Vec<String> {
        self.args.iter().map(|word| word.replace(SCRIPT, entry.as_str())).collect()
    }
}

/// Whether an environment can be called so.
///
/// # Errors
/// [`ManifestError`] says how one may be called.
pub fn check_name(name: &str) -> Result<(), ManifestError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && name.len() <= NAME_LEN_MAX && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(refuse(format!(
        "{:?} cannot name an environment: take 1 to {NAME_LEN_MAX} of a-z, 0-9, '-', '_' and '.', a letter first",
        shown(name)
    )))
}

fn check_line(key: &str, line: &str) -> Result<(), ManifestError> {
    if line.len() > LINE_LEN_MAX || line.chars().any(char::is_control) {
        return Err(refuse(format!("`{key}` is no short line; {LINE_LEN_MAX} bytes without control characters are")));
    }
    Ok(())
}

fn check_endings(endings: &[String]) -> Result<(), ManifestError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    for ending in endings {
        if ending.is_empty() || ending.len() > ENDING_LEN_MAX || !ending.chars().all(is_plain) {
            let shown = shown(ending);
            return Err(refuse(format!(
                "`endings` has {shown:?}; write each without its dot, in a-z and 0-9: \"lua\""
            )));
        }
        if ENDINGS_TAKEN.contains(&ending.as_str()) {
            return Err(refuse(format!(
                "`endings` has {ending:?}, which is taken; leave it out and say `--env` instead"
            )));
        }
    }
    if endings.len() > ENDINGS_MAX {
        return Err(refuse(format!("`endings` has {} of them; the most is {ENDINGS_MAX}", endings.len())));
    }
    Ok(())
}

fn check_args(args: &[String]) -> Result<(), ManifestError> {
    let example = "such as [\"lua\", \"{script}\"]";
    if args.len() < 2 || args.len() > WORDS_MAX || args.iter().any(|word| !is_word(word)) {
        return Err(refuse(format!(
            "`args` is no list of 2 to {WORDS_MAX} words of up to {WORD_LEN_MAX} bytes; name the interpreter first and the \
             script after it, {example}"
        )));
    }
    if args[0].is_empty() || args[0].contains(SCRIPT) || args.iter().filter(|word| word.contains(SCRIPT)).count() != 1 {
        return Err(refuse(format!("`args` holds {SCRIPT} other than once after the first word; write it {example}")));
    }
    Ok(())
}

fn is_word(word: &str) -> bool {
    word.len() <= WORD_LEN_MAX && !word.contains('\0')
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), ManifestError> {
    if env.len() > WORDS_MAX {
        return Err(refuse(format!("`env` has {} variables; the most is {WORDS_MAX}", env.len())));
    }
    match env.iter().find(|(key, value)| key.is_empty() || key.contains('=') || !is_word(key) || !is_word(value)) {
        Some((key, _)) => Err(refuse(format!("`env` has {:?}, which has no usable name or value", shown(key)))),
        None => Ok(()),
    }
}

fn program(raw: toml::Value) -> Result<ProgramFile, ManifestError> {
    let RawPinned { file, sha256, size } = match raw {
        toml::Value::String(file) => RawPinned { file, sha256: None, size: None },
        pinned => pinned.try_into().map_err(|error: toml::de::Error| {
            let why = error.to_string();
            refuse(format!("`program`: {}; it is a file's name, or {{ file, sha256, size }}", why.trim_end()))
        })?,
    };
    let file = beside("program", &file)?;
    if sha256.as_ref().is_some_and(|text| !is_sha256(text)) {
        return Err(refuse(
            "`program.sha256` is no 64 lower-case hexadecimal digits; `sha256sum` prints them".to_owned(),
        ));
    }
    if size.is_some_and(|size| size > PROGRAM_LEN_MAX) {
        return Err(refuse(format!("`program.size` is more than the {PROGRAM_LEN_MAX} bytes an interpreter may have")));
    }
    Ok(ProgramFile { file, sha256, size })
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn folders(raw: BTreeMap<String, String>) -> Result<BTreeMap<String, GuestPath>, ManifestError> {
    if raw.len() > FOLDERS_MAX {
        return Err(refuse(format!("`files` has {} folders; the most is {FOLDERS_MAX}", raw.len())));
    }
    let mut points: Vec<&String> = raw.keys().collect();
    while let Some(point) = points.pop() {
        if let Some(other) = points.iter().find(|other| crate::service::overlap(other, point)) {
            let (other, point) = (shown(other), shown(point));
            return Err(refuse(format!(
                "`files` has {other:?} and {point:?}, which overlap; put one beside the other"
            )));
        }
    }
    let folder = |(guest, folder): (String, String)| {
        crate::service::check_mount_point(&guest)
            .map_err(|why| refuse(format!("`files` has {:?}: {why}", shown(&guest))))?;
        Ok((guest, beside("files", &folder)?))
    };
    raw.into_iter().map(folder).collect()
}

/// The path of something beside the manifest. What is hidden is not meant for others.
fn beside(key: &str, text: &str) -> Result<GuestPath, ManifestError> {
    if text.split('/').any(|part| part.starts_with('.') && !matches!(part, "." | "..")) {
        let shown = shown(text);
        return Err(refuse(format!(
            "`{key}` names {shown:?}, and nothing hidden is taken; call it otherwise, without the dot"
        )));
    }
    GuestPath::parse(text)
        .map_err(|error| refuse(format!("`{key}`: {error}; name what lies beside the manifest, by a relative path")))
}

/// So much of a text as is fit for a sentence.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn refuse(why: String) -> ManifestError {
    ManifestError(why)
}

#[cfg(test)]
mod tests;
