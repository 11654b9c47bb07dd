//! One line of a guest's events file.

use super::{Amount, GuestEvent, GuestLog, GuestProgress, JsonText, LogLevel};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes of what a guest says it does: what is longer is cut, because nobody has room for it.
const DOING_LEN_MAX: usize = 256;

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
enum Line {
    Progress(ProgressLine),
    Log(LogLine),
    Result(Value),
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
struct LogLine {
    level: LogLevel,
    message: String,
    #[serde(default)]
    fields: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct CheckpointLine {
    file: String,
}

/// Reads a line without its end; the error says why it is none.
pub(super) fn read(line: &[u8]) -> Result<Said, String> {
    let line = serde_json::from_slice::<Line>(line).map_err(|error| error.to_string())?;
    Ok(match line {
        Line::Progress(ProgressLine { done, total, message }) => {
            let message = cut(message.unwrap_or_default(), DOING_LEN_MAX);
            Said::Event(GuestEvent::Progress(GuestProgress { done, total, message }))
        }
        Line::Log(LogLine { level, message, fields }) => {
            let fields = fields.filter(|fields| !fields.is_empty());
            let fields = fields.map(|fields| JsonText::of(&fields)).transpose().map_err(|error| error.to_string())?;
            Said::Event(GuestEvent::Log(GuestLog { level, message, fields }))
        }
        Line::Result(value) => {
            Said::Event(GuestEvent::Result(JsonText::of(&value).map_err(|error| error.to_string())?))
        }
        Line::Checkpoint(checkpoint) => Said::Checkpoint(checkpoint.map(|checkpoint| checkpoint.file)),
    })
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

    fn json(line: &str) -> Result<String, String> {
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
            (r#"{"result":{"b":[1, 2]}}"#, r#"{"result":"{\"b\":[1,2]}"}"#),
            (r#"{"checkpoint":{"file":"a/b"}}"#, r#"checkpoint Some("a/b")"#),
            (r#"{"checkpoint":null}"#, "checkpoint None"),
        ] {
            assert_eq!(json(line).as_deref(), Ok(said), "{line}");
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
    fn numbers_that_take_more_room_when_they_are_written_out_do_not_pass_the_bound() {
        let line = format!("{{\"result\":[{}0]}}", "1e15,".repeat(12_000));
        assert!(line.len() < potluck_guest::abi::EVENT_LEN_MAX);
        assert!(json(&line).unwrap_err().contains("comes to more"), "{line}");
    }

    #[test]
    fn what_a_guest_says_it_does_is_cut_between_characters() {
        let line = format!("{{\"progress\":{{\"done\":1,\"message\":\"{}\"}}}}", "ä".repeat(1000));
        let Ok(Said::Event(GuestEvent::Progress(progress))) = read(line.as_bytes()) else { panic!("no progress") };
        assert_eq!(progress.message, "ä".repeat(128));
    }
}
