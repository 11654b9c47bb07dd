//! What the owner decides. [`Settings`] is what the file says, key by key; [`Config`] is what it means, with defaults
//! filled in. Only `Config` travels. A key we do not know is an error that names it.

use crate::defaults;
use crate::paths::Paths;
use crate::state::containers::{IMAGE_LEN_MAX, IMAGES_MAX, Image};
use crate::state::known_bad::Added;
use crate::state::needs::{NeedsError, TAGS_MAX, Tag};
use crate::trust::book::Newcomers;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The settings as they stand in `config.toml`; absent means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// This node's label, shown to its group. Default: the host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// UDP port to listen on; 0 takes any free one. Default: 7420, or any free one when it is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether peers are looked for by multicast. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<bool>,
    /// UDP port of the beacons; the same on every machine. Default: 7421.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_port: Option<u16>,
    /// Whether peers may run jobs here. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lend: Option<bool>,
    /// Jobs of peers that run at once. Default: 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_max: Option<u32>,
    /// Bytes of memory one job of a peer may ask for. Default: no bound but the machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_memory_bytes_max: Option<u64>,
    /// Bytes the cache may hold on disk. Default: 8 GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_bytes_max: Option<u64>,
    /// Whether memory images that scripts would start from are made by themselves. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// Seconds after its last turn at which a session is put to disk. Default: 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_idle: Option<u64>,
    /// What becomes of machines for which a peer vouches: `trust` or `ask`. Default: trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vouched: Option<String>,
    /// Jobs that have ended and are still known. Default: 100000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_max: Option<u64>,
    /// Days after its end for which a job is known. Default: 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_days: Option<u64>,
    /// Days after its end for which what a job printed and made is kept by the node it was given to. Default: 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u64>,
    /// Bytes that all such output may take; beyond these the oldest goes before its time. Default: 16 GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_bytes_max: Option<u64>,
    /// Engines that count as unsafe beside those that are known to be: `FROM..FIXED NAME`, with commas between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_engines: Option<String>,
    /// Words for this machine, with commas between them, that a job can ask for with `--need tag=WORD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// What is offered of containers; its keys are `docker.offer` and so on. Default: nothing.
    #[serde(default, skip_serializing_if = "Docker::is_default")]
    pub docker: Docker,
}

/// What the owner offers of containers: the table `docker` of the settings. It holds for peers and for the owner alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Docker {
    /// Whether jobs may run in containers. Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offer: bool,
    /// The images they may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The socket of the engine. Default: where engines have theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<PathBuf>,
}

impl Docker {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), String> {
        if self.images.len() > IMAGES_MAX {
            return Err(format!("at most {IMAGES_MAX} images may be allowed; leave some out"));
        }
        if let Some(image) = self.images.iter().find(|image| image.name().as_str().len() > IMAGE_LEN_MAX) {
            return Err(format!(
                "the name {image} is longer than {IMAGE_LEN_MAX} bytes; give the image a shorter one: `docker tag`"
            ));
        }
        match self.engine.as_deref().filter(|engine| !engine.is_absolute()) {
            Some(engine) => Err(format!("the socket {} is no absolute path; write it from / on", engine.display())),
            None => Ok(()),
        }
    }
}

/// What a node does, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The label.
    pub name: String,
    /// Where to listen.
    pub port: PortChoice,
    /// Whether and where beacons are sent and heard.
    pub discovery: Option<u16>,
    /// Whether peers may run jobs here.
    pub lend: bool,
    /// Jobs of peers that run at once.
    pub jobs_max: u32,
    /// Bytes of memory one job of a peer may ask for.
    pub job_memory_bytes_max: Option<u64>,
    /// Bytes the cache may hold on disk.
    pub cache_bytes_max: u64,
    /// Whether memory images that scripts would start from are made by themselves.
    pub images: bool,
    /// How long after its last turn a session is put to disk.
    pub session_idle: Duration,
    /// Whether machines for which a peer vouches wait for the owner's yes.
    pub vouched: Vouched,
    /// Jobs that have ended and are still known.
    pub history_max: u64,
    /// How long after its end a job is known.
    pub history_age: Duration,
    /// How long after its end what a job printed and made is kept here, if it was given to this node.
    pub keep_time: Duration,
    /// Bytes that all such output may take.
    pub keep_bytes_max: u64,
    /// Engines that count as unsafe beside those that are known to be.
    pub bad_engines: Added,
    /// Words that a job can ask for.
    pub tags: Vec<String>,
    /// What is offered of containers.
    pub docker: Docker,
}

