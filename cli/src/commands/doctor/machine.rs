//! Tests of this machine: clock, cache directory, Python environment, worker process.

use super::Check;
use crate::quantity::ByteSize;
use crate::render;
use potluck_node::client::{Client, JobEvent, Submission, Target};
use potluck_node::paths::Paths;
use potluck_runtime::Outcome;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of 2026: a clock before it is wrong.
const CLOCK_EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// Free bytes the cache wants: compiled Python and a few programs.
const CACHE_FREE_BYTES_WANTED: u64 = 2 << 30;
/// How long the smallest program may take, its compilation included.
const WORKER_WITHIN: Duration = Duration::from_secs(20);
/// A module whose `_start` returns at once.
const SMALLEST_PROGRAM: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\x07\x13\x02\x06memory\x02\0\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

/// The clock is not years behind: tickets expire by it.
pub(super) fn clock() -> Check {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(now) if now >= CLOCK_EARLIEST => Check::ok("clock", "later than this version of Potluck"),
        _ => Check::fail("clock", "years behind, so tickets seem valid for ever", "set the clock, best by NTP"),
    }
}

/// The cache directory is ours, private, writable and has room.
pub(super) fn cache(paths: &Paths) -> Check {
    let dir = &paths.cache_dir;
    let shown = dir.display();
    if let Err(error) = paths.create().and_then(|()| tempfile::tempfile_in(dir).map(drop)) {
        return Check::fail(
            "cache",
            format!("cannot write to {shown}: {error}"),
            "free the disk, or set POTLUCK_CACHE_DIR to a directory of yours",
        );
    }
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) => return Check::fail("cache", format!("cannot look at {shown}: {error}"), "check its permissions"),
    };
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.permissions().mode() & 0o022 != 0 {
        let remedy = format!("it holds native code that is trusted: `chown` it to yourself and `chmod 700 {shown}`");
        return Check::fail("cache", format!("{shown} can be written by others"), remedy);
    }
    let free = rustix::fs::statvfs(dir).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let found = format!("{shown} is private and writable, {} free", ByteSize(free));
    if free < CACHE_FREE_BYTES_WANTED {
        return Check::warn("cache", found, "compiled Python needs about 1 GiB; free some space");
    }
    Check::ok("cache", found)
}

/// The environment `python` is in place.
pub(super) fn python(client: &Client) -> Check {
    let remedy = "`potluck env add python` fetches it from a peer or by pip; scripts do so at their first run";
    match client.runtime() {
        Ok(runtime) => match runtime.environments().missing("python") {
            Ok(missing) if !missing.is_empty() => Check::warn("python", "not here yet", remedy),
            Ok(_) if runtime.environment_compiled("python") => Check::ok("python", "in place and compiled"),
            Ok(_) => Check::ok("python", "in place; its first use compiles it, as `potluck env add python` does now"),
            Err(error) => Check::fail("python", render::sentence(&error.into()), remedy),
        },
        Err(error) => Check::fail("python", render::sentence(&error.into()), "see the line about the cache"),
    }
}

/// A worker process compiles and runs the smallest program.
pub(super) async fn worker(client: &Client) -> Check {
    let remedy = "POTLUCK_LOG=debug potluck doctor says more; is the binary allowed to start itself again?";
    match tokio::time::timeout(WORKER_WITHIN, run_smallest(client)).await {
        Ok(Ok(Outcome::Exited(0))) => Check::ok("worker", "compiled and ran a program"),
        Ok(Ok(outcome)) => Check::fail("worker", format!("the smallest program {outcome}"), remedy),
        Ok(Err(error)) => Check::fail("worker", render::sentence(&error), remedy),
        Err(_) => Check::fail("worker", format!("no answer within {} s", WORKER_WITHIN.as_secs()), remedy),
    }
}

async fn run_smallest(client: &Client) -> anyhow::Result<Outcome> {
    let file = tempfile::Builder::new().suffix(".wasm").tempfile()?;
    std::fs::write(file.path(), SMALLEST_PROGRAM)?;
    let mut job = client.submit(Target::Local, Submission::new(file.path())).await?;
    while let Some(event) = job.events.next().await {
        if let JobEvent::Ended(ended) = event? {
            return Ok(ended.report.outcome);
        }
    }
    anyhow::bail!("the job ended without a word")
}
