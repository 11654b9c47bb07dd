//! MessagePack with named fields, so that a later version may add one and an older reader skips it.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::io::Cursor;

/// Lists and maps in each other that a message may have: our own have six, and each level takes stack to read, also where
/// nobody asks for what is in it.
const DEPTH_MAX: usize = 32;

/// The payload is not the message its tag promises.
#[derive(Debug, thiserror::Error)]
#[error("payload is no {message}")]
pub struct DecodeError {
    message: &'static str,
    source: rmp_serde::decode::Error,
}

/// The bytes of a message.
///
/// # Panics
/// Never for the types of [`super::message`]: their fields are integers, texts, bytes, lists and enums, all of which
/// MessagePack can hold, and a `Vec` can be written to.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    let bytes = rmp_serde::to_vec_named(message).expect("wire messages hold only what MessagePack can express");
    Bytes::from(bytes)
}

/// The message in `payload`, all of it.
///
/// # Errors
/// [`DecodeError`] when the bytes are another message, cut short, or followed by more.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, DecodeError> {
    let failed = |source| DecodeError { message: short_name::<T>(), source };
    let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(payload));
    deserializer.set_max_depth(DEPTH_MAX);
    let message = T::deserialize(&mut deserializer).map_err(failed)?;
    if deserializer.position() != payload.len() as u64 {
        return Err(failed(rmp_serde::decode::Error::Uncategorized("bytes follow the message".into())));
    }
    Ok(message)
}

fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}
