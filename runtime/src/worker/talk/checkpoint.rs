//! The file that holds a guest's state, found where the guest says it is and read without leaving its directories.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use potluck_guest::abi::{CHECKPOINT_LEN_MAX, TEMP_DIR};
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Where a guest's directories lie.
pub(super) struct Places {
    pub(super) root: PathBuf,
    pub(super) temp: PathBuf,
}

/// A file that can be read, and its length.
pub(super) struct State {
    pub(super) file: File,
    pub(super) len: u64,
}

impl Places {
    /// The file of this name: below the working directory, or in `/tmp`. The error is a sentence's end.
    pub(super) fn open(&self, path: &str) -> Result<State, String> {
        let (place, inner) = match path.strip_prefix(TEMP_DIR).and_then(|rest| rest.strip_prefix('/')) {
            Some(inner) => (&self.temp, inner),
            None => (&self.root, path.trim_start_matches('/')),
        };
        let opened = || -> io::Result<File> {
            let dir = Dir::open_ambient_dir(place, ambient_authority())?;
            Ok(dir.open(inner.trim_start_matches('/'))?.into_std())
        };
        let file = opened().map_err(|error| format!("cannot be read: {error}"))?;
        let metadata = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
        if !metadata.is_file() {
            return Err("is no file".to_owned());
        }
        if metadata.len() > CHECKPOINT_LEN_MAX {
            return Err(format!("has {} bytes, and {CHECKPOINT_LEN_MAX} are the most", metadata.len()));
        }
        Ok(State { file, len: metadata.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_state_is_found_in_the_guests_directories_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { root: dir.path().join("root"), temp: dir.path().join("tmp") };
        fs::create_dir_all(places.root.join("deep")).unwrap();
        fs::create_dir_all(&places.temp).unwrap();
        fs::write(places.root.join("deep/state"), "root").unwrap();
        fs::write(places.temp.join("state"), "temp").unwrap();
        fs::write(dir.path().join("outside"), "outside").unwrap();
        symlink(dir.path().join("outside"), places.root.join("link")).unwrap();
        for (path, len) in [("deep/state", 4), ("/deep/state", 4), ("/tmp/state", 4), ("/tmp//state", 4)] {
            assert_eq!(places.open(path).map(|state| state.len), Ok(len), "{path}");
        }
        for path in ["", "/", "deep", "none", "link", "../outside", "/tmp/../../outside", "/tmp", "/tmp/"] {
            assert!(places.open(path).is_err(), "{path}");
        }
        let sparse = File::create(places.root.join("large")).unwrap();
        sparse.set_len(CHECKPOINT_LEN_MAX + 1).unwrap();
        assert!(places.open("large").is_err_and(|why| why.contains("are the most")));
    }
}
