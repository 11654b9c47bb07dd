//! What a guest says of itself, in the words of people and of programs. What is shown never carries to the terminal what a
//! terminal would obey, and is short.

use crate::render::tame;
use potluck_runtime::{GuestEvent, GuestLog, GuestProgress, JsonText};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Characters of one line that are shown.
const LINE_LEN_MAX: usize = 4096;

/// A sentence of a guest, in one line.
pub(crate) fn log_line(log: &GuestLog) -> String {
    let mut line = format!("{}: {}", log.level.word(), log.message);
    let fields = log.fields.as_ref().map(value);
    if let Some(Value::Object(fields)) = fields {
        for (name, value) in &fields {
            line.push_str(&format!(" {name}={}", field(value)));
        }
    }
    let mut line = tame(&line);
    if let Some((end, _)) = line.char_indices().nth(LINE_LEN_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// A text without blanks stands as it is.
fn field(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"') => {
            text.clone()
        }
        value => value.to_string(),
    }
}

/// How far a guest is: `3/10 reading`.
pub(crate) fn progress_text(progress: &GuestProgress) -> String {
    let so_far = match progress.total {
        Some(total) => format!("{}/{total}", progress.done),
        None => progress.done.to_string(),
    };
    tame(format!("{so_far} {}", progress.message).trim_end())
}

/// How far a guest is in a word: `30%`, or what is done where nobody knows of how much.
pub(crate) fn progress_word(progress: &GuestProgress) -> String {
    match share(progress) {
        Some(share) => format!("{:.0}%", (share * 100.0).floor()),
        None => progress.done.to_string(),
    }
}

/// How much of all is done, from 0 to 1.
pub(crate) fn share(progress: &GuestProgress) -> Option<f64> {
    let total = progress.total?.get();
    (total > 0.0).then(|| (progress.done.get() / total).clamp(0.0, 1.0))
}

/// A value that was checked where it came in.
fn value(json: &JsonText) -> Value {
    serde_json::from_str(json.as_str()).unwrap_or_default()
}

/// A value of a guest, for programs: as the guest wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnJson(JsonText);

impl From<&JsonText> for OwnJson {
    fn from(json: &JsonText) -> Self {
        Self(json.clone())
    }
}

impl Serialize for OwnJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_written(&self.0).serialize(serializer)
    }
}

fn as_written(json: &JsonText) -> &RawValue {
    serde_json::from_str(json.as_str()).unwrap_or(RawValue::NULL)
}

/// An event, for programs: as the guest wrote it.
#[derive(Debug)]
pub(crate) struct EventObject(pub(crate) GuestEvent);

impl Serialize for EventObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        match &self.0 {
            GuestEvent::Progress(progress) => object.serialize_entry("progress", progress)?,
            GuestEvent::Log(log) => object.serialize_entry("log", &LogObject(log))?,
            GuestEvent::Result(result) => object.serialize_entry("result", as_written(result))?,
            GuestEvent::Checkpoint { size } => object.serialize_entry("checkpoint", &json!({ "size": size }))?,
            GuestEvent::Restored { size } => object.serialize_entry("restored", &json!({ "size": size }))?,
        }
        object.end()
    }
}

struct LogObject<'a>(&'a GuestLog);

impl Serialize for LogObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let GuestLog { level, message, fields } = self.0;
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("level", level)?;
        object.serialize_entry("message", message)?;
        if let Some(fields) = fields {
            object.serialize_entry("fields", as_written(fields))?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_runtime::{Amount, LogLevel};

    fn log(message: &str, fields: &str) -> GuestLog {
        let fields = (!fields.is_empty()).then(|| JsonText::parse(fields.to_owned()).unwrap());
        GuestLog { level: LogLevel::Warn, message: message.to_owned(), fields }
    }

    fn progress(done: f64, total: Option<f64>, message: &str) -> GuestProgress {
        GuestProgress { done: Amount::new(done).unwrap(), total: total.and_then(Amount::new), message: message.into() }
    }

    #[test]
    fn a_log_is_one_line_with_its_fields() {
        let line = log_line(&log("no header", r#"{"file":"a.csv","why":"two words","rows":3}"#));
        assert_eq!(line, "warn: no header file=a.csv rows=3 why=\"two words\"");
        assert_eq!(log_line(&log("plain", "")), "warn: plain");
    }

    #[test]
    fn nothing_of_a_guest_steers_the_terminal_or_fills_it() {
        let line = log_line(&log("a\u{1b}[2J\nb\r", "{\"\\u001b]0;x\":\"\\u0007\\u009b\"}"));
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(log_line(&log(&"x".repeat(60_000), "")).chars().count() <= LINE_LEN_MAX + 1);
        assert!(!progress_text(&progress(1.0, None, "a\u{1b}[2J\r\n")).contains(char::is_control));
    }

    #[test]
    fn progress_is_said_in_a_word_and_in_a_few() {
        assert_eq!(progress_text(&progress(3.0, Some(10.0), "reading")), "3/10 reading");
        assert_eq!(progress_text(&progress(2.5, None, "")), "2.50");
        assert_eq!(progress_word(&progress(3.0, Some(10.0), "")), "30%");
        assert_eq!(progress_word(&progress(20.0, Some(10.0), "")), "100%");
        assert_eq!(progress_word(&progress(7.0, Some(0.0), "")), "7");
    }

    #[test]
    fn an_event_is_for_programs_what_the_guest_wrote() {
        let text = |event| serde_json::to_string(&EventObject(event)).unwrap();
        let fields = r#"{"b":[1.50, {"a":null}],"n":123456789012345678901234567890}"#;
        let expected = format!(r#"{{"log":{{"level":"warn","message":"m","fields":{fields}}}}}"#);
        assert_eq!(text(GuestEvent::Log(log("m", fields))), expected);
        assert_eq!(text(GuestEvent::Progress(progress(3.0, None, ""))), r#"{"progress":{"done":3}}"#);
        assert_eq!(text(GuestEvent::Result(JsonText::parse("1e3".to_owned()).unwrap())), r#"{"result":1e3}"#);
    }
}
