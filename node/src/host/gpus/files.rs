//! What the kernel's files say of graphics processors, without waking any: NVIDIA's by model, those of AMD and Intel by maker.
//! Virtual displays are no processors to compute on.

use crate::host::sensors::{entries, is_numbered, word};
use crate::wire::Gpu;
use std::path::{Path, PathBuf};

/// NVIDIA's: by model where its driver tells it, otherwise as a device of that maker.
pub(super) fn nvidia(root: &Path) -> Vec<Gpu> {
    let mut named: Vec<Gpu> = entries(&root.join("proc/driver/nvidia/gpus"))
        .filter_map(|gpu| word(&gpu.join("information")))
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Model:")).map(|m| m.trim().to_owned()))
        .map(|name| Gpu { vendor: "nvidia".to_owned(), ..Gpu::named(&name) })
        .collect();
    if named.is_empty() {
        named = cards(root).filter_map(|card| of_maker(&card, "0x10de", "nvidia", "NVIDIA")).collect();
    }
    sorted(named)
}

/// Those of AMD and Intel.
pub(super) fn others(root: &Path) -> Vec<Gpu> {
    let one = |card: PathBuf| {
        let gpu = of_maker(&card, "0x1002", "amd", "AMD").or_else(|| of_maker(&card, "0x8086", "intel", "Intel"))?;
        // AMD's driver says these.
        let number = |file: &str| word(&card.join("device").join(file))?.parse::<u64>().ok();
        let (memory, used) = (number("mem_info_vram_total"), number("mem_info_vram_used"));
        let busy = number("gpu_busy_percent").and_then(|busy| u8::try_from(busy).ok()).filter(|busy| *busy <= 100);
        let free = memory.zip(used).map(|(memory, used)| memory.saturating_sub(used));
        Some(Gpu { memory_bytes: memory, memory_free_bytes: free, busy_percent: busy, ..gpu })
    };
    sorted(cards(root).filter_map(one).collect())
}

/// Whether NVIDIA's processors are there and all have been put to sleep by the system.
pub(super) fn nvidia_sleeps(root: &Path) -> bool {
    let devices = entries(&root.join("sys/bus/pci/drivers/nvidia"));
    let mut states = devices.filter_map(|device| word(&device.join("power/runtime_status"))).peekable();
    states.peek().is_some() && states.all(|state| state == "suspended")
}

fn cards(root: &Path) -> impl Iterator<Item = PathBuf> {
    entries(&root.join("sys/class/drm")).filter(|card| is_numbered(card, "card"))
}

fn of_maker(card: &Path, id: &str, vendor: &str, called: &str) -> Option<Gpu> {
    let read = |file: &str| word(&card.join("device").join(file));
    read("vendor").filter(|found| found == id)?;
    let name = format!("{called} graphics {}", read("device").unwrap_or_default());
    Some(Gpu { vendor: vendor.to_owned(), ..Gpu::named(name.trim()) })
}

fn sorted(mut gpus: Vec<Gpu>) -> Vec<Gpu> {
    gpus.sort_by(|one, other| one.name.cmp(&other.name));
    gpus
}
