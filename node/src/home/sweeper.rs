//! Frees what a home is not to keep any more: the output of jobs whose keeping time is over, the oldest beyond the bytes it may
//! keep, and the files of which no record speaks, because their jobs were forgotten or never came to an end here.
//!
//! The files are listed before it is asked which jobs have not ended, and that before the records are read: what comes to be
//! meanwhile is of a job that has not ended, or in the records.

use super::Keep;
use super::shared::Shared;
use crate::clock::Clock;
use crate::service::{blocking, chain};
use crate::store::jobs::StoreError;
use crate::store::recording;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Weak;
use std::time::Duration;

/// How often it is looked, beside whenever much has been recorded.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Jobs whose output is freed at once: some milliseconds during which others wait.
const FREED_AT_ONCE: usize = 256;

/// Sweeps now and then, until the home is gone.
pub(super) async fn sweep_on(shared: Weak<Shared>, keep: Keep, clock: Clock) {
    loop {
        let Some(now) = shared.upgrade() else { return };
        if let Err(error) = sweep(&now, keep, clock).await {
            tracing::warn!(error = %chain(&error), "what jobs left and is not to be kept cannot be freed");
        }
        let due = now.much_is_recorded.clone();
        drop(now);
        // When nobody tells, the time does.
        let _ = tokio::time::timeout(SWEEP_INTERVAL, due.notified()).await;
    }
}

/// Frees what is not to be kept now.
pub(super) async fn sweep(shared: &std::sync::Arc<Shared>, keep: Keep, clock: Clock) -> Result<(), StoreError> {
    let looking = shared.clone();
    let to_free = blocking(move || looking.records.to_free(keep.bytes_max, clock.unix_now_ms())).await?;
    for some in to_free.chunks(FREED_AT_ONCE) {
        shared.records.free(some).await?;
    }
    let looking = shared.clone();
    blocking(move || remove_files(&looking)).await
}

/// Removes the files of which no record speaks.
fn remove_files(shared: &Shared) -> Result<(), StoreError> {
    let files = shared.folder.files();
    let open = shared.open();
    let ended = shared.records.recording_files()?.into_iter();
    let known: HashSet<PathBuf> = ended.map(|run| shared.folder.path_of(run.job, run.attempt)).collect();
    for (path, job) in files {
        if !job.is_some_and(|job| open.contains(&job)) && !known.contains(&path) {
            // What cannot be removed is tried again the next time.
            let _ = recording::remove(&path);
        }
    }
    Ok(())
}
