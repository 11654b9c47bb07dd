//! Where things lie. `POTLUCK_HOME` moves configuration and data together, `POTLUCK_CACHE_DIR` moves the cache;
//! otherwise the XDG base directories hold. Relative values in the environment are ignored, as XDG asks.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directories of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml`: what the owner decides.
    pub config_dir: PathBuf,
    /// The identity, the book of peers, open invitations, job records: what must not be lost.
    pub data_dir: PathBuf,
    /// Compiled code, artifacts, blobs: what can be made again.
    pub cache_dir: PathBuf,
    /// Working directories of runs: what dies with the run.
    pub scratch_dir: PathBuf,
    /// Below what the system's own files are: `/`, or in tests what `POTLUCK_SYS_ROOT` says.
    pub system_root: PathBuf,
}

/// There is no place to put anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no home directory is known; set POTLUCK_HOME to a directory that Potluck may use")]
pub struct NoHome;

impl Paths {
    /// The directories that this process's environment names.
    ///
    /// # Errors
    /// [`NoHome`] when neither `POTLUCK_HOME` nor `HOME` is an absolute path.
    pub fn from_env() -> Result<Self, NoHome> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// All directories under one, for a node that shares nothing with others.
    #[must_use]
    pub fn under(dir: &Path) -> Self {
        let data_dir = dir.join("data");
        let scratch_dir = data_dir.join("scratch");
        Self {
            config_dir: dir.to_owned(),
            cache_dir: dir.join("cache"),
            data_dir,
            scratch_dir,
            system_root: PathBuf::from("/"),
        }
    }

    /// The owner's settings.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// Where lies what is on its way and dies with the process that carries it: folders of jobs, sessions that move.
    #[must_use]
    pub fn mounts_dir(&self) -> PathBuf {
        self.data_dir.join("mounts")
    }

    /// Sessions that are not in memory.
    #[must_use]
    pub fn sessions_dir(&self) -> PathBuf {
        self.data_dir.join("sessions")
    }

    /// What runs of this home's jobs said, where that is long.
    #[must_use]
    pub fn recordings_dir(&self) -> PathBuf {
        self.data_dir.join("recordings")
    }

    /// What runs said that are kept for homes, where that is long.
    #[must_use]
    pub fn kept_dir(&self) -> PathBuf {
        self.data_dir.join("kept")
    }

    /// Interpreters that the owner has added.
    #[must_use]
    pub fn interpreters_dir(&self) -> PathBuf {
        self.data_dir.join("environments")
    }

    /// Interpreters of this binary, laid out as files.
    #[must_use]
    pub fn bundled_dir(&self) -> PathBuf {
        self.cache_dir.join("environments").join("bundled")
    }

    /// Makes the directories, each readable by this user alone.
    ///
    /// # Errors
    /// What the system says, with the directory's name.
    pub fn create(&self) -> io::Result<()> {
        for dir in [&self.config_dir, &self.data_dir, &self.cache_dir, &self.scratch_dir] {
            private_directory(dir)
                .map_err(|error| io::Error::new(error.kind(), format!("cannot make {}: {error}", dir.display())))?;
        }
        Ok(())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, NoHome> {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let xdg = |name: &str, below_home: &str| {
            absolute(name).or_else(|| absolute("HOME").map(|home| home.join(below_home))).map(|dir| dir.join("potluck"))
        };
        let (config_dir, data_dir) = match absolute("POTLUCK_HOME") {
            Some(home) => (home.clone(), home.join("data")),
            None => {
                (xdg("XDG_CONFIG_HOME", ".config").ok_or(NoHome)?, xdg("XDG_DATA_HOME", ".local/share").ok_or(NoHome)?)
            }
        };
        let cache_dir = absolute("POTLUCK_CACHE_DIR")
            .or_else(|| xdg("XDG_CACHE_HOME", ".cache"))
            .unwrap_or_else(|| data_dir.join("cache"));
        let scratch_dir = data_dir.join("scratch");
        let system_root = absolute("POTLUCK_SYS_ROOT").unwrap_or_else(|| PathBuf::from("/"));
        Ok(Self { config_dir, data_dir, cache_dir, scratch_dir, system_root })
    }
}

/// Makes a directory, and those above it that are missing, for this user alone.
pub(crate) fn private_directory(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(variables: &[(&str, &str)]) -> Result<Paths, NoHome> {
        Paths::from_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn xdg_directories_hold_when_nothing_is_moved() {
        let paths = paths(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")]).unwrap();
        assert_eq!(paths.config_dir, Path::new("/home/ann/.config/potluck"));
        assert_eq!(paths.data_dir, Path::new("/data/potluck"));
        assert_eq!(paths.cache_dir, Path::new("/home/ann/.cache/potluck"));
    }

    #[test]
    fn potluck_home_moves_configuration_and_data_and_leaves_the_cache() {
        let moved = paths(&[("HOME", "/home/ann"), ("POTLUCK_HOME", "/p")]).unwrap();
        assert_eq!(moved.config_file(), Path::new("/p/config.toml"));
        assert_eq!(moved.data_dir, Path::new("/p/data"));
        assert_eq!(moved.cache_dir, Path::new("/home/ann/.cache/potluck"));
        let both = paths(&[("POTLUCK_HOME", "/p"), ("POTLUCK_CACHE_DIR", "/c")]).unwrap();
        assert_eq!(both.cache_dir, Path::new("/c"));
    }

    #[test]
    fn without_any_home_the_refusal_names_the_variable() {
        assert!(paths(&[("HOME", "relative")]).unwrap_err().to_string().contains("POTLUCK_HOME"));
    }
}
