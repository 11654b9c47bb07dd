//! Requests of this machine's owner, over the socket. Each connection begins with both sides' versions and carries one
//! request, the same as a stream of a link does.

use super::requests::{first_frame, serve_request};
use super::{Caller, Role};
use crate::defaults::{DRAIN_TIMEOUT, OWNER_REQUESTS_MAX, REQUEST_TIMEOUT};
use crate::driver::Core;
use crate::net::socket::{HangUp, OwnerSocket};
use crate::wire::{Fault, FaultCode, Frame, FrameError, FrameStream, OwnerHello, Tag};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the owner until the node stops, then gives what runs the time to end.
pub(crate) async fn serve_owner(core: Arc<Core>, socket: OwnerSocket) {
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            () = core.stop.cancelled() => break,
            accepted = socket.accept(), if requests.len() < OWNER_REQUESTS_MAX => match accepted {
                Ok(stream) => drop(requests.spawn(serve(Arc::clone(&core), stream))),
                Err(error) => {
                    tracing::warn!(%error, "the owner's socket takes no connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = requests.join_next(), if !requests.is_empty() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "serving a request of the owner panicked");
                }
            }
        }
    }
    drop(socket);
    let all_served = async { while requests.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, all_served).await;
}

async fn serve(core: Arc<Core>, stream: UnixStream) {
    let hang_up = HangUp::of(&stream);
    let (reader, writer) = stream.into_split();
    let mut stream = FrameStream::new(reader, writer);
    let greeting = tokio::time::timeout(REQUEST_TIMEOUT, greet(&mut stream)).await;
    let theirs = match greeting {
        Ok(Ok(theirs)) => theirs,
        Ok(Err(error)) => return tracing::debug!(%error, "a connection of the owner without a greeting"),
        Err(_) => return tracing::debug!("a connection of the owner that says nothing"),
    };
    let caller = Caller { id: core.identity.id(), role: Role::Owner, name: "the owner".to_owned(), link: None };
    let Some(first) = first_frame(&caller, &mut stream).await else { return };
    if first.tag == Tag::SUBMIT && theirs != OwnerHello::ours() {
        // The asking side has read our version by now and runs the job itself.
        let fault = Fault::new(FaultCode::UNSUPPORTED, "the node is of another version than the command");
        let _ = stream.writer.send_fault(&fault).await;
        return;
    }
    let runs = matches!(first.tag, Tag::SUBMIT | Tag::SESSION_TURN);
    let serving = serve_request(core, caller, None, first, stream);
    match hang_up {
        // A job or turn ends with the command that gave it, although the command's input may not have been read.
        Ok(hang_up) if runs => tokio::select! {
            () = serving => {}
            () = hang_up.wait() => {}
        },
        Ok(_) => serving.await,
        Err(error) => tracing::warn!(%error, "a connection of the owner cannot be watched"),
    }
}

/// Both sides say their version. A node of any version is asked and stopped alike; a job is given only to one of the
/// same.
async fn greet(stream: &mut FrameStream) -> Result<OwnerHello, FrameError> {
    let theirs = stream.reader.expect_message(Tag::OWNER_HELLO).await?;
    // Goes out with the answer to the request, which has arrived by now.
    stream.writer.queue(Frame::message(Tag::OWNER_HELLO, &OwnerHello::ours())).await?;
    Ok(theirs)
}
