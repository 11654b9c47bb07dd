//! What a program notes while it runs: a level, a sentence, and fields that a machine can read.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::job::Job;

/// The most bytes of a message; what is longer is cut. Written as JSON it fits in a line whatever is in it.
const MESSAGE_LEN_MAX: usize = 8 << 10;

/// How much an entry matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is odd, and the program goes on.
    Warn,
    /// A milestone.
    Info,
    /// A detail for whoever looks for a fault.
    Debug,
}

/// Notes `message` with `fields`; [`log!`](crate::log!) is the shorter way.
pub fn log(level: Level, message: &str, fields: &[(&str, Value)]) {
    let entry = Entry::new(level, message);
    fields.iter().fold(entry, |entry, (name, value)| entry.field(name, value)).write();
}

/// Notes a sentence, formatted as by `format!`, and after a semicolon its fields: anything that can be serialised. Outside
/// Potluck nothing of it is evaluated.
///
/// ```
/// use potluck_guest::log;
///
/// let (path, rows) = ("a.csv", 120);
/// log!(Info, "started");
/// log!(Warn, "{} rows are empty", 3);
/// log!(Info, "read a file"; file = path, rows = rows);
/// ```
#[macro_export]
macro_rules! log {
    ($level:ident, $format:literal $(, $argument:expr)* $(,)? $(; $($field:ident = $value:expr),+ $(,)?)?) => {
        if $crate::inside() {
            $crate::Entry::new($crate::Level::$level, &::std::format!($format $(, $argument)*))
                $($(.field(::core::stringify!($field), &$value))+)?
                .write();
        }
    };
}

/// An entry that is being put together.
#[derive(Debug)]
#[must_use = "an entry is noted by `write`"]
pub struct Entry {
    level: Level,
    message: String,
    fields: Map<String, Value>,
}

impl Entry {
    /// A sentence without fields.
    pub fn new(level: Level, message: &str) -> Self {
        Self { level, message: cut(message).to_owned(), fields: Map::new() }
    }

    /// With one more field. A value that JSON cannot hold becomes the sentence that says why.
    pub fn field(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        let value = serde_json::to_value(value).unwrap_or_else(|error| error.to_string().into());
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Notes it. A log is a courtesy: what cannot be written is left out, and fields too long for a line come without their
    /// values.
    pub fn write(self) {
        self.write_to(Job::of_process());
    }

    fn write_to(mut self, job: &Job) {
        if job.say(&self.event()).is_err() {
            self.fields = Map::from_iter([("left_out".to_owned(), Value::from(self.fields.len()))]);
            let _left_out = job.say(&self.event());
        }
    }

    fn event(&self) -> Value {
        let mut entry = json!({"level": self.level, "message": self.message});
        if !self.fields.is_empty() {
            entry["fields"] = Value::Object(self.fields.clone());
        }
        json!({ "log": entry })
    }
}

/// A message no longer than one may be.
pub(crate) fn cut(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_LEN_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi;
    use crate::job::tests::Scene;
    use std::collections::BTreeMap;

    #[test]
    fn an_entry_has_its_level_its_sentence_and_its_fields() {
        let scene = Scene::new();
        Entry::new(Level::Warn, "odd").field("file", "a.csv").field("rows", &3).write_to(&scene.job);
        Entry::new(Level::Info, "line\nbreak").write_to(&scene.job);
        let fields = json!({"log": {"level": "warn", "message": "odd", "fields": {"file": "a.csv", "rows": 3}}});
        assert_eq!(scene.said(), [fields, json!({"log": {"level": "info", "message": "line\nbreak"}})]);
    }

    #[test]
    fn a_message_of_any_length_and_alphabet_gets_through() {
        let scene = Scene::new();
        for message in ["\u{1}".repeat(100_000), "ü".repeat(100_000)] {
            Entry::new(Level::Error, &message).write_to(&scene.job);
        }
        let said = scene.said();
        assert_eq!(said.len(), 2);
        assert!(said.iter().all(|event| event["log"]["message"].as_str().unwrap().len() == MESSAGE_LEN_MAX));
    }

    #[test]
    fn fields_that_are_too_long_are_counted_instead() {
        let scene = Scene::new();
        Entry::new(Level::Info, "much").field("all", &"x".repeat(abi::EVENT_LEN_MAX)).write_to(&scene.job);
        assert_eq!(scene.said(), [json!({"log": {"level": "info", "message": "much", "fields": {"left_out": 1}}})]);
    }

    #[test]
    fn a_value_that_is_no_json_says_so() {
        let no_json = BTreeMap::from([(vec![1], 2)]);
        let entry = Entry::new(Level::Info, "x").field("map", &no_json);
        assert!(entry.fields["map"].is_string());
    }

    #[test]
    fn outside_the_macro_evaluates_nothing() {
        let never = || -> u8 { panic!("evaluated outside") };
        log!(Info, "never {}", never(); never = never());
        log(Level::Info, "nothing", &[("a", json!(1))]);
    }
}
