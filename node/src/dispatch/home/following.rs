//! A job or a map of this node's, followed by its owner: how it stands, and what its runs say, as it comes or as it was kept.

use super::{Stop, internal};
use crate::home::{JobHome, JobView};
use crate::service::blocking;
use crate::state::home::run::RunId;
use crate::store::recording::Follower;
use crate::wire::{
    Fault, FaultCode, FollowJob, FollowMap, FrameReader, FrameStream, FrameWriter, JobId, JobNow, RunSays, Tag,
};
use std::collections::HashSet;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

/// Ended jobs of a map that are looked up at once, at 24 bytes each: many, since those of one time are looked up again each time.
const ENDED_AT_ONCE: u32 = 16_384;

/// Somebody who follows.
pub(super) struct Following<'a> {
    home: &'a JobHome,
    reader: &'a mut FrameReader,
    writer: &'a mut FrameWriter,
}

impl<'a> Following<'a> {
    pub(super) fn of(home: &'a JobHome, stream: &'a mut FrameStream) -> Self {
        Self { home, reader: &mut stream.reader, writer: &mut stream.writer }
    }

    /// Follows a job to its end, or to what there is now.
    pub(super) async fn job(mut self, request: FollowJob) -> Result<(), Stop> {
        let FollowJob { job, output, now } = request;
        let mut heard = None;
        let mut told: Option<JobNow> = None;
        if let Some(mut view) = self.home.watch(job) {
            loop {
                let current: JobView = view.borrow_and_update().clone();
                if current.now.at.is_ended() {
                    break;
                }
                if told.as_ref() != Some(&current.now) {
                    self.writer.send_message(Tag::JOB_IS, &current.now).await?;
                    told = Some(current.now);
                }
                if now {
                    return self.what_there_is(job, current.run.map(|(run, _)| run).filter(|_| output)).await;
                }
                let wanted = current.run.map(|(run, _)| run).filter(|run| output && heard != Some(*run));
                let followed = match wanted {
                    Some(run) => self.read(move |home| home.follow(job, Some(run))).await,
                    None => None,
                };
                match followed {
                    Some(Ok((run, follower))) => {
                        self.says(run).await?;
                        if self.relay(follower, Some((run, &mut view))).await? {
                            heard = Some(run);
                        }
                    }
                    _ => self.or_gone(async { drop(view.changed().await) }).await?,
                }
            }
        }
        let ended = self.read(move |home| home.ended(job)).await.map_err(|error| internal(&error))?;
        let Some(ended) = ended else {
            return Err(Fault::new(FaultCode::NOT_FOUND, format!("no job {job} is here")).into());
        };
        let is_heard = !output || heard.is_some_and(|run| run.attempt == ended.attempt);
        if !is_heard && !self.all_of(job).await? {
            return Err(gone(job).into());
        }
        Ok(self.writer.send_message(Tag::JOB_IS, &ended).await?)
    }

    /// What the run that counts has said; false when that is not kept any more.
    async fn all_of(&mut self, job: JobId) -> Result<bool, Stop> {
        let Some(followed) = self.read(move |home| home.follow(job, None)).await else {
            let gone = self.read(move |home| home.output_is_gone(job)).await;
            return Ok(!gone.map_err(|error| internal(&error))?);
        };
        let (run, follower) = followed.map_err(|error| internal(&error))?;
        self.says(run).await?;
        self.relay(follower, None).await.map(|_| true)
    }

    /// What a run has said by now.
    async fn what_there_is(&mut self, job: JobId, run: Option<RunId>) -> Result<(), Stop> {
        let Some(run) = run else { return Ok(()) };
        let followed = self.read(move |home| (home.said(run), home.follow(job, Some(run)))).await;
        let (Some(len), Some(Ok((run, follower)))) = followed else {
            return Ok(());
        };
        self.says(run).await?;
        let mut frames = FrameReader::new(follower.take(len));
        while let Ok(Some(frame)) = frames.next().await {
            self.writer.send(frame).await?;
        }
        Ok(())
    }

