//! The checkpoints of a run, fetched from its runner while it runs: one at a time, the newest there is, and at a pace that
//! slows with the time the run takes, so that what is written down of them stays little.

use super::{Broken, Teller, With, decoded};
use crate::service::blocking;
use crate::state::home::run::RunId;
use crate::state::home::spec::Input;
use crate::state::home::words::Event;
use crate::state::placement::Place;
use crate::store::blobs::BlobLease;
use crate::wire::{CheckpointIs, FrameStream, Tag, WhichRun};
use potluck_runtime::CHECKPOINT_LEN_MAX;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Between two checkpoints of a run that are fetched, at least.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// And this part of the time that the run takes: some thousands in a week.
const PAUSE_PART: u32 = 200;
/// How long the runner may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Fetches what a run gives, as often as it is told that there is something.
pub(super) struct Fetching<'a> {
    teller: &'a Teller,
    place: Place,
    run: RunId,
    began: Instant,
    due: Notify,
    /// Whether the guest has said last that it forgets those it gave. One that has given none says nothing of the kind, and
    /// what it goes on from stays.
    has_forgotten: AtomicBool,
}

impl<'a> Fetching<'a> {
    /// Of this run.
    pub(super) fn of(teller: &'a Teller, place: Place, run: RunId) -> Self {
        let (due, has_forgotten) = (Notify::new(), AtomicBool::new(false));
        Self { teller, place, run, began: Instant::now(), due, has_forgotten }
    }

    /// The run has given one of this size, or forgets those it gave.
    pub(super) fn hear(&self, size: Option<u64>) {
        self.has_forgotten.store(size.is_none(), Ordering::Relaxed);
        self.due.notify_one();
    }

    /// The run may have given one that was not fetched, when what it said was heard before.
    pub(super) fn may_be_due(&self) {
        self.due.notify_one();
    }

    /// For as long as this is polled.
    pub(super) async fn go_on(&self) -> std::convert::Infallible {
        loop {
            self.due.notified().await;
            if let Err(error) = self.fetch().await {
                tracing::debug!(run = %self.run, %error, "a checkpoint is not fetched");
            }
            tokio::time::sleep(PAUSE_MIN.max(self.began.elapsed() / PAUSE_PART)).await;
        }
    }

    async fn fetch(&self) -> Result<(), Broken> {
        let Self { teller, place, run, .. } = self;
        let mut stream = teller.open(*place).await?;
        stream.writer.send_message(Tag::RUN_CHECKPOINT, &WhichRun::from(*run)).await?;
        stream.writer.finish().await?;
        let frame = stream.reader.expect(Tag::CHECKPOINT_IS).await?;
        let CheckpointIs { checkpoint } = decoded(&frame)?;
        let lease = match checkpoint {
            Some(about) => Some((self.receive(about, &mut stream).await?, about.size)),
            None if self.has_forgotten.load(Ordering::Relaxed) => None,
            None => return Ok(()),
        };
        let event = Event::Checkpointed { place: *place, run: *run, checkpoint };
        teller.tell_with(event, With::Checkpoint(lease)).await;
        Ok(())
    }

    /// Takes its bytes in, checked and synced.
    async fn receive(&self, about: Input, stream: &mut FrameStream) -> Result<BlobLease, Broken> {
        let Input { digest, size } = about;
        if size > CHECKPOINT_LEN_MAX {
            return Err(Broken::TooMuch);
        }
        let blobs = &self.teller.shared.blobs;
        if let Some(lease) = blobs.lease(digest, size) {
            return Ok(lease);
        }
        let mut writer = blobs.receive(digest, size).map_err(io::Error::other)?;
        let mut left = size;
        while left > 0 {
            let heard = tokio::time::timeout(SILENCE_MAX, stream.reader.expect(Tag::DATA)).await;
            let frame = heard.map_err(|_| super::silent())??;
            left = left.checked_sub(frame.payload.len() as u64).ok_or(Broken::TooMuch)?;
            writer.write(&frame.payload).map_err(io::Error::other)?;
        }
        let lease = writer.commit().map_err(io::Error::other)?;
        let path = lease.path().to_owned();
        blocking(move || {
            File::open(&path)?.sync_all()?;
            path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        })
        .await?;
        Ok(lease)
    }
}
