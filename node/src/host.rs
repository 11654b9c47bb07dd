//! What this machine is and how busy it is. Cheap, and honest: what is not known is left out.

pub(crate) mod sensors;

use crate::defaults::GPUS_MAX;
use crate::state::sharing::hours::LocalTime;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Looks at this machine.
#[derive(Debug)]
pub struct Host {
    /// `None` where the system does not tell.
    system: Mutex<Option<System>>,
    gpus: Vec<String>,
    cores: u32,
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
    /// Looks once at what does not change.
    #[must_use]
    pub fn look() -> Self {
        let refresh = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            system: Mutex::new(System::new_with_specifics(refresh).ok()),
            gpus: gpus(Path::new("/")),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
        }
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

    /// Graphics processors, by name or by maker.
    #[must_use]
    pub fn gpus(&self) -> &[String] {
        &self.gpus
    }
}

/// The graphics processors below `root`: by model where NVIDIA's driver tells it, otherwise by maker.
fn gpus(root: &Path) -> Vec<String> {
    let mut gpus: Vec<String> = entries(&root.join("proc/driver/nvidia/gpus"))
        .filter_map(|gpu| fs::read_to_string(gpu.join("information")).ok())
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Model:")).map(|m| m.trim().to_owned()))
        .collect();
    let told_by_driver = !gpus.is_empty();
    let is_card = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix("card").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    for card in entries(&root.join("sys/class/drm")).filter(is_card) {
        let read = |file: &str| fs::read_to_string(card.join("device").join(file)).unwrap_or_default();
        // Makers of real devices; virtual displays are no processors to compute on.
        let maker = match read("vendor").trim() {
            "0x10de" if !told_by_driver => "NVIDIA",
            "0x1002" => "AMD",
            "0x8086" => "Intel",
            _ => continue,
        };
        gpus.push(format!("{maker} graphics {}", read("device").trim()).trim().to_owned());
    }
    gpus.sort();
    gpus.truncate(GPUS_MAX);
    gpus
}

fn entries(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_core_and_memory() {
        let host = Host::look();
        let load = host.load();
        assert!(host.cores() > 0);
        assert!(load.memory_bytes > 0 && load.memory_free_bytes <= load.memory_bytes, "{load:?}");
    }

    #[test]
    fn graphics_processors_are_named_by_driver_or_maker_and_virtual_ones_are_not() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA T400\nIRQ: 1\n");
        write("sys/class/drm/card0/device/vendor", "0x10de\n");
        write("sys/class/drm/card1/device/vendor", "0x8086\n");
        write("sys/class/drm/card1/device/device", "0x46a6\n");
        write("sys/class/drm/card1-HDMI-A-1/device/vendor", "0x8086\n");
        write("sys/class/drm/card2/device/vendor", "0x1af4\n");
        assert_eq!(gpus(root.path()), ["Intel graphics 0x46a6", "NVIDIA T400"]);
        assert!(gpus(Path::new("/nowhere")).is_empty());
    }
}
