//! What a peer has signed of a run, compared with what its home asked for and what has arrived.

use super::records::Asked;
use crate::identity::NodeId;
use crate::state::home::run::RunId;
use crate::store::jobs::KeptReceipt;
use crate::store::recording::Follower;
use crate::wire::receipt::{Expected, request_digest_of};
use crate::wire::{FrameError, FrameReader, OutputFile, OutputTally, Receipt, Tag};
use potluck_runtime::{Digest, OutputStream, Report};

/// Who asks, and whom.
#[derive(Clone, Copy)]
pub(super) struct Sides {
    /// The home's node.
    pub(super) sent: NodeId,
    /// The node that ran it.
    pub(super) ran: NodeId,
}

/// The receipt of a run that ended with this report and left this recording, and what is to be thought of it.
///
/// # Errors
/// When the recording cannot be read.
pub(super) async fn checked(
    receipt: Receipt,
    run: RunId,
    asked: &Asked,
    sides: Sides,
    report: &Report,
    recording: Follower,
) -> Result<Option<KeptReceipt>, FrameError> {
    let (_, program) = asked.submit.program_file();
    let Some(output) = output_of(recording).await? else { return Ok(None) };
    let expected = Expected {
        ran: sides.ran,
        sent: sides.sent,
        job: run.job,
        program,
        request: request_digest_of(&asked.submit),
        limits: asked.submit.limits.clone(),
        report: report.clone(),
        output,
    };
    let wrong = receipt.check(&expected).err();
    if let Some(why) = &wrong {
        tracing::warn!(%run, peer = %sides.ran.short(), why, "the receipt of a run is wrong");
    }
    Ok(Some(KeptReceipt { receipt, wrong }))
}

/// The name of all that a run printed and brought back.
async fn output_of(recording: Follower) -> Result<Option<Digest>, FrameError> {
    let mut frames = FrameReader::new(recording);
    let mut tally = OutputTally::digesting();
    while let Some(frame) = frames.next().await? {
        match frame.tag {
            Tag::STDOUT => tally.printed(OutputStream::Stdout, &frame.payload),
            Tag::STDERR => tally.printed(OutputStream::Stderr, &frame.payload),
            Tag::OUTPUT_FILE => {
                let decoded = frame.decode::<OutputFile>();
                tally.brought(&decoded.map_err(|source| FrameError::Decode { tag: frame.tag, source })?);
            }
            _ => {}
        }
    }
    Ok(tally.digest())
}
