//! How many graphics processors are needed: as it is typed, and as it is written down. One or none is written as a word that is
//! true or false, as it was when there was no more to ask for; who knows only that word refuses a greater number.

use super::{NeedsError, value_error};
use crate::defaults::GPUS_MAX;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;

const FITS: &str = "a number of graphics processors from 1 to 16 would, as in gpu=2";

/// The number that was typed.
pub(super) fn count(value: Option<&str>) -> Result<u32, NeedsError> {
    let number =
        value.and_then(|value| value.parse::<u32>().ok()).filter(|count| *count > 0 && is_few(u64::from(*count)));
    number.ok_or_else(|| value_error("gpu", value, FITS))
}

const fn is_few(count: u64) -> bool {
    count <= GPUS_MAX as u64
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(count: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    match count {
        0 | 1 => serializer.serialize_bool(*count == 1),
        more => serializer.serialize_u32(*more),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    struct Count;
    impl Visitor<'_> for Count {
        type Value = u32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "true, false, or a number up to {GPUS_MAX}")
        }

        fn visit_bool<E: Error>(self, any: bool) -> Result<u32, E> {
            Ok(u32::from(any))
        }

        fn visit_u64<E: Error>(self, count: u64) -> Result<u32, E> {
            let few = u32::try_from(count).ok().filter(|_| is_few(count));
            few.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(count), &self))
        }
    }
    deserializer.deserialize_any(Count)
}
