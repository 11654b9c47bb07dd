//! What a process can give up by itself: inherited descriptors, privileges, priority, and a life longer than its parent's.
#![expect(unsafe_code, reason = "descriptors that nobody in this process knows of are closed by number")]

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;

/// The most descriptors, a guest's files among them.
const DESCRIPTORS_MAX: u64 = 64 << 10;
/// The lowest priority there is.
const NICE: i32 = 19;
/// Of all processes this is the one the system ends first when memory is short.
const OOM_SCORE: &str = "1000";

/// Closes everything but the standard streams. Nothing else may be open that this process has opened itself.
pub(super) fn close_inherited() -> io::Result<()> {
    // SAFETY: whatever these are, no value of this process owns them: it has opened nothing yet.
    match unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has the system kill this process when its parent is gone.
pub(super) fn end_with(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have gone before it was asked.
    let is_there = rustix::process::getppid().is_some_and(|now| now.as_raw_nonzero().get().unsigned_abs() == parent);
    if is_there { Ok(()) } else { Err(io::Error::other("its parent is gone")) }
}

/// Gives up what a guest's host never needs.
pub(super) fn lower() -> io::Result<()> {
    // A session of its own: no terminal, and a scheduling group of its own to be the last of.
    rustix::process::setsid()?;
    rustix::process::setpriority_process(None, NICE)?;
    for (file, value) in [("/proc/self/autogroup", NICE.to_string()), ("/proc/self/oom_score_adj", OOM_SCORE.into())] {
        if let Err(error) = std::fs::write(file, value) {
            tracing::debug!(file, %error, "the worker's rank stays as it is");
        }
    }
    limit(Resource::Core, 0)?;
    limit(Resource::Memlock, 0)?;
    limit(Resource::Msgqueue, 0)?;
    limit(Resource::Nofile, DESCRIPTORS_MAX)?;
    rustix::thread::set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// Sets a resource's limit for good, to no more than it was.
pub(in crate::worker) fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |before| before.min(most));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}