/// What becomes of machines for which a peer vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// They are trusted: whom one member lets in is known to all.
    Trust,
    /// They wait for the owner's yes.
    Ask,
}

/// Which port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// This one, or any free one when it is taken.
    Preferred(u16),
    /// This one or none: the owner wrote it down, perhaps for a firewall.
    Exactly(u16),
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read or written.
    #[error("cannot {doing} settings file {path}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not TOML, or a value has the wrong type, or a key is unknown.
    #[error("settings file {path} is not usable: {why}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's sentence, with line and key.
        why: String,
    },
    /// There is no such key.
    #[error("there is no setting {key:?}; there are: {known}", known = Settings::KEYS.join(", "))]
    UnknownKey {
        /// What was asked for.
        key: String,
    },
    /// The value does not fit the key.
    #[error("setting {key} cannot be {value:?}: {why}")]
    BadValue {
        /// The key.
        key: String,
        /// The value as typed.
        value: String,
        /// What would fit.
        why: String,
    },
}

impl Settings {
    /// Every key, in the order they are listed.
    pub const KEYS: &'static [&'static str] = &[
        "name",
        "port",
        "discovery",
        "discovery_port",
        "lend",
        "jobs_max",
        "job_memory_bytes_max",
        "cache_bytes_max",
        "images",
        "session_idle",
        "vouched",
        "history_max",
        "history_days",
        "keep_days",
        "keep_bytes_max",
        "bad_engines",
        "tags",
        "docker.offer",
        "docker.images",
        "docker.engine",
    ];

    /// The settings of `path`; none when there is no such file.
    ///
    /// # Errors
    /// [`ConfigError`] when it cannot be read or understood.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Io { doing: "read", path: path.to_owned(), source }),
        };
        toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), why: error.to_string().trim().to_owned() })
    }

    /// Writes the settings aside, then in place of `path`.
    ///
    /// # Errors
    /// [`ConfigError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), ConfigError> {
        let writing = |source| ConfigError::Io { doing: "write", path: path.to_owned(), source };
        let text = toml::to_string(self).map_err(|error| writing(io::Error::other(error)))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(writing)?;
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(writing)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(writing)?;
        file.persist(path).map_err(|error| writing(error.error))?;
        Ok(())
    }

    /// What `key` is set to, or `None` when the default holds.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`].
    pub fn value(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Self::known(key)?;
        let mut table = toml::Table::try_from(self).unwrap_or_default();
        let (table, key) = holding(&mut table, key);
        Ok(table.get(key).map(shown))
    }

    /// Sets `key` to what `text` says; an empty text goes back to the default.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] or [`ConfigError::BadValue`].
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
        Self::known(key)?;
        let refuse = |why: String| ConfigError::BadValue { key: key.to_owned(), value: text.to_owned(), why };
        let mut table = toml::Table::try_from(&*self).map_err(|error| refuse(error.to_string()))?;
        let (within, word) = holding(&mut table, key);
        if text.is_empty() {
            within.remove(word);
        } else {
            within.insert(word.to_owned(), parse_value(key, text));
        }
        let settings: Self = table.try_into().map_err(|error: toml::de::Error| refuse(error.message().to_owned()))?;
        settings.check(key).map_err(refuse)?;
        *self = settings;
        Ok(())
    }

    /// What the settings mean.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for a value that no machine could use.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        for key in Self::KEYS {
            let value = self.value(key)?.unwrap_or_default();
            self.check(key).map_err(|why| ConfigError::BadValue { key: (*key).to_owned(), value, why })?;
        }
        let discovery_port = self.discovery_port.unwrap_or(defaults::DISCOVERY_PORT);
        Ok(Config {
            name: self.name.unwrap_or_else(host_name),
            port: self.port.map_or(PortChoice::Preferred(defaults::PORT), PortChoice::Exactly),
            discovery: self.discovery.unwrap_or(true).then_some(discovery_port),
            lend: self.lend.unwrap_or(true),
            jobs_max: self.jobs_max.unwrap_or(defaults::JOBS_MAX),
            job_memory_bytes_max: self.job_memory_bytes_max,
            cache_bytes_max: self.cache_bytes_max.unwrap_or(defaults::CACHE_BYTES_MAX),
            images: self.images.unwrap_or(true),
            session_idle: self.session_idle.map_or(defaults::SESSION_IDLE, Duration::from_secs),
            vouched: parse_vouched(self.vouched.as_deref()).unwrap_or(Vouched::Trust),
            history_max: self.history_max.unwrap_or(defaults::HISTORY_JOBS_MAX),
            history_age: self.history_days.map_or(defaults::HISTORY_AGE_MAX, days),
            keep_time: self.keep_days.map_or(defaults::OUTPUT_KEPT, days),
            keep_bytes_max: self.keep_bytes_max.unwrap_or(defaults::OUTPUT_BYTES_MAX),
            bad_engines: self.bad_engines.as_deref().unwrap_or_default().parse().unwrap_or_default(),
            tags: parse_tags(self.tags.as_deref().unwrap_or_default()).unwrap_or_default(),
            docker: self.docker,
        })
    }

    fn known(key: &str) -> Result<(), ConfigError> {
        if Self::KEYS.contains(&key) { Ok(()) } else { Err(ConfigError::UnknownKey { key: key.to_owned() }) }
    }

    fn check(&self, key: &str) -> Result<(), String> {
        match key {
            "name" => self.name.as_deref().map_or(Ok(()), |name| check_name(name).map_err(str::to_owned)),
            "discovery_port" if self.discovery_port == Some(0) => Err("every machine must know the port".into()),
            "session_idle" if self.session_idle == Some(0) => Err("give a number of seconds, at least 1".into()),
            "vouched" => parse_vouched(self.vouched.as_deref()).map(|_| ()),
            "tags" => parse_tags(self.tags.as_deref().unwrap_or_default()).map(|_| ()),
            "bad_engines" => self.bad_engines.as_deref().unwrap_or_default().parse::<Added>().map(|_| ()),
            "docker.images" | "docker.engine" => self.docker.check(),
            "jobs_max" if self.jobs_max == Some(0) => Err("use `lend = false` to run no jobs of peers".into()),
            _ => Ok(()),
        }
    }
}

