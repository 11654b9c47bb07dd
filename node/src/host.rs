//! What this machine is and how busy it is. Cheap, and honest: what is not known is left out.

pub(crate) mod sensors;

mod gpus;

pub use self::gpus::GpuSight;

use self::gpus::GpuWatch;
use crate::defaults::GPU_LOOK_TIMEOUT;
use crate::state::sharing::hours::LocalTime;
use crate::wire::Gpu;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Looks at this machine.
#[derive(Debug)]
pub struct Host {
    /// `None` where the system does not tell.
    system: Mutex<Option<System>>,
    cores: u32,
    /// What of graphics processors is seen at a glance.
    gpus: Vec<Gpu>,
    /// What their drivers say.
    gpu_watch: Option<GpuWatch>,
}

/// The time of day where this machine stands, so many seconds after 1970; nothing where the system cannot tell.
#[must_use]
pub fn local_time(unix_s: u64) -> Option<LocalTime> {
    sensors::local_time::at(unix_s)
}

/// How busy the machine is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Memory in all, in bytes.
    pub memory_bytes: u64,
    /// Memory free for use, in bytes.
    pub memory_free_bytes: u64,
    /// Load average over one minute, in thousandths.
    pub load_milli: u32,
}

impl Host {
    /// Looks once at what does not change, and asks no driver; the system's files are below `root`.
    #[must_use]
    pub fn look(root: &Path) -> Self {
        let refresh = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            system: Mutex::new(System::new_with_specifics(refresh).ok()),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            gpus: gpus::glance(root),
            gpu_watch: None,
        }
    }

    /// The same, for a node: the drivers of graphics processors are asked meanwhile, and now and then.
    pub(crate) fn watch(root: &Path) -> Self {
        Self { gpu_watch: Some(GpuWatch::begin(root)), ..Self::look(root) }
    }

    /// How busy it is now.
    #[must_use]
    pub fn load(&self) -> Load {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = system.as_mut() {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        }
        let average = System::load_average().map_or(0.0, |average| average.one.max(0.0) * 1000.0);
        Load {
            memory_bytes: system.as_ref().map_or(0, System::total_memory),
            memory_free_bytes: system.as_ref().map_or(0, System::available_memory),
            // A float beyond the range saturates.
            load_milli: average as u32,
        }
    }

    /// Logical cores this process may use.
    #[must_use]
    pub const fn cores(&self) -> u32 {
        self.cores
    }

    /// Graphics processors, as they were seen last.
    #[must_use]
    pub fn gpus(&self) -> Vec<Gpu> {
        let sight = self.gpu_watch.as_ref().and_then(GpuWatch::sight);
        sight.map_or_else(|| self.gpus.clone(), |sight| sight.gpus)
    }
}

/// What the drivers of graphics processors say, whose files are below `root`; none where that takes too long.
pub(crate) async fn gpus_below(root: &Path) -> Option<GpuSight> {
    GpuWatch::begin(root).first(GPU_LOOK_TIMEOUT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_core_and_memory() {
        let host = Host::look(Path::new("/"));
        let load = host.load();
        assert!(host.cores() > 0);
        assert!(load.memory_bytes > 0 && load.memory_free_bytes <= load.memory_bytes, "{load:?}");
    }
}
