//! What a home has left behind: processes and directories.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A process that has to do with a home.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub id: i32,
    /// Its command line, for people.
    pub command: String,
}

impl Process {
    /// The most memory it has held at once, in bytes; `None` when it has ended.
    #[must_use]
    pub fn memory_peak(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Ends it at once, as a crash would; no matter if it has ended already.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it where it is; it still exists, but does nothing any more.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Whether it has come to a stop after [`Process::pause`].
    #[must_use]
    pub fn stands_still(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.id)).is_ok_and(|stat| stat.contains(") T "))
    }

    /// Whether it is a worker that waits for its next run, which holds no file below `root` but the code it has loaded; or
    /// the process that waits for the end of its parent.
    #[must_use]
    pub fn waits(&self, root: &Path) -> bool {
        if self.command.contains(" --sweeper ") {
            return true;
        }
        self.command.contains(" --worker ")
            && !holds_file(&Path::new("/proc").join(self.id.to_string()), |file| is_of_run(file, root))
    }

    /// Its working directory; `None` when it has ended.
    #[must_use]
    pub fn working_directory(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/cwd", self.id)).ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = Pid::from_raw(self.id) {
            // It may have ended by itself.
            let _ = kill_process(id, signal);
        }
    }
}

/// Every process but this one whose environment, command line, working directory or open files name a path below `root`.
/// A worker may have been given an empty environment; its working directory and files still give it away.
#[must_use]
pub fn processes_of(root: &Path) -> Vec<Process> {
    let own = std::process::id().to_string();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str() != Some(&own))
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            names(&entry.path(), root).then(|| Process { id, command: command_line(&entry.path()) })
        })
        .collect()
}

/// The processes that this one has started and that have not ended; what has been killed and not yet been waited for does not count.
#[must_use]
pub fn children_of(parent: u32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let child = |entry: fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name, which may hold anything, is in parentheses; state and parent follow it.
        let (_, rest) = stat.rsplit_once(") ")?;
        let (state, rest) = rest.split_once(' ')?;
        let is_child = state != "Z" && rest.split(' ').next()?.parse() == Ok(parent);
        is_child.then(|| Process { id, command: command_line(&entry.path()) })
    };
    entries.flatten().filter_map(child).collect()
}

/// As [`processes_of`], without the workers that wait for a run.
#[must_use]
pub fn busy_processes_of(root: &Path) -> Vec<Process> {
    processes_of(root).into_iter().filter(|process| !process.waits(root)).collect()
}

/// Every entry of `directory`, which may be missing; lock files do not count.
pub(crate) fn left_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| !entry.file_name().as_bytes().ends_with(b".lock"))
        .map(|entry| entry.path())
        .collect()
}

fn names(process: &Path, root: &Path) -> bool {
    let text = root.as_os_str().as_bytes();
    let within = |file: &str| {
        fs::read(process.join(file)).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text))
    };
    within("environ")
        || within("cmdline")
        || leads_below(&process.join("cwd"), root)
        || holds_file(process, |file| file.starts_with(root))
}

fn is_of_run(file: &Path, root: &Path) -> bool {
    file.starts_with(root) && file.extension().is_none_or(|extension| extension != "code")
}

fn holds_file(process: &Path, is_meant: impl Fn(&Path) -> bool) -> bool {
    let files = fs::read_dir(process.join("fd"));
    let is_meant = |link: &Path| fs::read_link(link).is_ok_and(|file| is_meant(&file));
    files.is_ok_and(|files| files.flatten().any(|file| is_meant(&file.path())))
}

fn leads_below(link: &Path, root: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target.starts_with(root))
}

fn command_line(process: &Path) -> String {
    let bytes = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