/// The words in a list of tags.
fn parse_tags(text: &str) -> Result<Vec<String>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let tags: Vec<Tag> =
        words.map(str::parse).collect::<Result<_, _>>().map_err(|error: NeedsError| error.to_string())?;
    if tags.len() > TAGS_MAX {
        return Err(format!("a machine has at most {TAGS_MAX} tags"));
    }
    Ok(tags.into_iter().map(String::from).collect())
}

impl Config {
    /// What becomes now of machines for which a peer vouches.
    #[must_use]
    pub const fn newcomers(&self, now_unix: u64) -> Newcomers {
        match self.vouched {
            Vouched::Trust => Newcomers::Trust,
            Vouched::Ask => Newcomers::Ask { now_unix },
        }
    }

    /// The configuration of these directories.
    ///
    /// # Errors
    /// A [`ConfigError`].
    pub fn load(paths: &Paths) -> Result<Self, ConfigError> {
        Settings::load(&paths.config_file())?.resolve()
    }
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days.saturating_mul(24 * 60 * 60))
}

fn parse_vouched(text: Option<&str>) -> Result<Vouched, String> {
    match text {
        None | Some("trust") => Ok(Vouched::Trust),
        Some("ask") => Ok(Vouched::Ask),
        Some(_) => Err("it is `trust` or `ask`".to_owned()),
    }
}

/// Whether `name` can be a node's label.
///
/// # Errors
/// Why not.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > defaults::NAME_LEN_MAX {
        return Err("a name has 1 to 63 characters");
    }
    if name == "any" || name == "local" {
        return Err("`any` and `local` have a meaning of their own in `--on`");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Err("a name is made of letters, digits, '-', '_' and '.'");
    }
    Ok(())
}

