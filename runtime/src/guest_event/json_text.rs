//! JSON of a guest's own making, kept as text: checked where it comes in, so that whoever reads it later can.

use potluck_guest::abi::EVENT_LEN_MAX;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::fmt;

/// One JSON value, as text of at most [`EVENT_LEN_MAX`] bytes, in one line.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct JsonText(String);

/// Why a text is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotJson(String);

impl JsonText {
    /// Checks a text.
    ///
    /// # Errors
    /// [`NotJson`] for what is too long or no JSON value.
    pub fn parse(text: String) -> Result<Self, NotJson> {
        if text.len() > EVENT_LEN_MAX {
            return Err(NotJson(format!("it is longer than {EVENT_LEN_MAX} bytes")));
        }
        if text.contains(['\n', '\r']) {
            return Err(NotJson("it is more than one line".to_owned()));
        }
        // As deep as it may be for whoever reads it into memory.
        serde_json::from_str::<Value>(&text).map_err(|error| NotJson(error.to_string()))?;
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_too_deep_or_too_long_is_refused_wherever_it_comes_from() {
        let deep = "[".repeat(100_000);
        let nested = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let long = format!("\"{}\"", "x".repeat(EVENT_LEN_MAX));
        for text in ["", "{", "1 2", "[1,\n2]", "1e999", deep.as_str(), nested.as_str(), long.as_str()] {
            assert!(JsonText::parse(text.to_owned()).is_err(), "{}", &text[..text.len().min(20)]);
            let packed = rmp_serde::to_vec_named(&text).unwrap();
            assert!(rmp_serde::from_slice::<JsonText>(&packed).is_err());
        }
        assert_eq!(JsonText::parse("{\"a\":[1,null]}".to_owned()).unwrap().as_str(), "{\"a\":[1,null]}");
    }
}
