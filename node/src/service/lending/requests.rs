//! What the owner asks of lending: what is lent now, to take the machine back and to lend it again, which jobs are here, and to
//! end one of them.

use super::acting::{SentAway, act};
use crate::clock::Clock;
use crate::dispatch::{Caller, Role};
use crate::service::{Inner, Stop, blocking, chain, gone, sessions};
use crate::state::sharing::rules::Pause;
use crate::wire::{EndJob, Fault, FaultCode, Frame, FrameWriter, JobHere, JobsHere, PauseFor, SharingNow, Tag};
use std::fs;
use std::time::Duration;
use tokio::time::Instant;

/// How long what was ended may take to be gone before the owner is told that it is not.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Milliseconds of a tick in which the system counts a process's time, whatever ticks its kernel has.
const TICK_MS: u64 = 10;
/// How often that is looked at.
const GONE_POLL: Duration = Duration::from_millis(2);

/// Answers an `OWNER_SHARING`.
pub(in crate::service) async fn tell(inner: &Inner, caller: &Caller, writer: &mut FrameWriter) -> Result<(), Stop> {
    of_owner(caller)?;
    // A rule that was changed just now holds already.
    inner.look_at_lending().await;
    act(inner);
    inner.lending.wake.notify_one();
    answer(writer, &inner.lending.told()).await
}

/// Answers an `OWNER_PAUSE`: when this has answered, nothing of a peer runs here, nor of this machine's own queue.
pub(in crate::service) async fn pause(
    inner: &Inner,
    caller: &Caller,
    first: &Frame,
    writer: &mut FrameWriter,
) -> Result<(), Stop> {
    of_owner(caller)?;
    let PauseFor { seconds } = decoded(first)?;
    let since_unix = Clock::system().unix_now();
    let until_unix = seconds.map(|seconds| since_unix.saturating_add(seconds).min(i64::MAX.unsigned_abs()));
    let pause = Some(Pause { since_unix, until_unix });
    inner.lending.set_pause(pause);
    let sent = act(inner);
    inner.runtime.dismiss_others();
    let mut warning = gone_within(inner, &sent).await;
    if let Some(unwritten) = write(inner, pause).await {
        warning = Some(unwritten);
    }
    let saved = sessions::park_of_peers(inner, |_| true, sessions::Manner::Last).await;
    let SentAway { ended, waited: sent_away, own, .. } = sent;
    let now = SharingNow { ended, sent_away, own, saved, warning, ..inner.lending.told() };
    answer(writer, &now).await
}

/// Answers an `OWNER_RESUME`.
pub(in crate::service) async fn resume(inner: &Inner, caller: &Caller, writer: &mut FrameWriter) -> Result<(), Stop> {
    of_owner(caller)?;
    inner.lending.set_pause(None);
    let warning = write(inner, None).await;
    inner.look_at_lending().await;
    act(inner);
    answer(writer, &SharingNow { warning, ..inner.lending.told() }).await
}

/// Answers an `OWNER_JOBS`.
pub(in crate::service) async fn jobs(inner: &Inner, caller: &Caller, writer: &mut FrameWriter) -> Result<(), Stop> {
    of_owner(caller)?;
    let mut jobs = Vec::new();
    inner.present.each(|number, entry| {
        let Some(about) = &entry.about else { return };
        jobs.push((
            entry.process,
            JobHere {
                number,
                job: about.job,
                peer: (entry.role == Role::Peer).then_some(entry.caller),
                who: entry.who.clone(),
                what: about.what.clone(),
                state: entry.state,
                since_unix: entry.since_unix,
                memory_bytes_max: about.memory_bytes,
                fuel_max: about.limits.fuel,
                wall_ms_max: about.limits.wall_ms,
                cpu_ms: None,
                memory_bytes: None,
                progress: entry.progress.clone(),
            },
        ));
    });
    let measured = |(process, job): (Option<u32>, JobHere)| JobHere {
        cpu_ms: process.and_then(cpu_ms),
        memory_bytes: process.and_then(memory_bytes),
        ..job
    };
    let jobs = blocking(move || jobs.into_iter().map(measured).collect()).await;
    writer.send_message(Tag::JOBS_ARE, &JobsHere { jobs }).await.map_err(gone)
}

/// Answers an `OWNER_END_JOB`.
pub(in crate::service) async fn end_job(
    inner: &Inner,
    caller: &Caller,
    first: &Frame,
    writer: &mut FrameWriter,
) -> Result<(), Stop> {
    of_owner(caller)?;
    let EndJob { number } = decoded(first)?;
    let text = format!("the owner of {} ended the job; what it did there is gone", inner.name);
    if !inner.present.dismiss(number, Fault::new(FaultCode::TAKEN_BACK, text)) {
        return Err(Fault::new(FaultCode::NOT_FOUND, format!("no job {number} is here any more")).into());
    }
    writer.send_empty(Tag::DONE).await.map_err(gone)
}

fn of_owner(caller: &Caller) -> Result<(), Fault> {
    match caller.role {
        Role::Owner => Ok(()),
        Role::Peer => Err(Fault::new(FaultCode::NOT_ALLOWED, "only the owner of that machine may ask this")),
    }
}

fn decoded<T: serde::de::DeserializeOwned>(first: &Frame) -> Result<T, Fault> {
    first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, chain(&error)))
}

async fn answer(writer: &mut FrameWriter, now: &SharingNow) -> Result<(), Stop> {
    writer.send_message(Tag::SHARING_IS, now).await.map_err(gone)
}

/// Waits until whoever was sent away is gone, and the guests' processes with them; otherwise a sentence for the owner.
async fn gone_within(inner: &Inner, sent: &SentAway) -> Option<String> {
    let deadline = Instant::now() + GONE_WITHIN;
    let all_gone = async {
        inner.present.without_peers().await;
        for canceller in &sent.cancellers {
            canceller.without_container().await;
        }
        while inner.runtime.worker_processes().iter().any(|process| sent.processes.contains(process)) {
            tokio::time::sleep(GONE_POLL).await;
        }
    };
    let late = || format!("some jobs are not gone after {} s; the node's log may say why", GONE_WITHIN.as_secs());
    tokio::time::timeout_at(deadline, all_gone).await.err().map(|_| late())
}

/// Writes the pause down; otherwise a sentence for the owner.
async fn write(inner: &Inner, pause: Option<Pause>) -> Option<String> {
    let lending = inner.lending.clone();
    let written = blocking(move || lending.write_pause(pause)).await;
    written.err().map(|error| format!("this cannot be written down and is forgotten at a restart: {}", chain(&error)))
}

/// Milliseconds of a core that a process has used.
fn cpu_ms(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let ticks = text.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Some(ticks.collect::<Result<Vec<_>, _>>().ok()?.iter().sum::<u64>() * TICK_MS)
}

/// Bytes of memory that a process has for itself: what it shares with others is not its own.
fn memory_bytes(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
