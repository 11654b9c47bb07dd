//! Jobs of this home as they are followed: what is heard of them, in the order in which it was said.

use crate::client::SubmitError;
use crate::client::network::{ClientError, decoded};
use crate::client::receiving::{ArrivingFile, OutputsDir};
use crate::wire::{Ended, Fault, Frame, FrameError, FrameStream, JobNow, OutputFile, RunSays, Stage, Tag, Time};
use bytes::Bytes;
use potluck_runtime::{Digest, GuestEvent, GuestPath, OutputStream};
use std::path::PathBuf;

/// What is heard of jobs.
#[derive(Debug)]
pub enum HomeEvent {
    /// How a job stands.
    Job(JobNow),
    /// What follows is what this run said, from its beginning.
    Says(RunSays),
    /// What its machine does before the guest starts.
    Stage(Stage),
    /// The guest has started.
    Started,
    /// When what follows was said, in milliseconds since 1970.
    Time(u64),
    /// The guest said something.
    Output {
        /// Where.
        stream: OutputStream,
        /// What.
        bytes: Bytes,
    },
    /// The guest said something of itself.
    Said(GuestEvent),
    /// A file came back and lies under the directory that was named.
    File {
        /// Its place there.
        path: GuestPath,
        /// Its bytes.
        size: u64,
        /// The digest of its content.
        digest: Digest,
    },
    /// The run has ended; the job's end comes with the next [`HomeEvent::Job`].
    RunEnded(Ended),
    /// The run could not be.
    RunFailed(Fault),
}

/// Follows jobs of this home.
pub struct Following {
    /// Its writing end says, by being open, that somebody listens.
    stream: FrameStream,
    /// Where the output files of the run go that speaks now; without it they are passed over.
    outputs: Option<OutputsDir>,
    arriving: Option<ArrivingFile>,
    /// Whether anything was heard; a fault before that is about the request.
    begun: bool,
}

impl Following {
    pub(super) const fn of(stream: FrameStream) -> Self {
        Self { stream, outputs: None, arriving: None, begun: false }
    }

    /// The files of the run that speaks now are brought there. Said after its [`HomeEvent::Says`]; the files of the run after
    /// it are passed over again.
    pub fn bring_to(&mut self, dir: PathBuf) {
        // The home has counted already what a machine may send back.
        self.outputs = Some(OutputsDir::new(dir, u64::MAX));
    }

    /// What is heard next; nothing when all was said. Safe to cancel.
    ///
    /// # Errors
    /// [`ClientError`] when the daemon goes away, or a file cannot be written.
    pub async fn next(&mut self) -> Result<Option<HomeEvent>, ClientError> {
        loop {
            let frame = match self.stream.reader.next().await {
                Ok(Some(frame)) if frame.tag == Tag::DONE => return Ok(None),
                Ok(Some(frame)) if frame.tag == Tag::FAULT && !self.begun => {
                    return Err(ClientError::Refused(decoded(&frame)?));
                }
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(error) => return Err(ClientError::DaemonSilent { source: Box::new(error) }),
            };
            self.begun = true;
            if let Some(event) = self.take(&frame)? {
                return Ok(Some(event));
            }
        }
    }

    fn take(&mut self, frame: &Frame) -> Result<Option<HomeEvent>, ClientError> {
        let event = match frame.tag {
            Tag::JOB_IS => HomeEvent::Job(decoded(frame)?),
            Tag::RUN_SAYS => {
                (self.arriving, self.outputs) = (None, None);
                HomeEvent::Says(decoded(frame)?)
            }
            Tag::STAGE => HomeEvent::Stage(decoded(frame)?),
            Tag::STARTED => HomeEvent::Started,
            Tag::TIME => HomeEvent::Time(decoded::<Time>(frame)?.unix_ms),
            Tag::STDOUT => HomeEvent::Output { stream: OutputStream::Stdout, bytes: frame.payload.clone() },
            Tag::STDERR => HomeEvent::Output { stream: OutputStream::Stderr, bytes: frame.payload.clone() },
            // A kind that is not known here is passed over.
            Tag::GUEST_SAYS => return Ok(frame.decode().ok().map(HomeEvent::Said)),
            Tag::OUTPUT_FILE => return self.begin_file(decoded(frame)?),
            Tag::DATA => return self.file_bytes(&frame.payload),
            Tag::ENDED => HomeEvent::RunEnded(decoded(frame)?),
            // A fault of the run stands between its words; one of the request is the first of all.
            Tag::FAULT => HomeEvent::RunFailed(decoded(frame)?),
            tag => {
                let error = FrameError::Unexpected { got: tag, wanted: Tag::JOB_IS };
                return Err(ClientError::DaemonSilent { source: Box::new(error) });
            }
        };
        Ok(Some(event))
    }

