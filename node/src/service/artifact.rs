//! Giving an environment's artifact to a peer. Only artifacts that this version pins can be asked for, so no request can
//! name any other file of this machine. Whoever runs a job is given them by its submitter too.

use super::{SendFileError, Stop, blocking, gone, send_file};
use crate::wire::{ArtifactHead, Fault, FaultCode, FetchArtifact, Frame, FrameWriter, Tag};
use potluck_runtime::Runtime;
use std::fs::File;

/// Answers a `FETCH_ARTIFACT`.
pub(super) async fn serve(runtime: &Runtime, first: &Frame, writer: &mut FrameWriter) -> Result<(), Stop> {
    let request: FetchArtifact =
        first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, super::chain(&error)))?;
    let absent = || Fault::new(FaultCode::NOT_FOUND, "that artifact is not here");
    let path = runtime.environments().artifact(&request.sha256).ok_or_else(absent)?;
    let opened = blocking(move || File::open(path).and_then(|file| file.metadata().map(|m| (file, m.len())))).await;
    let (file, size) = opened.map_err(|_| absent())?;
    writer.send_message(Tag::ARTIFACT_IS, &ArtifactHead { size }).await.map_err(gone)?;
    match send_file(writer, file, size, |_| {}).await {
        Ok(()) => Ok(()),
        Err(SendFileError::Write(error)) => Err(gone(error)),
        Err(SendFileError::Read(error)) => {
            tracing::warn!(%error, "artifact could not be read");
            Err(Fault::new(FaultCode::INTERNAL, "the artifact could not be read").into())
        }
    }
}
