//! What a guest says of itself in its events file: progress, words with fields, a result. Read from lines here, and from then
//! on data of bounded size, whoever sends it; nothing in this file waits or knows who listens.

mod json_text;
mod line;
mod listener;

pub use json_text::{JsonText, NotJson};
pub(crate) use listener::{Heard, Listener};

use potluck_guest::abi::{EVENT_LEN_MAX, EVENTS_LEN_MAX};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Bytes of an event as it travels, at most: a line, with room to spare.
pub const GUEST_EVENT_LEN_MAX: usize = 2 * EVENT_LEN_MAX + 1024;
/// Bytes of all events of a run, as they travel: its words and results, and some ten thousand of its progress.
pub const GUEST_EVENTS_LEN_MAX: u64 = 2 * EVENTS_LEN_MAX as u64 + (8 << 20);
/// Bytes of what a guest says it does: nobody has room for more.
const DOING_LEN_MAX: usize = 256;

/// Something that a guest has said of itself. Whoever is told of a kind that is not known here passes it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestEvent {
    /// How far it is.
    Progress(GuestProgress),
    /// A sentence for whoever follows it.
    Log(GuestLog),
    /// What it has come to; the last one counts.
    Result(JsonText),
    /// Its machine keeps its state as it was just now; or none any more. Said by the machine that runs it.
    Checkpoint {
        /// Bytes of it.
        size: Option<u64>,
    },
    /// It goes on from a checkpoint of an earlier run. Said by the machine that runs it, before all else.
    Restored {
        /// Bytes of it.
        size: u64,
    },
}

/// How far a guest is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestProgress {
    /// So much is done.
    pub done: Amount,
    /// Of so much, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Amount>,
    /// What it does; may be empty, and is short.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "text::<DOING_LEN_MAX, _>")]
    pub message: String,
}

/// A sentence of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLog {
    /// How grave it is.
    #[serde(deserialize_with = "level")]
    pub level: LogLevel,
    /// What is to be said.
    #[serde(deserialize_with = "text::<EVENT_LEN_MAX, _>")]
    pub message: String,
    /// An object with more about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<JsonText>,
}

/// How grave a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something went wrong.
    Error,
    /// Something may have.
    Warn,
    /// Worth knowing.
    Info,
    /// Worth knowing for whoever looks for a mistake.
    Debug,
}

impl LogLevel {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// A level that is not known here is worth knowing.
fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogLevel, D::Error> {
    let word = String::deserialize(deserializer)?;
    let known = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];
    Ok(known.into_iter().find(|level| level.word() == word).unwrap_or(LogLevel::Info))
}

/// A text of at most `MAX` bytes.
fn text<'de, const MAX: usize, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > MAX { Err(D::Error::custom(format!("a text of more than {MAX} bytes"))) } else { Ok(text) }
}

/// How much of something there is: a finite number, at least 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Amount(f64);

// It is a number always, so that it equals itself.
impl Eq for Amount {}

/// Up to here every whole number is one of its own.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl Amount {
    /// An amount; none of what is negative, endless or no number.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        // Zero has one sign.
        (number.is_finite() && number >= 0.0).then_some(Self(number + 0.0))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The same as a whole number, if it is one.
    #[must_use]
    pub fn whole(self) -> Option<u64> {
        // No more than 2^53, and not negative: the cast changes nothing.
        (self.0.fract() == 0.0 && self.0 <= WHOLE_MAX).then_some(self.0 as u64)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole() {
            Some(whole) => write!(f, "{whole}"),
            None if self.0 >= WHOLE_MAX => write!(f, "{:e}", self.0),
            None => write!(f, "{:.2}", self.0),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.whole() {
            Some(whole) => serializer.serialize_u64(whole),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, at least 0")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
        // No more than what such a number can say is wanted.
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
        u64::try_from(number).map_err(|_| E::custom("a number below 0")).and_then(|number| self.visit_u64(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
        Amount::new(number).ok_or_else(|| E::custom("a number that is no amount"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_finite_number_and_travels_as_what_it_is() {
        for number in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Amount::new(number), None);
        }
        let said = |number| serde_json::to_string(&Amount::new(number).unwrap()).unwrap();
        assert_eq!([3.0, 0.5, 0.0, -0.0].map(said), ["3", "0.5", "0", "0"]);
        for number in [0.0, 3.0, 0.25, 1e300, WHOLE_MAX] {
            let amount = Amount::new(number).unwrap();
            let bytes = rmp_serde::to_vec_named(&amount).unwrap();
            assert_eq!(rmp_serde::from_slice::<Amount>(&bytes).unwrap(), amount);
        }
        assert!(serde_json::from_str::<Amount>("-3").is_err());
    }

    #[test]
    fn an_amount_is_shown_shortly() {
        let shown = |number| Amount::new(number).unwrap().to_string();
        assert_eq!([3.0, 0.125, 1e300].map(shown), ["3", "0.12", "1e300"]);
    }

    fn heard(event: &serde_json::Value) -> Option<GuestEvent> {
        rmp_serde::from_slice(&rmp_serde::to_vec_named(event).unwrap()).ok()
    }

    #[test]
    fn a_level_of_later_is_worth_knowing_and_a_kind_of_later_is_none() {
        let event = serde_json::json!({"log": {"level": "later", "message": "m", "more": 1}});
        let log = GuestLog { level: LogLevel::Info, message: "m".to_owned(), fields: None };
        assert_eq!(heard(&event), Some(GuestEvent::Log(log)));
        assert_eq!(heard(&serde_json::json!({"later": 1})), None);
    }

    #[test]
    fn a_text_that_no_line_can_hold_is_not_taken() {
        let progress = |len| heard(&serde_json::json!({"progress": {"done": 1, "message": "x".repeat(len)}}));
        assert!(progress(DOING_LEN_MAX).is_some() && progress(DOING_LEN_MAX + 1).is_none());
        let log = |len| heard(&serde_json::json!({"log": {"level": "info", "message": "x".repeat(len)}}));
        assert!(log(EVENT_LEN_MAX).is_some() && log(EVENT_LEN_MAX + 1).is_none());
    }
}