    /// What the records say, which may take a while.
    fn read<T, F>(&self, read: F) -> impl Future<Output = T> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&JobHome) -> T + Send + 'static,
    {
        let home = self.home.clone();
        blocking(move || read(&home))
    }

    async fn says(&mut self, run: RunId) -> Result<(), Stop> {
        Ok(self.writer.send_message(Tag::RUN_SAYS, &RunSays { job: run.job, attempt: run.attempt }).await?)
    }

    /// Passes on what a run says, to its end (true), or until another is to be heard.
    async fn relay(
        &mut self,
        follower: Follower,
        mut watched: Option<(RunId, &mut watch::Receiver<JobView>)>,
    ) -> Result<bool, Stop> {
        let mut frames = FrameReader::new(follower);
        loop {
            tokio::select! {
                biased;
                frame = frames.next() => match frame {
                    Ok(Some(frame)) => self.writer.send(frame).await?,
                    Ok(None) => return Ok(true),
                    Err(error) => return Err(internal(&error).into()),
                },
                is_other = another(&mut watched) => {
                    if is_other {
                        return Ok(false);
                    }
                    // The job has ended: so will the recording.
                    watched = None;
                }
                heard = self.reader.next() => match heard {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(Stop::Gone),
                },
            }
        }
    }

    /// Waits for something, as long as whoever asked is there.
    async fn or_gone(&mut self, wait: impl Future<Output = ()>) -> Result<(), Stop> {
        let mut wait = std::pin::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return Ok(()),
                heard = self.reader.next() => match heard {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(Stop::Gone),
                },
            }
        }
    }

    /// Follows a map until whoever asked goes away.
    pub(super) async fn map(mut self, request: FollowMap) -> Result<(), Stop> {
        let FollowMap { batch, output } = request;
        // Our greeting waits for the first answer, which may be long in coming.
        self.writer.flush().await?;
        let mut ends = self.home.watch_map(batch);
        let mut told = HashSet::new();
        let mut from_ms = 0;
        loop {
            ends.borrow_and_update();
            loop {
                let max = ENDED_AT_ONCE.saturating_add(u32::try_from(at_one_time(&told, from_ms)).unwrap_or(u32::MAX));
                let some = self.read(move |home| home.ended_of_map(batch, from_ms, max)).await;
                let some = some.map_err(|error| internal(&error))?;
                let fresh: Vec<_> = some.into_iter().filter(|end| !told.contains(end)).collect();
                let Some((_, last_ms)) = fresh.last().copied() else { break };
                for end in fresh {
                    self.ended(end.0, output).await?;
                    told.insert(end);
                }
                from_ms = last_ms;
            }
            // Nothing that ends later has an earlier time, but for a clock that was set back within this second.
            told.retain(|(_, ended_ms)| *ended_ms >= from_ms);
            let changed = async { drop(ends.changed().await) };
            self.or_gone(changed).await?;
        }
    }

    /// A job of a map that has ended.
    async fn ended(&mut self, job: JobId, output: bool) -> Result<(), Stop> {
        // Nothing is told of one whose output is gone: whoever follows the map finds that in the records.
        if output && !self.all_of(job).await? {
            return Ok(());
        }
        let ended = self.read(move |home| home.ended(job)).await.map_err(|error| internal(&error))?;
        if let Some(ended) = ended {
            self.writer.send_message(Tag::JOB_IS, &ended).await?;
        }
        Ok(())
    }
}

fn gone(job: JobId) -> Fault {
    let text = format!(
        "what job {job} printed and made is not kept any more; the settings `keep_days` and `keep_bytes_max` say how long and how \
         much of it is, and `potluck rerun` runs it again"
    );
    Fault::new(FaultCode::NOT_FOUND, text)
}

/// Waits until another run than this one is to be heard (true), or the job has ended.
async fn another(watched: &mut Option<(RunId, &mut watch::Receiver<JobView>)>) -> bool {
    let Some((run, view)) = watched else { return std::future::pending().await };
    loop {
        if view.changed().await.is_err() {
            return false;
        }
        let current = view.borrow_and_update();
        if current.now.at.is_ended() {
            return false;
        }
        if current.run.map(|(run, _)| run) != Some(*run) {
            return true;
        }
    }
}

/// How many of those that were told have this time.
fn at_one_time(told: &HashSet<(JobId, u64)>, ms: u64) -> usize {
    told.iter().filter(|(_, ended_ms)| *ended_ms == ms).count()
}
