//! A place of its own for everything one `potluck` user has: configuration, data, cache, temporary and working
//! directory. When it is dropped, nothing that ran in it may be left.

use crate::artifacts::binary;
use crate::leak::{left_in, processes_of};
use crate::process::Invocation;
use crate::python::shared_cache;
use crate::wait::holds_within;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// How long after the last command a process of a home may still be about to end.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// One user's world.
#[derive(Debug)]
pub struct Home {
    root: TempDir,
    cache: PathBuf,
    host: Option<String>,
    path: Option<PathBuf>,
    user: Option<u32>,
    memory: Option<u64>,
}

impl Home {
    /// A fresh world with an empty cache of its own.
    ///
    /// # Panics
    /// When its directories cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let root =
            tempfile::Builder::new().prefix("potluck-test-").tempdir().expect("a temporary directory can be made");
        for name in ["home", "cache", "tmp", "work", "user", "system"] {
            fs::create_dir(root.path().join(name)).expect("a directory can be made in a fresh one");
        }
        let home = Self { cache: root.path().join("cache"), root, host: None, path: None, user: None, memory: None };
        // Images are made where a test asks for them, and not beside it.
        let settings = format!("port = 0\ndiscovery_port = {}\nimages = false\n", discovery_port());
        fs::write(home.config().join("config.toml"), settings).expect("the settings can be written");
        home
    }

    /// A fresh world with the lasting cache, in which Python is compiled.
    #[must_use]
    pub fn with_python() -> Self {
        Self::new().with_cache(&shared_cache())
    }

    /// The same world with another cache.
    #[must_use]
    pub fn with_cache(mut self, cache: &Path) -> Self {
        cache.clone_into(&mut self.cache);
        self
    }

    /// The same world on a host of a lab, named by its network namespace.
    #[must_use]
    pub fn on_host(mut self, namespace: &str) -> Self {
        self.host = Some(namespace.to_owned());
        self
    }

    /// The same world where no program but those in `directory` is found by name.
    #[must_use]
    pub fn with_path(mut self, directory: &Path) -> Self {
        self.path = Some(directory.to_owned());
        self
    }

    /// The same world of another user of this machine, which only root can make. Potluck lies in it as well, because that user
    /// may not enter the directories of this one.
    ///
    /// # Panics
    /// When it cannot be given away.
    #[must_use]
    pub fn of_user(mut self, user: u32) -> Self {
        fs::copy(binary(), self.root.path().join("potluck")).expect("the program can be copied");
        give_away(self.root.path(), user);
        self.user = Some(user);
        self
    }

    /// The same world where each process may have so many bytes of memory.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The same world whose node calls itself `name`.
    ///
    /// # Panics
    /// When `potluck config set` refuses.
    #[must_use]
    #[track_caller]
    pub fn named(self, name: &str) -> Self {
        self.potluck(["config", "set", "name", name]).finish().expect(0);
        self
    }

    /// The directory all of this world lies in.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What `POTLUCK_HOME` says.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// What `POTLUCK_CACHE_DIR` says.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// What `POTLUCK_SYS_ROOT` says: the machine as its sensors see it, which is on mains and has no terminal until a test
    /// writes otherwise.
    #[must_use]
    pub fn system(&self) -> PathBuf {
        self.root.path().join("system")
    }

    /// Writes a file below [`Home::system`], in one piece, and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_system(&self, name: &str, text: &str) -> PathBuf {
        let path = self.system().join(name);
        let parent = path.parent().expect("a file below a directory has a parent");
        fs::create_dir_all(parent).expect("a directory can be made");
        let aside = self.root.path().join("user/aside");
        fs::write(&aside, text).expect("a file can be written");
        fs::rename(&aside, &path).expect("a file can be renamed");
        path
    }

    /// Where commands are run.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Where the working directories of runs are made.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.config().join("data/scratch")
    }

    /// The working directories of runs that exist now. Each process that runs jobs has a directory of its own for them, and
    /// so has each of its workers.
    #[must_use]
    pub fn scratch_entries(&self) -> Vec<PathBuf> {
        let is_worker =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"worker-"));
        let entries = left_in(&self.scratch()).into_iter().flat_map(|owner| left_in(&owner));
        let (workers, runs): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(is_worker);
        workers.iter().flat_map(|worker| left_in(worker)).chain(runs).collect()
    }

    /// Writes a file below the working directory and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        let parent = path.parent().expect("a file below a directory has a parent");
        fs::create_dir_all(parent).expect("a directory can be made");
        fs::write(&path, bytes).expect("a file can be written");
        path
    }

    /// `potluck` with these arguments.
    pub fn potluck<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        let program = self.user.map_or_else(binary, |_| self.root.path().join("potluck"));
        Invocation::new(self.command(program.as_os_str())).args(args)
    }

    /// `potluck run` with these arguments.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        self.potluck(["run"]).args(args)
    }

    /// Any program in this world's environment, on its host.
    pub fn command(&self, program: &OsStr) -> Command {
        let within_host = self.host.iter().flat_map(|host| ["ip", "netns", "exec", host].map(OsString::from));
        let within_memory = self.memory.iter().flat_map(|most| ["prlimit".into(), format!("--data={most}").into()]);
        let mut words = within_host.chain(within_memory).chain([program.to_owned()]);
        let mut command = Command::new(words.next().expect("there is a program"));
        command.args(words);
        let root = self.root.path();
        let path = self.path.clone().map_or_else(|| std::env::var_os("PATH").unwrap_or_default(), Into::into);
        command
            .env_clear()
            .env("PATH", path)
            .env("LANG", "C.UTF-8")
            .env("HOME", root.join("user"))
            .env("TMPDIR", root.join("tmp"))
            .env("POTLUCK_HOME", self.config())
            .env("POTLUCK_CACHE_DIR", &self.cache)
            .env("POTLUCK_SYS_ROOT", self.system())
            .current_dir(self.work());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// What is there of this world beside what it was given: processes, working directories of runs, temporary files.
    #[must_use]
    pub fn traces(&self) -> Vec<String> {
        let processes = processes_of(self.root.path()).into_iter().map(|p| format!("process {}: {}", p.id, p.command));
        let temporary = left_in(&self.root.path().join("tmp"));
        let directories = left_in(&self.scratch()).into_iter().chain(self.scratch_entries()).chain(temporary);
        processes.chain(directories.map(|path| path.display().to_string())).collect()
    }

    /// Fails when a process, working directory or temporary file of this world is left.
    ///
    /// # Panics
    /// When something is left; processes are killed first.
    pub fn assert_nothing_left(&self) {
        if holds_within(GONE_WITHIN, || self.traces().is_empty()) {
            return;
        }
        let left = self.traces();
        processes_of(self.root.path()).iter().for_each(crate::leak::Process::kill);
        panic!("left behind: {left:#?}");
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking() {
            // The test has failed already; only make sure that nothing outlives it.
            processes_of(self.root.path()).iter().for_each(crate::leak::Process::kill);
        } else {
            self.assert_nothing_left();
        }
    }
}

/// Makes a directory and all that is in it another user's.
fn give_away(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root can give files away");
    if path.is_dir() {
        left_in(path).iter().for_each(|entry| give_away(entry, user));
    }
}

/// The beacon port of this test process: its own, so that tests side by side do not hear each other, and below the
/// range from which the system gives out ports.
fn discovery_port() -> u32 {
    10_000 + std::process::id() % 20_000
}

/// Writes a script into the working directory of `home` and returns its name.
pub fn write_script(home: &Home, name: &str, lines: &[&str]) -> String {
    home.write(name, lines.join("\n") + "\n");
    name.to_owned()
}
