//! The daemon of this machine as a command asks it: over the owner's socket, one connection for each request.

use super::network::ClientError;
use super::{Client, Packed};
use crate::net::socket;
use crate::node::running;
use crate::paths::Paths;
use crate::wire::{Frame, FrameError, FrameStream, OwnerHello, OwnerSource, OwnerSources, Tag, payload_len_max};
use std::error::Error;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// How long a request to the daemon may take; joining another machine is the longest.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks the daemon, whose answer must be of the tag `wanted`.
pub(super) async fn ask_daemon(client: &Client, request: Frame, wanted: Tag) -> Result<Frame, ClientError> {
    ask_daemon_for(client, request, &[wanted]).await
}

/// A request to the daemon whose answer is more than one frame.
pub(super) async fn open_request(client: &Client, request: Frame) -> Result<FrameStream, ClientError> {
    let silent = |source: Box<dyn Error + Send + Sync>| ClientError::DaemonSilent { source };
    let opened = async {
        let mut stream = open(client.paths(), [request]).await.map_err(|error| match running(client.paths()) {
            Some(_) => silent(Box::new(error)),
            None => ClientError::NoDaemon,
        })?;
        let _theirs: OwnerHello = greeting(&mut stream).await.map_err(|error| silent(Box::new(error)))?;
        Ok(stream)
    };
    tokio::time::timeout(DAEMON_TIMEOUT, opened).await.map_err(|elapsed| silent(Box::new(elapsed)))?
}

/// Asks the daemon, whose answer must be of one of these tags.
pub(super) async fn ask_daemon_for(client: &Client, request: Frame, wanted: &[Tag]) -> Result<Frame, ClientError> {
    let silent = |source: Box<dyn Error + Send + Sync>| ClientError::DaemonSilent { source };
    let conversation = async {
        let mut stream = open_request(client, request).await?;
        let answer = stream.reader.expect_any().await.map_err(|error| match error {
            FrameError::Fault(fault) => ClientError::Refused(fault),
            error => silent(Box::new(error)),
        })?;
        match wanted.first() {
            Some(first) if !wanted.contains(&answer.tag) => {
                Err(silent(Box::new(FrameError::Unexpected { got: answer.tag, wanted: *first })))
            }
            _ => Ok(answer),
        }
    };
    tokio::time::timeout(DAEMON_TIMEOUT, conversation).await.map_err(|elapsed| silent(Box::new(elapsed)))?
}

/// Gives the daemon a job. None where no daemon of this version runs; nothing of the job has happened then.
pub(super) async fn submit(paths: &Paths, packed: &Packed) -> Option<FrameStream> {
    let submit = Frame::message(Tag::SUBMIT, &packed.job);
    let sent = async {
        let mut stream = open(paths, [submit, sources(packed)]).await?;
        let theirs = greeting(&mut stream).await?;
        Ok::<_, FrameError>((stream, theirs))
    };
    match tokio::time::timeout(DAEMON_TIMEOUT, sent).await {
        Ok(Ok((stream, theirs))) if theirs == OwnerHello::ours() => Some(stream),
        Ok(Ok((_, theirs))) => {
            tracing::warn!(version = theirs.version, "the daemon is of another version, so the job runs without it");
            None
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "no daemon takes the job");
            None
        }
        Err(_) => {
            tracing::warn!("the daemon does not answer, so the job runs without it");
            None
        }
    }
}

/// A connection on which our greeting and these frames are said.
pub(super) async fn open(paths: &Paths, frames: impl IntoIterator<Item = Frame>) -> Result<FrameStream, FrameError> {
    let connected = socket::connect(&paths.data_dir).await.map_err(FrameError::Io)?;
    let (reader, writer) = connected.into_split();
    let mut stream = FrameStream::new(reader, writer);
    stream.writer.queue(Frame::message(Tag::OWNER_HELLO, &OwnerHello::ours())).await?;
    for frame in frames {
        stream.writer.queue(frame).await?;
    }
    stream.writer.flush().await?;
    Ok(stream)
}

async fn greeting(stream: &mut FrameStream) -> Result<OwnerHello, FrameError> {
    stream.reader.expect_message(Tag::OWNER_HELLO).await
}

/// Where the job's blobs lie; nothing of it if that is too much to say, and then they are asked for.
fn sources(packed: &Packed) -> Frame {
    let source = |(digest, source): (_, &super::packing::Source)| OwnerSource {
        digest,
        path: source.path.as_os_str().as_bytes().to_vec(),
    };
    let sources = packed.sources.iter().map(|(digest, at)| source((*digest, at))).collect();
    let frame = Frame::message(Tag::OWNER_SOURCES, &OwnerSources { sources });
    if frame.payload.len() <= payload_len_max(Tag::OWNER_SOURCES) {
        return frame;
    }
    Frame::message(Tag::OWNER_SOURCES, &OwnerSources { sources: Vec::new() })
}

#[cfg(test)]
mod tests;
