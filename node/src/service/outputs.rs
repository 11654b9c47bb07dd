//! Sending back what a job made or changed. A file that cannot be read is left behind and said so; it does not cost the
//! job the others.

use super::noting::Noting;
use super::{SendFileError, Stop, blocking, gone, send_file};
use crate::wire::{Fault, FaultCode, FrameWriter, OutputFile, Tag};
use potluck_runtime::Outputs;
use std::fs::File;
use std::sync::Arc;

/// Entries named in the list of what was left behind; a job could make any number.
const LEFT_BEHIND_MAX: usize = 100;

/// Sends every output; returns what was left behind, with reasons.
pub(super) async fn send(outputs: Outputs, writer: &mut FrameWriter, noting: &mut Noting) -> Result<Vec<String>, Stop> {
    let outputs = Arc::new(outputs);
    let walked = Arc::clone(&outputs);
    let mut listing = match blocking(move || walked.files()).await {
        Ok(listing) => listing,
        Err(error) => {
            let why = super::chain(&error);
            tracing::warn!(why, "outputs could not be collected");
            return Ok(vec![format!("all files: {error}")]);
        }
    };
    let mut left_behind = std::mem::take(&mut listing.left_behind);
    for entry in listing.files {
        let (opener, path) = (Arc::clone(&outputs), entry.path.clone());
        let file = match blocking(move || opener.open(&path)).await {
            Ok(file) => file,
            Err(error) => {
                left_behind.push(format!("{}: {error}", entry.path));
                continue;
            }
        };
        let head = OutputFile {
            path: entry.path.clone(),
            digest: entry.digest,
            size: entry.size,
            executable: entry.executable,
        };
        noting.brought(&head);
        send_one(head, file, writer).await?;
    }
    Ok(shortened(left_behind))
}

/// Sends one file.
pub(super) async fn send_one(head: OutputFile, file: File, writer: &mut FrameWriter) -> Result<(), Stop> {
    writer.send_message(Tag::OUTPUT_FILE, &head).await.map_err(gone)?;
    match send_file(writer, file, head.size, |_| {}).await {
        Ok(()) => Ok(()),
        Err(SendFileError::Write(error)) => Err(gone(error)),
        Err(SendFileError::Read(error)) => {
            // The head promised bytes that cannot be sent, so nothing can follow it.
            let text = format!("output file {} could not be read: {}", head.path, error.kind());
            Err(Fault::new(FaultCode::INTERNAL, text).into())
        }
    }
}

/// The list with as many entries as are told, and how many more there are.
pub(super) fn shortened(mut left_behind: Vec<String>) -> Vec<String> {
    let more = left_behind.len().saturating_sub(LEFT_BEHIND_MAX);
    left_behind.truncate(LEFT_BEHIND_MAX);
    if more > 0 {
        left_behind.push(format!("and {more} more"));
    }
    left_behind
}
