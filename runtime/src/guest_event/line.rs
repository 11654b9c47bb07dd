//! One line of a guest's events file.

use super::{Amount, DOING_LEN_MAX, GuestEvent, GuestLog, GuestProgress, JsonText, LogLevel, NotJson};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Something to be passed on.
    Event(GuestEvent),
    /// This file holds its state; or nothing does any more.
    Checkpoint(Option<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Progress(ProgressLine),
    #[serde(borrow)]
    Log(LogLine<'a>),
    #[serde(borrow)]
    Result(&'a RawValue),
    Checkpoint(Option<CheckpointLine>),
}

#[derive(Deserialize)]
struct ProgressLine {
    done: Amount,
    #[serde(default)]
    total: Option<Amount>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct LogLine<'a> {
    level: LogLevel,
    message: String,
    #[serde(borrow, default)]
    fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CheckpointLine {
    file: String,
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEvent {
    #[error(transparent)]
    Line(#[from] serde_json::Error),
    #[error(transparent)]
    Value(#[from] NotJson),
    #[error("fields are an object")]
    Fields,
}

/// Reads a line without its end. Values stay as the guest wrote them.
pub(super) fn read(line: &[u8]) -> Result<Said, NoEvent> {
    Ok(match serde_json::from_slice::<Line<'_>>(line)? {
        Line::Progress(ProgressLine { done, total, message }) => {
            let message = cut(message.unwrap_or_default(), DOING_LEN_MAX);
            Said::Event(GuestEvent::Progress(GuestProgress { done, total, message }))
        }
        Line::Log(LogLine { level, message, fields }) => {
            let fields = fields.map(object).transpose()?.flatten();
            Said::Event(GuestEvent::Log(GuestLog { level, message, fields }))
        }
        Line::Result(value) => Said::Event(GuestEvent::Result(JsonText::parse(value.get().to_owned())?)),
        Line::Checkpoint(checkpoint) => Said::Checkpoint(checkpoint.map(|checkpoint| checkpoint.file)),
    })
}

/// An object, unless it is empty.
fn object(value: &RawValue) -> Result<Option<JsonText>, NoEvent> {
    let inside = value.get().strip_prefix('{').ok_or(NoEvent::Fields)?;
    Ok(if inside.trim_start() == "}" { None } else { Some(JsonText::parse(value.get().to_owned())?) })
}

fn cut(mut text: String, len_max: usize) -> String {
    if text.len() > len_max {
        let end = (0..=len_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(line: &str) -> Result<String, NoEvent> {
        match read(line.as_bytes())? {
            Said::Event(event) => Ok(serde_json::to_string(&event).unwrap()),
            Said::Checkpoint(file) => Ok(format!("checkpoint {file:?}")),
        }
    }

    #[test]
    fn each_kind_of_line_is_understood() {
        for (line, said) in [
            (r#"{"progress":{"done":3}}"#, r#"{"progress":{"done":3}}"#),
            (
                r#" {"progress": {"done":0.5, "total":10, "message":"reading", "later":1} } "#,
                r#"{"progress":{"done":0.5,"total":10,"message":"reading"}}"#,
            ),
            (r#"{"progress":{"done":3,"total":null,"message":null}}"#, r#"{"progress":{"done":3}}"#),
            (r#"{"log":{"level":"info","message":"hi"}}"#, r#"{"log":{"level":"info","message":"hi"}}"#),
            (r#"{"result":null}"#, r#"{"result":"null"}"#),
            (r#"{"result":{"b":[1, 2]}}"#, r#"{"result":"{\"b\":[1, 2]}"}"#),
            (r#"{"checkpoint":{"file":"a/b"}}"#, r#"checkpoint Some("a/b")"#),
            (r#"{"checkpoint":null}"#, "checkpoint None"),
        ] {
            assert_eq!(json(line).unwrap(), said, "{line}");
        }
        let log = json(r#"{"log":{"level":"warn","message":"m","fields":{"file":"a.csv"}}}"#).unwrap();
        assert!(log.contains(r#"{\"file\":\"a.csv\"}"#), "{log}");
    }

    #[test]
    fn what_is_no_such_object_is_refused_with_the_reason() {
        for line in [
            "",
            "hello",
            "[]",
            "{}",
            r#"{"progress":{}}"#,
            r#"{"progress":{"done":-1}}"#,
            r#"{"progress":{"done":"3"}}"#,
            r#"{"progress":{"done":1e999}}"#,
            r#"{"log":{"level":"loud","message":"x"}}"#,
            r#"{"log":{"level":"info"}}"#,
            r#"{"log":{"level":"info","message":"x","fields":[1]}}"#,
            r#"{"result":1,"log":2}"#,
            r#"{"result":1} {"result":2}"#,
            r#"{"checkpoint":{}}"#,
            r#"{"unknown":1}"#,
            "{\"result\":\"\u{1}\"}",
        ] {
            assert!(json(line).is_err(), "{line}");
        }
        assert!(read(b"{\"result\":\"\xff\"}").is_err());
    }

    #[test]
    fn values_stay_as_the_guest_wrote_them() {
        for value in ["123456789012345678901234567890", "1e15", "0.10", r#"{"b":1, "a":[ ], "b":2}"#, r#""\u0041""#] {
            let line = format!("{{\"result\": {value} }}");
            let Ok(Said::Event(GuestEvent::Result(result))) = read(line.as_bytes()) else { panic!("{line}") };
            assert_eq!(result.as_str(), value);
        }
        assert!(json(r#"{"log":{"level":"info","message":"m","fields":{ }}}"#).unwrap().ends_with("\"m\"}}"));
    }

    #[test]
    fn a_value_that_nobody_could_read_again_is_refused() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for line in [format!("{{\"result\":{deep}}}"), format!("{{\"result\":{}}}", "9".repeat(400))] {
            assert!(matches!(read(line.as_bytes()), Err(NoEvent::Value(_))), "{line}");
        }
    }

    #[test]
    fn what_a_guest_says_it_does_is_cut_between_characters() {
        let line = format!("{{\"progress\":{{\"done\":1,\"message\":\"{}\"}}}}", "ä".repeat(1000));
        let Ok(Said::Event(GuestEvent::Progress(progress))) = read(line.as_bytes()) else { panic!("no progress") };
        assert_eq!(progress.message, "ä".repeat(128));
    }
}
