//! The graphics processors of this machine. A driver may take a second to answer, or never answer, and may be broken in any way:
//! it is asked by a thread of its own, of which nobody waits longer than they want to, and what fails there is "none seen" and a
//! word on what was tried. It is asked seldom, because a laptop's sleeping processor may be woken by it.

mod files;
mod nvml;

use crate::defaults::{GPU_TEXT_LEN_MAX, GPUS_MAX};
use crate::wire::Gpu;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long what was seen serves whoever asks: free memory is for people, and names do not change.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What was seen of graphics processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuSight {
    /// They, NVIDIA's first.
    pub gpus: Vec<Gpu>,
    /// What was looked at, and with what success: a fragment of a sentence each.
    pub tried: Vec<String>,
    /// Why NVIDIA's library did not tell of its processors, where there are some or the library is.
    pub trouble: Option<String>,
}

/// Why NVIDIA's library tells nothing.
#[derive(Debug, thiserror::Error)]
enum NvmlSilent {
    /// It is not there, as on most machines.
    #[error("{library} is not there")]
    Absent {
        /// What was looked for.
        library: String,
    },
    /// It is there and of no use.
    #[error("{library} fails: {why}")]
    Fails {
        /// Which.
        library: String,
        /// In its words.
        why: String,
    },
}

/// Watches them from a thread of its own, which ends with this.
#[derive(Debug)]
pub(super) struct GpuWatch {
    seen: watch::Receiver<Option<GpuSight>>,
    /// Holds one question; more are the same question.
    ask: SyncSender<()>,
}

impl GpuWatch {
    /// Begins to look below `root`.
    pub(super) fn begin(root: &Path) -> Self {
        let (sender, seen) = watch::channel(None);
        let (ask, asked) = sync_channel(1);
        let root = root.to_owned();
        let thread = std::thread::Builder::new().name("gpus".to_owned());
        // It may be stuck in a driver when the process ends, so nobody joins it. Without a thread nothing is seen.
        if let Err(error) = thread.spawn(move || watch_until_dropped(&root, &sender, &asked)) {
            tracing::debug!(%error, "no thread for graphics processors");
        }
        Self { seen, ask }
    }

    /// What was seen last; none before the first look is over. Has them looked at again where that was long ago.
    pub(super) fn sight(&self) -> Option<GpuSight> {
        // Full: the question stands already. Closed: there is no thread, and there will be no answer.
        let _ = self.ask.try_send(());
        self.seen.borrow().clone()
    }

    /// What is seen by the first look; none when that takes too long.
    pub(super) async fn first(&mut self, within: Duration) -> Option<GpuSight> {
        let first = tokio::time::timeout(within, self.seen.wait_for(Option::is_some)).await;
        first.ok()?.ok()?.clone()
    }
}

fn watch_until_dropped(root: &Path, sender: &watch::Sender<Option<GpuSight>>, asked: &Receiver<()>) {
    loop {
        // What sleeps has not changed, and to ask it would wake it.
        if sender.borrow().is_none() || !files::nvidia_sleeps(root) {
            let sight = look(root);
            tracing::debug!(gpus = sight.gpus.len(), tried = sight.tried.join("; "), "looked for graphics processors");
            sender.send_replace(Some(sight));
        }
        if !rest(asked) {
            return;
        }
    }
}

/// Until what was seen is old and somebody asks; whether anybody still can.
fn rest(asked: &Receiver<()>) -> bool {
    let until = Instant::now() + LOOK_EVERY;
    let mut was_asked = false;
    loop {
        match asked.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => was_asked = true,
            Err(RecvTimeoutError::Timeout) if was_asked => return true,
            Err(RecvTimeoutError::Timeout) => return asked.recv().is_ok(),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// What is seen below `root` without asking a driver.
pub(super) fn glance(root: &Path) -> Vec<Gpu> {
    bounded(files::nvidia(root).into_iter().chain(files::others(root)))
}

/// All that is seen below `root`.
fn look(root: &Path) -> GpuSight {
    let (named, others) = (files::nvidia(root), files::others(root));
    let drm = root.join("sys/class/drm");
    let files_tried = [
        format!("{} and {} name {} of NVIDIA", root.join("proc/driver/nvidia").display(), drm.display(), named.len()),
        format!("{} has {} of AMD or Intel", drm.display(), others.len()),
    ];
    let asked = guarded(|| nvml::look(&library(root)));
    let (first, told, trouble) = match asked {
        Ok(gpus) => {
            let told = format!("NVML told of {}", gpus.len());
            let trouble = (gpus.is_empty() && !named.is_empty()).then(|| "NVML told of none".to_owned());
            (if gpus.is_empty() { named } else { gpus }, told, trouble)
        }
        Err(silent) => {
            let matters = !named.is_empty() || matches!(silent, NvmlSilent::Fails { .. });
            let told = silent.to_string();
            (named, told.clone(), matters.then_some(told))
        }
    };
    let tried = std::iter::once(told).chain(files_tried).collect();
    GpuSight { gpus: bounded(first.into_iter().chain(others)), tried, trouble }
}

/// Where NVIDIA's library is: the loader finds the system's by name, and below another root there is one alone.
fn library(root: &Path) -> PathBuf {
    const NAME: &str = "libnvidia-ml.so.1";
    if root == Path::new("/") { PathBuf::from(NAME) } else { root.join(NAME) }
}

/// What a look at a driver gives, also when it panics.
fn guarded(look: impl FnOnce() -> Result<Vec<Gpu>, NvmlSilent>) -> Result<Vec<Gpu>, NvmlSilent> {
    let panicked = |_| NvmlSilent::Fails { library: "NVML".to_owned(), why: "the look at it panicked".to_owned() };
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|payload| Err(panicked(payload)))
}

/// At most so many, with texts that are short and hold nothing that a terminal would obey.
fn bounded(gpus: impl Iterator<Item = Gpu>) -> Vec<Gpu> {
    let tame = |text: &str| text.chars().filter(|c| !c.is_control()).take(GPU_TEXT_LEN_MAX).collect::<String>();
    let one = |gpu: Gpu| {
        let name = tame(&gpu.name);
        Gpu {
            name: if name.trim().is_empty() { "a GPU without a name".to_owned() } else { name },
            driver: gpu.driver.as_deref().map(tame),
            cuda: gpu.cuda.as_deref().map(tame),
            ..gpu
        }
    };
    gpus.take(GPUS_MAX).map(one).collect()
}

#[cfg(test)]
mod tests;
