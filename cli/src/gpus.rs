//! Graphics processors, for people and in JSON.

use crate::quantity::ByteSize;
use potluck_node::wire::{Gpu, NodeInfo};
use serde::Serialize;

/// One in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct GpuObject {
    name: String,
    vendor: Option<String>,
    memory_bytes: Option<u64>,
    memory_free_bytes: Option<u64>,
    driver: Option<String>,
    cuda: Option<String>,
    busy_percent: Option<u8>,
}

/// All of a node's.
pub(crate) fn objects(info: &NodeInfo) -> Vec<GpuObject> {
    info.graphics().into_iter().map(GpuObject::from).collect()
}

impl From<Gpu> for GpuObject {
    fn from(gpu: Gpu) -> Self {
        Self {
            name: gpu.name,
            vendor: Some(gpu.vendor).filter(|vendor| !vendor.is_empty()),
            memory_bytes: gpu.memory_bytes,
            memory_free_bytes: gpu.memory_free_bytes,
            driver: gpu.driver,
            cuda: gpu.cuda,
            busy_percent: gpu.busy_percent,
        }
    }
}

/// All of a node's in a cell of a table.
pub(crate) fn cell(info: &NodeInfo) -> String {
    let one = |gpu: Gpu| match gpu.memory_bytes {
        Some(memory) => format!("{} {}", gpu.name, ByteSize(memory)),
        None => gpu.name,
    };
    let all: Vec<String> = info.graphics().into_iter().map(one).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// One with all that is known of it.
pub(crate) fn described(gpu: &Gpu) -> String {
    let memory = match (gpu.memory_free_bytes, gpu.memory_bytes) {
        (Some(free), Some(memory)) => Some(format!("{} of {} free", ByteSize(free), ByteSize(memory))),
        (None, Some(memory)) => Some(ByteSize(memory).to_string()),
        (_, None) => None,
    };
    let driver = gpu.driver.as_ref().map(|version| format!("driver {version}"));
    let cuda = gpu.cuda.as_ref().map(|version| format!("CUDA {version}"));
    let busy = gpu.busy_percent.map(|busy| format!("{busy} % busy"));
    [Some(gpu.name.clone()), memory, driver, cuda, busy].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_one_is_left_out() {
        let gpu = Gpu { memory_bytes: Some(12 << 30), cuda: Some("12.4".into()), ..Gpu::named("RTX 3060") };
        assert_eq!(described(&gpu), "RTX 3060, 12 GiB, CUDA 12.4");
        let more = Gpu { memory_free_bytes: Some(9 << 30), driver: Some("550".into()), busy_percent: Some(7), ..gpu };
        assert_eq!(described(&more), "RTX 3060, 9 GiB of 12 GiB free, driver 550, CUDA 12.4, 7 % busy");
        assert_eq!(described(&Gpu::named("T400")), "T400");
    }
}
