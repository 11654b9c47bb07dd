//! Puts what was made where it belongs: at its place in the cache or, where that has no room, in a file in memory.

use crate::digest::Digest;
use crate::protocol::{CodeKind, Made, Refusal};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Where something goes.
pub(super) struct Destination<'a> {
    /// A new file; removed again if the parent dies.
    pub(super) output: &'a Path,
    /// An open file of the parent's, if `output` cannot be written.
    pub(super) fallback: Option<&'a Path>,
}

/// Writes an image with `write`, which may be called a second time on another empty file.
pub(super) fn image(destination: &Destination<'_>, write: impl Fn(&File) -> io::Result<()>) -> Result<Made, Refusal> {
    let displaced = store(destination, write)?;
    let place = match (&displaced, destination.fallback) {
        (Some(_), Some(fallback)) => fallback,
        _ => destination.output,
    };
    let written = File::open(place).and_then(Digest::of_reader);
    let (digest, len) = written.map_err(|error| Refusal::Store(error.to_string()))?;
    Ok(Made { kind: CodeKind::Image, len, digest, displaced })
}

/// Writes with `write`; the text is why it lies at the fallback, if it does.
pub(super) fn store(
    destination: &Destination<'_>,
    write: impl Fn(&File) -> io::Result<()>,
) -> Result<Option<String>, Refusal> {
    let new = File::options().read(true).write(true).create_new(true).mode(0o600).open(destination.output);
    let Err(error) = new.and_then(|file| write(&file)) else { return Ok(None) };
    let why = error.to_string();
    let Some(fallback) = destination.fallback else { return Err(Refusal::Store(why)) };
    tracing::debug!(%why, "what was made goes to memory");
    // What was written so far would only keep the disk full.
    let _absent = std::fs::remove_file(destination.output);
    match File::options().write(true).open(fallback).and_then(|file| write(&file)) {
        Ok(()) => Ok(Some(why)),
        Err(error) => Err(Refusal::Store(format!("{why}; in memory: {error}"))),
    }
}
