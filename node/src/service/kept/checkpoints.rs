//! The checkpoint of a run that is kept, as it comes from its guest: written aside, and in the place of the one before when it
//! is whole. It counts among what its home may keep here, and goes with the run's end; its home fetches it meanwhile.

use super::live::Live;
use crate::state::home::spec::Input;
use bytes::Bytes;
use potluck_runtime::{CheckpointPart, Digest, GuestEvent, GuestLog, LogLevel};
use std::io::{self, Write};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// A whole one.
#[derive(Debug)]
pub(in crate::service) struct Checkpoint {
    pub(in crate::service) about: Input,
    /// Gone when nobody reads it any more.
    pub(in crate::service) file: NamedTempFile,
}

/// Takes the checkpoints of one run.
pub(in crate::service) struct Checkpoints {
    live: Arc<Live>,
    /// Bytes that all runs of its home may have said and left here.
    most: u64,
    arriving: Option<Arriving>,
    has_warned: bool,
}

/// One that is coming.
struct Arriving {
    file: NamedTempFile,
    hasher: blake3::Hasher,
    len: u64,
    /// What it takes of its home's room, given back unless it comes whole.
    room: TakenRoom,
}

/// Room that is given back when this is dropped.
struct TakenRoom {
    live: Arc<Live>,
    bytes: u64,
}

impl TakenRoom {
    /// It is somebody else's to give back.
    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for TakenRoom {
    fn drop(&mut self) {
        self.live.give_back(self.bytes);
    }
}

impl Checkpoints {
    pub(super) const fn of(live: Arc<Live>, most: u64) -> Self {
        Self { live, most, arriving: None, has_warned: false }
    }

    /// The guest says this of its checkpoint. What is to be told of it is given back.
    pub(in crate::service) fn take(&mut self, part: CheckpointPart) -> Option<GuestEvent> {
        let taken = match part {
            CheckpointPart::Begins { len } => self.begin(len),
            CheckpointPart::Bytes(bytes) => self.write(&bytes),
            CheckpointPart::Forgotten => {
                self.arriving = None;
                self.live.keep_checkpoint(None);
                Ok(Some(GuestEvent::Checkpoint { size: None }))
            }
        };
        taken.unwrap_or_else(|error| {
            self.arriving = None;
            tracing::debug!(%error, "a checkpoint is not kept");
            self.warning(&error)
        })
    }

    fn begin(&mut self, len: u64) -> io::Result<Option<GuestEvent>> {
        self.arriving = None;
        let room = self.live.take_room(len, self.most).ok_or(io::ErrorKind::QuotaExceeded)?;
        let room = TakenRoom { live: self.live.clone(), bytes: room };
        let file = NamedTempFile::new_in(self.live.dir())?;
        self.arriving = Some(Arriving { file, hasher: blake3::Hasher::new(), len, room });
        self.finish_when_whole()
    }

    fn write(&mut self, bytes: &Bytes) -> io::Result<Option<GuestEvent>> {
        // What belongs to one that was not taken is passed over.
        let Some(arriving) = &mut self.arriving else { return Ok(None) };
        if arriving.hasher.count() + bytes.len() as u64 > arriving.len {
            return Err(io::Error::other("more bytes came than were announced"));
        }
        arriving.hasher.update(bytes);
        arriving.file.write_all(bytes)?;
        self.finish_when_whole()
    }

    fn finish_when_whole(&mut self) -> io::Result<Option<GuestEvent>> {
        let whole = self.arriving.take_if(|arriving| arriving.hasher.count() == arriving.len);
        let Some(Arriving { file, hasher, len, room }) = whole else { return Ok(None) };
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        room.keep();
        self.live.keep_checkpoint(Some(Checkpoint { about: Input { digest, size: len }, file }));
        Ok(Some(GuestEvent::Checkpoint { size: Some(len) }))
    }

    fn warning(&mut self, error: &io::Error) -> Option<GuestEvent> {
        let why = match error.kind() {
            io::ErrorKind::QuotaExceeded => "it is more than its home may keep here".to_owned(),
            kind => kind.to_string(),
        };
        let message = format!("a checkpoint is not kept: {why}");
        let warning = GuestEvent::Log(GuestLog { level: LogLevel::Warn, message, fields: None });
        (!std::mem::replace(&mut self.has_warned, true)).then_some(warning)
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::LiveRuns;
    use super::*;
    use crate::state::home::run::RunId;
    use crate::state::placement::Place;
    use crate::state::runs::Key;
    use crate::wire::JobId;

    fn bytes(text: &'static str) -> CheckpointPart {
        CheckpointPart::Bytes(Bytes::from_static(text.as_bytes()))
    }

    fn size(event: Option<GuestEvent>) -> Option<u64> {
        match event {
            Some(GuestEvent::Checkpoint { size }) => size,
            _ => None,
        }
    }

    #[tokio::test]
    async fn the_last_whole_one_counts_and_takes_room_alone() {
        let dir = tempfile::tempdir().unwrap();
        let runs = LiveRuns::in_dir(dir.path());
        let key = Key { home: Place::Here, run: RunId { job: JobId([1; 16]), attempt: 1 } };
        let live = runs.enter(key);
        let mut checkpoints = Checkpoints::of(live.clone(), 10);
        assert_eq!(checkpoints.take(CheckpointPart::Begins { len: 4 }), None);
        assert_eq!(checkpoints.take(bytes("so")), None);
        assert_eq!(size(checkpoints.take(bytes("up"))), Some(4));
        let held = live.checkpoint().unwrap();
        assert_eq!(held.about, Input { digest: Digest::of(b"soup"), size: 4 });
        assert_eq!(runs.stored_bytes(|_| true), 4);
        // One that does not come whole leaves the one before, and one that does not fit is told once.
        assert_eq!(checkpoints.take(CheckpointPart::Begins { len: 5 }), None);
        assert_eq!(checkpoints.take(bytes("brea")), None);
        assert_eq!(runs.stored_bytes(|_| true), 9);
        assert!(matches!(checkpoints.take(CheckpointPart::Begins { len: 7 }), Some(GuestEvent::Log(_))));
        assert_eq!(checkpoints.take(bytes("1234567")), None);
        assert_eq!(checkpoints.take(CheckpointPart::Begins { len: 7 }), None);
        assert_eq!((runs.stored_bytes(|_| true), live.checkpoint().unwrap().about.size), (4, 4));
        assert_eq!(size(checkpoints.take(CheckpointPart::Begins { len: 0 })), Some(0));
        assert_eq!(runs.stored_bytes(|_| true), 0);
        checkpoints.take(CheckpointPart::Begins { len: 3 });
        checkpoints.take(bytes("new"));
        assert_eq!(checkpoints.take(CheckpointPart::Forgotten), Some(GuestEvent::Checkpoint { size: None }));
        assert!(live.checkpoint().is_none());
        checkpoints.take(CheckpointPart::Begins { len: 3 });
        checkpoints.take(bytes("end"));
        runs.remove(&key);
        drop((held, checkpoints, live));
        assert_eq!((runs.stored_bytes(|_| true), std::fs::read_dir(dir.path()).unwrap().count()), (0, 0));
    }
}
