//! Where things lie in the work tree, and where the chores put what they make: always below the target directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The work tree this xtask was compiled from.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Cargo says which tree it runs for; a bare start of the binary means the tree it was compiled from.
    /// `CARGO_TARGET_DIR` moves the target directory as it does for cargo.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&here).parent().context("xtask lies in no workspace")?.to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => std::path::absolute(target).context("cannot resolve CARGO_TARGET_DIR")?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The one binary that users get.
    pub(crate) fn potluck(&self) -> PathBuf {
        self.target.join("release/potluck")
    }

    /// Compiled guests, `NAME.wasm`.
    pub(crate) fn guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Where cargo builds guests; apart from the host's, whose lock it would wait for.
    pub(crate) fn guest_build(&self, kind: &str) -> PathBuf {
        self.target.join("guest-build").join(kind)
    }

    /// Compilers made from packages.
    pub(crate) fn guest_toolchain(&self, language: &str) -> PathBuf {
        self.target.join("guest-toolchain").join(language)
    }

    /// Fuzz targets, and all they make; apart, because they are compiled in another way.
    pub(crate) fn fuzz_build(&self) -> PathBuf {
        self.target.join("fuzz-build")
    }

    /// What tests need from outside, fetched once.
    pub(crate) fn test_data(&self) -> PathBuf {
        self.target.join("test-data")
    }
}