/// A name made usable: what a label may not hold becomes a hyphen. For names that come from elsewhere.
#[must_use]
pub fn tame_name(name: &str) -> String {
    let mut tamed: String = name
        .chars()
        .take(defaults::NAME_LEN_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    if check_name(&tamed).is_err() {
        tamed = "node".to_owned();
    }
    tamed
}

fn host_name() -> String {
    tame_name(&sysinfo::System::host_name().unwrap_or_default())
}

/// The table in which a key stands, made if need be, and its word there: `docker.images` is `images` of the table `docker`.
fn holding<'a, 'b>(table: &'a mut toml::Table, key: &'b str) -> (&'a mut toml::Table, &'b str) {
    let Some((name, word)) = key.split_once('.') else { return (table, key) };
    let inner = table.entry(name).or_insert_with(|| toml::Table::new().into());
    match inner {
        toml::Value::Table(inner) => (inner, word),
        _ => unreachable!("what a key with a dot stands in is a table of the settings"),
    }
}

/// A value as it is typed: texts without quotes, lists with commas.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Numbers and truth values as such, lists by their commas, everything else as text.
fn parse_value(key: &str, text: &str) -> toml::Value {
    if key == "docker.images" {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        return words.map(|word| toml::Value::String(word.to_owned())).collect::<Vec<_>>().into();
    }
    if key != "name" {
        if let Ok(number) = text.parse::<i64>() {
            return toml::Value::Integer(number);
        }
        if let Ok(truth) = text.parse::<bool>() {
            return toml::Value::Boolean(truth);
        }
    }
    toml::Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_does_not_exist_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "nmae = \"attic\"\n").unwrap();
        let text = Settings::load(&path).unwrap_err().to_string();
        assert!(text.contains("nmae"), "{text}");
        let text = Settings::default().set("nmae", "attic").unwrap_err().to_string();
        assert!(text.contains("nmae") && text.contains("jobs_max"), "{text}");
    }

    #[test]
    fn what_was_set_is_read_back_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/config.toml");
        let mut settings = Settings::load(&path).unwrap();
        settings.set("name", "007").unwrap();
        settings.set("port", "0").unwrap();
        settings.set("lend", "false").unwrap();
        settings.save(&path).unwrap();
        let settings = Settings::load(&path).unwrap();
        assert_eq!(settings.value("name").unwrap().as_deref(), Some("007"));
        assert_eq!(settings.value("jobs_max").unwrap(), None);
        let config = settings.resolve().unwrap();
        assert_eq!((config.port, config.lend, config.jobs_max), (PortChoice::Exactly(0), false, 4));
    }

    #[test]
    fn every_key_listed_is_a_field_and_every_field_is_listed() {
        let settings = Settings {
            name: Some("a".into()),
            port: Some(1),
            discovery: Some(true),
            discovery_port: Some(2),
            lend: Some(true),
            jobs_max: Some(3),
            job_memory_bytes_max: Some(4),
            cache_bytes_max: Some(5),
            images: Some(false),
            session_idle: Some(6),
            vouched: Some("ask".into()),
            history_max: Some(7),
            history_days: Some(8),
            keep_days: Some(9),
            keep_bytes_max: Some(10),
            bad_engines: Some("1..2 X".into()),
            tags: Some("fast,gpu-box".into()),
            docker: Docker {
                offer: true,
                images: vec!["busybox".parse().unwrap()],
                engine: Some("/run/x.sock".into()),
            },
        };
        for key in Settings::KEYS {
            assert!(settings.value(key).unwrap().is_some(), "{key}");
        }
        let count = |table: &toml::Table| {
            table.values().map(|value| value.as_table().map_or(1, toml::Table::len)).sum::<usize>()
        };
        assert_eq!(count(&toml::Table::try_from(&settings).unwrap()), Settings::KEYS.len());
        assert_eq!(settings.value("docker.images").unwrap().as_deref(), Some("busybox"));
    }

    #[test]
    fn values_that_do_not_fit_are_refused_and_change_nothing() {
        let mut settings = Settings::default();
        for (key, value) in [
            ("name", "two words"),
            ("name", "any"),
            ("port", "70000"),
            ("port", "x"),
            ("lend", "3"),
            ("jobs_max", "0"),
            ("vouched", "no"),
            ("bad_engines", "48"),
            ("tags", "two words"),
            ("docker.images", "Two Words"),
            ("docker.engine", "docker.sock"),
        ] {
            assert!(matches!(settings.set(key, value), Err(ConfigError::BadValue { .. })), "{key}={value}");
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn names_from_elsewhere_are_tamed() {
        assert_eq!(tame_name("Ann's laptop"), "Ann-s-laptop");
        assert_eq!(tame_name(""), "node");
        assert_eq!(tame_name(&"x".repeat(200)).len(), defaults::NAME_LEN_MAX);
    }
}
