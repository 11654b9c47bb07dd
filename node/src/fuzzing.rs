//! What of this crate reads bytes that others have made and is not public anyway, for the targets in `fuzz/` and for nobody
//! else. Nothing here may panic or take memory out of proportion, whatever the bytes are.

use crate::dispatch::Role;
use crate::interpreters::Manifest;
use crate::service::{Case, MemoryLent, admit};
use crate::wire::{Fault, SubmitJob};
use std::io;

/// Decides on a job of a peer, as a node that lends does before anything of the job is done.
///
/// # Errors
/// The refusal.
pub fn admit_job(job: &SubmitJob) -> Result<(), Fault> {
    let lent = MemoryLent { one: Some(1 << 30), all: None };
    admit(job, Role::Peer, lent, "attic", Case::Folded)
}

/// Reads the manifest of an interpreter; whether it is one. What is one is written and read again as the same.
///
/// # Panics
/// When it is read again as another.
#[must_use]
pub fn manifest(bytes: &[u8]) -> bool {
    let Some(manifest) = std::str::from_utf8(bytes).ok().and_then(|text| Manifest::parse(text).ok()) else {
        return false;
    };
    let written = toml::to_string(&manifest).expect("a manifest that was read can be written");
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    true
}

/// Reads a file with a saved session; whether it is one.
///
/// # Errors
/// What the disk says.
pub fn saved_session(bytes: &[u8]) -> io::Result<bool> {
    crate::client::read_saved(bytes, tempfile::tempdir()?)
}
