//! When somebody last typed at a terminal: the system notes it as the time at which the terminal was last read. What is typed
//! and clicked in windows is not seen here, but for what goes to a terminal among them.

use super::{entries, is_numbered};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Seconds since the last input at any terminal; nothing where there is none.
pub(super) fn away_for(root: &Path, unix_s: u64) -> Option<u64> {
    let consoles = entries(&root.join("dev")).filter(|path| is_numbered(path, "tty"));
    let windows = entries(&root.join("dev/pts")).filter(|path| is_numbered(path, ""));
    consoles.chain(windows).filter_map(|path| read_at(&path)).max().map(|last| unix_s.saturating_sub(last))
}

fn read_at(terminal: &PathBuf) -> Option<u64> {
    std::fs::metadata(terminal).ok().and_then(|metadata| u64::try_from(metadata.atime()).ok())
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeRoot;
    use super::*;
    use std::fs::{File, FileTimes};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_last_input_at_any_terminal_counts_and_devices_that_are_none_do_not() {
        let root = FakeRoot::new();
        assert_eq!(away_for(root.path(), 2000), None);
        let touch = |name: &str, at| {
            let file = File::options().write(true).open(root.write(name, "")).unwrap();
            file.set_times(FileTimes::new().set_accessed(UNIX_EPOCH + Duration::from_secs(at))).unwrap();
        };
        touch("dev/tty1", 1000);
        touch("dev/pts/0", 1700);
        touch("dev/tty", 1999);
        touch("dev/pts/ptmx", 1999);
        touch("dev/ttyprintk", 1999);
        assert_eq!((away_for(root.path(), 2000), away_for(root.path(), 1600)), (Some(300), Some(0)));
    }
}