    fn begin_file(&mut self, head: OutputFile) -> Result<Option<HomeEvent>, ClientError> {
        let Some(outputs) = &mut self.outputs else { return Ok(None) };
        self.arriving = Some(outputs.begin(head).map_err(not_written)?);
        self.finish_file_when_whole()
    }

    fn file_bytes(&mut self, bytes: &[u8]) -> Result<Option<HomeEvent>, ClientError> {
        match &mut self.arriving {
            Some(arriving) => {
                arriving.write(bytes).map_err(not_written)?;
                self.finish_file_when_whole()
            }
            None => Ok(None),
        }
    }

    fn finish_file_when_whole(&mut self) -> Result<Option<HomeEvent>, ClientError> {
        match self.arriving.take() {
            Some(arriving) if arriving.left() == 0 => {
                let OutputFile { path, size, digest, .. } = arriving.finish().map_err(not_written)?;
                Ok(Some(HomeEvent::File { path, size, digest }))
            }
            unfinished => {
                self.arriving = unfinished;
                Ok(None)
            }
        }
    }
}

fn not_written(error: SubmitError) -> ClientError {
    ClientError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameWriter, JobId};
    use std::collections::BTreeMap;

    /// What a machine says of a run that leaves one file.
    async fn run(writer: &mut FrameWriter, attempt: u32, text: &[u8]) {
        writer.send_message(Tag::RUN_SAYS, &RunSays { job: JobId([1; 16]), attempt }).await.unwrap();
        let (path, digest) = (GuestPath::parse("made.txt").unwrap(), Digest::of(text));
        let head = OutputFile { path, digest, size: text.len() as u64, executable: false };
        writer.send_message(Tag::OUTPUT_FILE, &head).await.unwrap();
        writer.send(Frame { tag: Tag::DATA, payload: Bytes::copy_from_slice(text) }).await.unwrap();
    }

    #[tokio::test]
    async fn a_second_run_may_bring_what_the_first_brought() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (reader, writer) = tokio::io::split(theirs);
        let mut theirs = FrameStream::new(reader, writer);
        let (reader, writer) = tokio::io::split(ours);
        let mut following = Following::of(FrameStream::new(reader, writer));
        run(&mut theirs.writer, 1, b"first").await;
        run(&mut theirs.writer, 2, b"second").await;
        run(&mut theirs.writer, 3, b"nobody asks for it").await;
        theirs.writer.send_empty(Tag::DONE).await.unwrap();
        let mut files = 0;
        while let Some(event) = following.next().await.unwrap() {
            match event {
                HomeEvent::Says(says) if says.attempt < 3 => following.bring_to(dir.path().to_owned()),
                HomeEvent::File { .. } => files += 1,
                _ => {}
            }
        }
        assert_eq!(files, 2);
        assert_eq!(std::fs::read(dir.path().join("made.txt")).unwrap(), b"second");
    }

    #[tokio::test]
    async fn a_kind_of_event_that_is_not_known_is_passed_over() {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (reader, writer) = tokio::io::split(theirs);
        let mut theirs = FrameStream::new(reader, writer);
        let (reader, writer) = tokio::io::split(ours);
        let mut following = Following::of(FrameStream::new(reader, writer));
        theirs.writer.send_message(Tag::GUEST_SAYS, &BTreeMap::from([("later", 1)])).await.unwrap();
        theirs.writer.send_empty(Tag::STARTED).await.unwrap();
        assert!(matches!(following.next().await.unwrap(), Some(HomeEvent::Started)));
    }
}
