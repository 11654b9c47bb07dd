//! The second wall: what a worker takes from itself before it touches anything of a guest. Whoever breaks out of the first
//! wall, which is WebAssembly, is a process that can open nothing but its own directory, can reach no network and no other process, and
//! ends with its parent. All of it is done while the process has one thread, so that it holds for every later one.

mod calls;
mod files;
mod process;

pub(super) use process::limit;

use crate::worker_role::WorkerRole;
use std::io;

/// Closes what was inherited and ties this process to its parent's life. To be called before anything is opened.
pub(super) fn begin(role: &WorkerRole) -> io::Result<()> {
    process::close_inherited().map_err(named("close inherited descriptors"))?;
    process::end_with(role.parent)
}

/// Confines this process, as far as the system can.
///
/// # Errors
/// What a system that has the facility says when it cannot be used; then no guest may come here.
pub(super) fn confine(role: &WorkerRole) -> io::Result<()> {
    crate::cgroup::enter(&role.cgroup).map_err(named("enter its control group"))?;
    process::lower().map_err(named("lower its rights"))?;
    files::confine(role).map_err(named("confine itself to its files"))?;
    calls::confine().map_err(named("confine itself to its system calls"))
}

fn named(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("it cannot {what}: {error}"))
}
