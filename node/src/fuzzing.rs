//! What of this crate reads bytes that others have made and is not public anyway, for the targets in `fuzz/` and for nobody
//! else. Nothing here may panic or take memory out of proportion, whatever the bytes are.

use crate::dispatch::Role;
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

/// Reads a file with a saved session; whether it is one.
///
/// # Errors
/// What the disk says.
pub fn saved_session(bytes: &[u8]) -> io::Result<bool> {
    crate::client::read_saved(bytes, tempfile::tempdir()?)
}
