//! What a node says of its graphics processors. What it does not know of one is left out.

use super::NodeInfo;
use serde::{Deserialize, Serialize};

/// One graphics processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// What it is called.
    pub name: String,
    /// Who made it (`nvidia`, `amd`, `intel`), or another word; empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Its memory in all, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What of that is free, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_free_bytes: Option<u64>,
    /// The version of its driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The newest CUDA that this driver serves (`12.4`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
    /// How much of the time it is at work, of a hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_percent: Option<u8>,
}

impl Gpu {
    /// One of which the name alone is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

impl NodeInfo {
    /// Its graphics processors; by name alone of a node that says no more.
    #[must_use]
    pub fn graphics(&self) -> Vec<Gpu> {
        if self.gpu_details.is_empty() {
            return self.gpus.iter().map(|name| Gpu::named(name)).collect();
        }
        self.gpu_details.clone()
    }
}
