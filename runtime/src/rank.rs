//! What the system gives to workers that serve others than this machine's owner: processors that nobody else wants, and no
//! more of them than are lent. Every worker has the lowest priority of its own; these give way at once to whatever else
//! wants to run.
#![expect(unsafe_code, reason = "the system's call for scheduling policies is offered by no library")]

use crate::worker_process::{SeenWorker, Worker};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often a process is looked at for threads that were not there before.
const LOOKS_MAX: usize = 8;

/// The workers of one runtime, and what those get that are lent.
#[derive(Default)]
pub(crate) struct Ranks {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Cores that those which are lent may use; nothing said is all.
    cores: Option<u32>,
    workers: Vec<(SeenWorker, Serves)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Serves {
    /// Nobody yet, or this machine's owner.
    Owner,
    /// Somebody else, and nobody but them from now on.
    Others,
}

impl Ranks {
    /// A worker was started.
    pub(crate) fn note(&self, worker: &Worker) {
        let mut state = self.state();
        state.workers.retain(|(worker, _)| worker.runs());
        state.workers.push((worker.seen(), Serves::Owner));
    }

    /// A worker serves somebody else than the owner from now on.
    pub(crate) fn lend(&self, worker: &Worker) {
        let mut state = self.state();
        let cores = state.cores;
        let Some((worker, serves)) = state.workers.iter_mut().find(|(known, _)| known.process() == worker.process())
        else {
            return;
        };
        if std::mem::replace(serves, Serves::Others) == Serves::Owner {
            tell(worker, give_way(worker.process()));
            if cores.is_some() {
                tell(worker, keep_to(worker.process(), cores));
            }
        }
    }

    /// Those that are lent may use so many cores, those that run now as well.
    pub(crate) fn set_cores(&self, cores: Option<u32>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.cores, cores) == cores {
            return;
        }
        state.workers.retain(|(worker, _)| worker.runs());
        for (worker, _) in state.workers.iter().filter(|(_, serves)| *serves == Serves::Others) {
            tell(worker, keep_to(worker.process(), cores));
        }
    }

    /// The workers that run, by process.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut state = self.state();
        state.workers.retain(|(worker, _)| worker.runs());
        state.workers.iter().map(|(worker, _)| worker.process()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker that ends meanwhile needs no rank.
fn tell(worker: &SeenWorker, ranked: io::Result<()>) {
    if let Err(error) = ranked
        && worker.runs()
    {
        tracing::debug!(process = worker.process(), %error, "the worker's rank stays as it is");
    }
}

/// The process runs when nobody else wants to.
fn give_way(process: u32) -> io::Result<()> {
    each_thread(process, |thread| {
        let priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: the call reads one value that lives through it.
        match unsafe { libc::sched_setscheduler(thread.as_raw_nonzero().get(), libc::SCHED_IDLE, &raw const priority) }
        {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// The process uses so many of the cores that this process may use: the last ones, since most systems fill the first ones first.
fn keep_to(process: u32, cores: Option<u32>) -> io::Result<()> {
    let ours = sched_getaffinity(None)?;
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core)).collect();
    let count = cores.and_then(|cores| usize::try_from(cores).ok()).unwrap_or(allowed.len());
    let mut theirs = CpuSet::new();
    allowed.iter().rev().take(count.max(1)).for_each(|core| theirs.set(*core));
    each_thread(process, |thread| Ok(sched_setaffinity(Some(thread), &theirs)?))
}

/// Does this to every thread of a process. One that is started meanwhile by a thread that was reached inherits it.
fn each_thread(process: u32, act: impl Fn(Pid) -> io::Result<()>) -> io::Result<()> {
    let mut reached = BTreeSet::new();
    for _ in 0..LOOKS_MAX {
        let before = reached.len();
        for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()).and_then(Pid::from_raw);
            let Some(thread) = thread.filter(|thread| reached.insert(thread.as_raw_nonzero())) else { continue };
            match act(thread) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                _ => {}
            }
        }
        if reached.len() == before {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// A process with nothing to do, ended with the test.
    struct Idler(Child);

    impl Idler {
        fn new() -> Self {
            Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap())
        }

        fn pid(&self) -> Option<Pid> {
            i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
        }

        /// The 41st word of its state is its scheduling policy.
        fn policy(&self) -> i32 {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
            text.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap().parse().unwrap()
        }
    }

    impl Drop for Idler {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _reaped = self.0.wait();
        }
    }

    #[test]
    fn a_process_gives_way_and_keeps_to_the_cores_it_is_lent() {
        let idler = Idler::new();
        assert_eq!(idler.policy(), libc::SCHED_OTHER);
        give_way(idler.0.id()).unwrap();
        assert_eq!(idler.policy(), libc::SCHED_IDLE);
        let cores = || sched_getaffinity(idler.pid()).unwrap().count();
        let all = sched_getaffinity(None).unwrap().count();
        for (lent, has) in [(Some(1), 1), (Some(0), 1), (None, all), (Some(100_000), all)] {
            keep_to(idler.0.id(), lent).unwrap();
            assert_eq!(cores(), has, "{lent:?}");
        }
    }
}
