//! Packages written in Python alone that a job brings along: what a script asks for, how the submitter's own pip finds the
//! wheels, and how they lie where the job runs. Wheels are bytes of strangers: nothing in one is run or believed before it was
//! checked and counted. Potluck itself speaks to no package index.

pub mod requirement;

pub mod declared;

pub(crate) mod version;

pub mod resolve;

mod failed;

mod pip;

mod stubs;

pub(crate) mod archive;

pub mod shelf;

pub mod sets;

use std::path::{Path, PathBuf};

/// The Python of the environment that packages are looked for, as pip and requirements name it.
pub const PYTHON_VERSION: &str = "3.15";
/// Wheels of one job.
pub const WHEELS_MAX: usize = 256;
/// Bytes of one wheel; its table of contents takes memory in proportion.
pub const WHEEL_LEN_MAX: u64 = 64 << 20;
/// Characters of a wheel's name.
pub const WHEEL_NAME_LEN_MAX: usize = 255;

/// Where packages lie in a cache directory.
pub(crate) fn directory(cache_dir: &Path) -> PathBuf {
    cache_dir.join("packages")
}
