//! How the node that has the job is reached for another request than the job itself, and what is answered when it asks
//! in turn.

use super::{Client, daemon};
use crate::defaults::REQUEST_TIMEOUT;
use crate::net::link::{CloseCode, Closed, Link, Role};
use crate::paths::Paths;
use crate::service::embedded::{Embedded, LocalSources, Serving};
use crate::service::give_artifact;
use crate::trust::book::BookStore;
use crate::wire::{Cancel, Fault, FaultCode, Frame, FrameError, FrameStream, FrameWriter, JobId, Tag};
use std::any::Any;
use std::io;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How long a job that is let go may take to be cancelled before its connection is closed all the same.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked whether a peer that has a job is still trusted.
const TRUST_POLL: Duration = Duration::from_millis(100);
/// Requests of the other side that are answered at once.
const GIVING_MAX: usize = 4;

/// The way to the node that has a job.
#[derive(Clone)]
pub(super) enum Door {
    /// The service in this process.
    Here(Embedded),
    /// The daemon of this machine, over these directories.
    Daemon(Paths),
    /// A connection to another.
    There(Link),
}

impl Door {
    /// Asks for a job to be stopped. Whether that worked is seen on the job's own stream.
    pub(super) async fn cancel(&self, job: JobId) {
        if let Ok(mut talk) = self.ask(Frame::message(Tag::CANCEL, &Cancel { job })).await {
            let _ = talk.next().await;
        }
    }

    /// Makes a request. The other side learns of it with its first frame, which is sent here.
    pub(super) async fn ask(&self, request: Frame) -> Result<Talk, FrameError> {
        Ok(match self {
            Self::Here(embedded) => {
                let (stream, serving) = embedded.serve(request, LocalSources::default());
                Talk { stream, _serving: Some(serving) }
            }
            Self::Daemon(paths) => Talk { stream: daemon::open(paths, [request]).await?, _serving: None },
            Self::There(link) => {
                let broken = |closed: Closed| FrameError::Io(io::Error::other(closed));
                let mut stream = link.open_stream().await.map_err(broken)?;
                stream.writer.send(request).await?;
                Talk { stream, _serving: None }
            }
        })
    }
}

/// One request under way; dropped, it is ended.
pub(super) struct Talk {
    stream: FrameStream,
    _serving: Option<Serving>,
}

impl Talk {
    /// The next frame of the answer, or `None` at its end. A `FAULT` is an error. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match self.stream.reader.expect_any().await {
                // A daemon greets with its first word.
                Ok(frame) if frame.tag == Tag::OWNER_HELLO => {}
                Ok(frame) => return Ok(Some(frame)),
                Err(FrameError::Truncated) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The answer, if it is one message of this tag.
    pub(super) async fn answer(&mut self, wanted: Tag) -> Result<Frame, FrameError> {
        match self.next().await? {
            Some(frame) if frame.tag == wanted => Ok(frame),
            Some(frame) => Err(FrameError::Unexpected { got: frame.tag, wanted }),
            None => Err(FrameError::Truncated),
        }
    }

    /// Says more.
    pub(super) fn writer(&mut self) -> &mut FrameWriter {
        &mut self.stream.writer
    }
}

/// Sends a cancellation once there is one and the node knows the job.
pub(super) async fn cancel_when_asked(
    door: Door,
    job: JobId,
    mut cancelled: watch::Receiver<bool>,
    mut accepted: watch::Receiver<bool>,
) {
    // Whoever could cancel or accept is gone when these fail, and then there is nothing to do.
    if cancelled.wait_for(|cancelled| *cancelled).await.is_ok() && accepted.wait_for(|accepted| *accepted).await.is_ok()
    {
        door.cancel(job).await;
    }
}

/// What must live as long as a job's stream. Dropped, it ends the job.
pub(super) enum Carrier {
    /// The service in this process.
    Here(#[expect(dead_code, reason = "held for its drop")] Serving),
    /// The daemon sees the end of the stream.
    Daemon,
    /// The connection to another, which was made for this job.
    There(Connection),
}

impl Carrier {
    /// Ends a job that is still under way. A busy connection's close may be lost (the transport holds it back while it
    /// waits for room to send), and the other side would wait for its silence: a cancellation goes ahead of it.
    pub(super) fn leave(self, door: Door, job: JobId) {
        match (self, Handle::try_current()) {
            (Self::There(connection), Ok(runtime)) => {
                runtime.spawn(async move {
                    let _ = tokio::time::timeout(LEAVE_TIMEOUT, door.cancel(job)).await;
                    drop(connection);
                });
            }
            (carrier, _) => drop(carrier),
        }
    }
}

/// A connection made for one job or session; closed when this is dropped, or when its peer is put out.
pub(super) struct Connection {
    link: Link,
    giving: JoinHandle<()>,
    trusting: JoinHandle<()>,
    _endpoint: Box<dyn Any + Send + Sync>,
}

impl Connection {
    /// Takes a link, and answers what the other side asks on it for as long as this lives.
    pub(super) fn new(client: Client, link: Link, endpoint: Box<dyn Any + Send + Sync>) -> Self {
        let trusting = tokio::spawn(close_when_put_out(client.paths().clone(), link.clone()));
        let giving = tokio::spawn(give(client, link.clone()));
        Self { link, giving, trusting, _endpoint: endpoint }
    }

    /// The connection.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.giving.abort();
        self.trusting.abort();
        self.link.close(CloseCode::DONE);
    }
}

/// Ends the link once the book holds its peer no more. Whoever changes the book may be any process of the owner's, and a
/// daemon need not run; so the file is looked at, which costs one system call.
async fn close_when_put_out(paths: Paths, link: Link) {
    let store = BookStore::in_dir(&paths.data_dir);
    let mut seen = None;
    loop {
        tokio::time::sleep(TRUST_POLL).await;
        let now = store.modified();
        if seen != now {
            seen = now;
            let book = store.read();
            // A book that cannot be read says nothing of anybody.
            if book.is_ok_and(|book| book.peer(&link.peer()).is_none()) && link.role() == Role::Peer {
                return link.close(CloseCode::DONE);
            }
        }
    }
}

/// Gives the other side the artifacts it asks for: a node without the environment of a job gets it from whoever sent the
/// job, although no node may be running there.
async fn give(client: Client, link: Link) {
    let mut giving = JoinSet::new();
    loop {
        tokio::select! {
            stream = link.accept_stream(), if giving.len() < GIVING_MAX => match stream {
                Ok(stream) => drop(giving.spawn(answer(client.clone(), stream))),
                Err(_) => return,
            },
            Some(_) = giving.join_next(), if !giving.is_empty() => {}
        }
    }
}

async fn answer(client: Client, mut stream: FrameStream) {
    let first = tokio::time::timeout(REQUEST_TIMEOUT, stream.reader.next()).await;
    let Ok(Ok(Some(first))) = first else { return };
    let result = match first.tag {
        Tag::FETCH_ARTIFACT => match client.runtime() {
            Ok(runtime) => give_artifact(&runtime, &first, &mut stream.writer).await,
            Err(_) => Err(Fault::new(FaultCode::NOT_FOUND, "that artifact is not here")),
        },
        tag => Err(Fault::new(FaultCode::UNSUPPORTED, format!("{tag} is no request a submitter answers"))),
    };
    if let Err(fault) = result {
        // Whoever cannot be told is gone.
        let _ = stream.writer.send_fault(&fault).await;
    }
    if stream.writer.finish().await.is_ok() {
        let _ = stream.reader.next().await;
    }
}
