//! The second wall from outside: what this machine's system has to confine a worker with. What is missing is said at the
//! start, to the owner and to peers; a worker does without it.
#![expect(unsafe_code, reason = "the system is asked for its version of Landlock, for which there is no safe call")]

use std::path::Path;

/// A part of the second wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wall {
    /// Which files a worker can open, and whom it can signal.
    Landlock,
    /// Which system calls it can make.
    Seccomp,
    /// How much memory and how many threads it can have.
    Cgroup,
}

impl Wall {
    /// Every part, the one that matters most first.
    pub const ALL: [Self; 3] = [Self::Landlock, Self::Seccomp, Self::Cgroup];

    /// Its name, as it is told to the owner and to peers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Cgroup => "cgroup",
        }
    }

    /// What a worker that broke out of WebAssembly could do without it, and how to have it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Landlock => {
                "a guest that breaks out of WebAssembly could read your files; use a kernel from 5.13 on with Landlock in \
                 its list of security modules (lsm=landlock,...)"
            }
            Self::Seccomp => {
                "a guest that breaks out of WebAssembly could reach the network and start programs; use a kernel with \
                 CONFIG_SECCOMP_FILTER"
            }
            Self::Cgroup => {
                "a guest that breaks out of WebAssembly could take all memory; start the node where you may make control \
                 groups (`systemd-run --user --scope potluck up`)"
            }
        }
    }
}

/// The parts of the second wall that this machine has not.
#[must_use]
pub fn missing_walls() -> Vec<Wall> {
    let has = |wall| match wall {
        Wall::Landlock => landlock_version().is_some(),
        Wall::Seccomp => Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        Wall::Cgroup => crate::cgroup::is_offered(),
    };
    Wall::ALL.into_iter().filter(|wall| !has(*wall)).collect()
}

/// The system's version of Landlock, if it has it and it is switched on.
pub(crate) fn landlock_version() -> Option<u32> {
    const VERSION: u32 = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call reads no memory and makes nothing.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}
