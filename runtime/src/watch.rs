//! Progress of what may take long before a run can start. A watcher is told, and asked only for whom it watches.

use crate::job::Tenant;

/// Something that wants to know how preparation goes, such as a progress bar.
pub trait Watch: Send + Sync {
    /// Called at each step and, while one lasts, a few times a second.
    fn stage(&self, stage: Stage);

    /// For whom it is done. What is done for others than the owner gives way to everything else on this machine.
    fn tenant(&self) -> Tenant {
        Tenant::OWNER
    }
}

/// One step of preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes are being brought to this machine.
    Fetching {
        /// What is fetched, for people.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// Native code is being made; on each machine this happens once for each program.
    Compiling {
        /// What is compiled, for people.
        what: String,
        /// How long it has taken so far, in milliseconds.
        elapsed_ms: u64,
    },
    /// A memory image is being made; on each machine this happens once for each.
    Warming {
        /// What it is called, for people.
        what: String,
        /// How long it has taken so far, in milliseconds.
        elapsed_ms: u64,
    },
    /// Nothing more to wait for.
    Ready,
}

/// A watcher that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct SilentWatch;

impl Watch for SilentWatch {
    fn stage(&self, _stage: Stage) {}
}
