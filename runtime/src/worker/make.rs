//! Puts what was made where it belongs: in its file of the cache or, where the disk has no room, in a file in memory.

use crate::digest::Digest;
use crate::handed::Handed;
use crate::protocol::{CodeKind, Destination, Made, Refusal};
use std::fs::File;
use std::io::{self, Seek};

/// Writes an image with `write`, which may be called a second time on another empty file.
pub(super) fn image(destination: &Destination, write: impl Fn(&File) -> io::Result<()>) -> Result<Made, Refusal> {
    let displaced = store(destination, write)?;
    let place = if displaced.is_some() { &destination.fallback } else { &destination.output };
    let written = place.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)).and_then(digest);
    let (digest, len) = written.map_err(|error| Refusal::Store(error.to_string()))?;
    Ok(Made { kind: CodeKind::Image, len, digest, displaced })
}

fn digest(file: &Handed) -> io::Result<(Digest, u64)> {
    let mut file = file.file()?;
    file.rewind()?;
    Digest::of_reader(file)
}

/// Writes with `write`; the text is why it lies at the fallback, if it does.
pub(super) fn store(
    destination: &Destination,
    write: impl Fn(&File) -> io::Result<()>,
) -> Result<Option<String>, Refusal> {
    let written = match &destination.output {
        Some(output) => write_to(output, &write),
        None => Err(io::Error::other("it has no place on disk")),
    };
    let Err(error) = written else { return Ok(None) };
    let why = error.to_string();
    let Some(fallback) = &destination.fallback else { return Err(Refusal::Store(why)) };
    tracing::debug!(%why, "what was made goes to memory");
    match write_to(fallback, &write) {
        Ok(()) => Ok(Some(why)),
        Err(error) => Err(Refusal::Store(format!("{why}; in memory: {error}"))),
    }
}

fn write_to(place: &Handed, write: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let file = place.file()?;
    write(&file).inspect_err(|_| {
        // What was written so far would only keep the disk full.
        drop(file.set_len(0));
    })
}
