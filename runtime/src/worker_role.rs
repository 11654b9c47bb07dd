//! What a process of ours is to be, as its last arguments say it: the same executable is the node, its workers, and the one
//! that cleans up when the node is gone.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

const WORKER: &str = "--worker";
const SWEEPER: &str = "--sweeper";
const CONTAINER_SWEEPER: &str = "--container-sweeper";

/// What a process is to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Worker(WorkerRole),
    /// Removes what its parent leaves in this directory.
    Sweeper(PathBuf),
    /// Removes the containers its parent leaves.
    ContainerSweeper(ContainerSweeperRole),
}

/// What whoever removes the containers of a process needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerSweeperRole {
    /// The engine's socket.
    pub(crate) socket: PathBuf,
    /// To whom the containers belong.
    pub(crate) owner: String,
    /// The process, as it stands on their labels.
    pub(crate) process: String,
}

impl ContainerSweeperRole {
    fn parse(mut rest: impl Iterator<Item = OsString>) -> Option<Self> {
        let socket = rest.next()?.into();
        let mut text = || rest.next()?.into_string().ok();
        Some(Self { socket, owner: text()?, process: text()? })
    }

    /// The arguments that say this.
    pub(crate) fn arguments(&self) -> [OsString; 4] {
        [CONTAINER_SWEEPER.into(), (&self.socket).into(), (&self.owner).into(), (&self.process).into()]
    }
}

/// What a worker needs to know before it confines itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerRole {
    /// The process that starts it, with which it ends.
    pub(crate) parent: u32,
    /// The control group it is to enter.
    pub(crate) cgroup: Vec<PathBuf>,
    /// The one directory it may change anything in.
    pub(crate) cell: PathBuf,
    /// What else it may read.
    pub(crate) reads: Vec<PathBuf>,
}

impl Role {
    /// What this process is to be.
    pub(crate) fn of_this_process() -> Option<Self> {
        Self::parse(std::env::args_os())
    }

    fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let is_role = |argument: &OsString| [WORKER, SWEEPER, CONTAINER_SWEEPER].iter().any(|role| argument == role);
        let mut rest = arguments.skip_while(|argument| !is_role(argument));
        let role = rest.next()?;
        if role == OsStr::new(SWEEPER) {
            return rest.next().map(|scratch| Self::Sweeper(scratch.into()));
        }
        if role == OsStr::new(CONTAINER_SWEEPER) {
            return ContainerSweeperRole::parse(rest).map(Self::ContainerSweeper);
        }
        let parent = rest.next()?.to_str()?.parse().ok()?;
        let dirs: usize = rest.next()?.to_str()?.parse().ok()?;
        let cgroup = rest.by_ref().take(dirs).map(PathBuf::from).collect();
        let cell = rest.next()?.into();
        Some(Self::Worker(WorkerRole { parent, cgroup, cell, reads: rest.map(PathBuf::from).collect() }))
    }
}

impl WorkerRole {
    /// The arguments that say this.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let numbers = [self.parent.to_string(), self.cgroup.len().to_string()].map(OsString::from);
        let paths = self.cgroup.iter().chain([&self.cell]).chain(&self.reads).map(OsString::from);
        std::iter::once(WORKER.into()).chain(numbers).chain(paths).collect()
    }
}

/// The arguments of whoever is to clean up here.
pub(crate) fn sweeper_arguments(scratch: &Path) -> [OsString; 2] {
    [SWEEPER.into(), scratch.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_reads_what_it_was_told() {
        let own = ["potluck", "worker"].map(OsString::from).into_iter();
        for cgroup in [vec![], vec!["/g".into(), "/h".into()]] {
            let role = WorkerRole { parent: 7, cgroup, cell: "/a b".into(), reads: vec!["/c".into(), "/d".into()] };
            assert_eq!(Role::parse(own.clone().chain(role.arguments())), Some(Role::Worker(role)));
        }
        let sweeper = Role::parse(own.clone().chain(sweeper_arguments(Path::new("/s"))));
        assert_eq!(sweeper, Some(Role::Sweeper("/s".into())));
        let (owner, process) = ("an owner".to_owned(), "7-8".to_owned());
        let role = ContainerSweeperRole { socket: "/s ocket".into(), owner, process };
        let parsed = Role::parse(own.clone().chain(role.arguments()));
        assert_eq!(parsed, Some(Role::ContainerSweeper(role)));
        assert_eq!(Role::parse(own), None);
        assert_eq!(Role::parse(["--worker", "x", "/cell"].map(OsString::from).into_iter()), None);
    }
}
