//! What NVIDIA's own library says of its processors. All that comes from it is foreign: numbers are bounded here, texts where
//! they are put together. It is opened for one look and closed again, so that it keeps nothing awake.

use super::NvmlSilent;
use crate::defaults::GPUS_MAX;
use crate::wire::Gpu;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use std::path::Path;

/// NVIDIA's processors. What the library does not say of one is left out; one that it cannot name is none.
pub(super) fn look(library: &Path) -> Result<Vec<Gpu>, NvmlSilent> {
    let called = || library.display().to_string();
    let fails = |error: NvmlError| match error {
        // What the loader says has no other form than words.
        NvmlError::LibloadingError(why) if why.to_string().contains("No such file") => {
            NvmlSilent::Absent { library: called() }
        }
        error => NvmlSilent::Fails { library: called(), why: error.to_string() },
    };
    let nvml = Nvml::builder().lib_path(library.as_os_str()).init().map_err(fails)?;
    let count = nvml.device_count().map_err(fails)?.min(u32::try_from(GPUS_MAX).unwrap_or(u32::MAX));
    let driver = nvml.sys_driver_version().ok();
    let cuda = nvml.sys_cuda_driver_version().ok().filter(|version| *version > 0);
    // 12040 is 12.4.
    let cuda = cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10));
    let one = |device: Device<'_>| {
        let memory = device.memory_info().ok();
        let busy = device.utilization_rates().ok().and_then(|rates| u8::try_from(rates.gpu).ok());
        Ok::<_, NvmlError>(Gpu {
            name: device.name()?,
            vendor: "nvidia".to_owned(),
            memory_bytes: memory.as_ref().map(|memory| memory.total),
            memory_free_bytes: memory.as_ref().map(|memory| memory.free.min(memory.total)),
            driver: driver.clone(),
            cuda: cuda.clone(),
            busy_percent: busy.filter(|busy| *busy <= 100),
        })
    };
    let mut gpus = Vec::new();
    let mut wrong = None;
    for index in 0..count {
        match nvml.device_by_index(index).and_then(one) {
            Ok(gpu) => gpus.push(gpu),
            Err(error) => wrong = Some(error),
        }
    }
    match wrong {
        Some(error) if gpus.is_empty() => Err(fails(error)),
        _ => Ok(gpus),
    }
}
