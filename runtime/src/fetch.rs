//! Brings a published package to this machine with the user's own tool for it, which knows their proxies, mirrors and certificates;
//! Potluck itself speaks to no registry. What comes is checked by whoever asked.

use crate::watch::{Stage, Watch};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// How pip may be called, most telling first.
const PIPS: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
/// How npm may be called.
const NPMS: [&[&str]; 1] = [&["npm"]];
/// How often the growing download is measured.
const POLL: Duration = Duration::from_millis(200);
/// How much of a tool's own words is kept for an error.
const STDERR_BYTES_MAX: usize = 64 << 10;
const LAST_LINES: usize = 6;

/// Where packages are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    /// Python's.
    PyPi,
    /// Node's.
    Npm,
}

/// A package, as it was published once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where.
    pub registry: Registry,
    /// What it is called there.
    pub name: &'static str,
    /// Which of it.
    pub version: &'static str,
    /// The bytes of its archive, for a progress bar.
    pub size: u64,
}

/// A package cannot be brought.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The tool is not on this machine.
    #[error("this machine has no {0}")]
    NoTool(&'static str),
    /// The tool could not be started.
    #[error("cannot run {program:?}")]
    Start {
        /// How it was called.
        program: String,
        /// What the system reports.
        source: io::Error,
    },
    /// The tool failed.
    #[error("{program} could not download it; its last words:\n{said}")]
    Failed {
        /// How it was called.
        program: String,
        /// The last lines it printed.
        said: String,
    },
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.registry {
            Registry::PyPi => write!(f, "{}=={}", self.name, self.version),
            Registry::Npm => write!(f, "{}@{}", self.name, self.version),
        }
    }
}

impl Published {
    /// The tool that brings it.
    #[must_use]
    pub const fn tool(&self) -> &'static str {
        match self.registry {
            Registry::PyPi => "pip",
            Registry::Npm => "npm",
        }
    }

    /// What a user types to have its archive in the working directory.
    #[must_use]
    pub fn by_hand(&self) -> String {
        match self.registry {
            Registry::PyPi => format!("pip download --no-deps {self}"),
            Registry::Npm => format!("npm pack {self}"),
        }
    }

    /// Downloads it into `aside` and returns its archive. Dropping the future ends the tool.
    ///
    /// # Errors
    /// [`FetchError`] with what the tool said.
    pub async fn download(&self, aside: &Path, watch: &dyn Watch) -> Result<PathBuf, FetchError> {
        let (ways, ending): (&[_], _) = match self.registry {
            Registry::PyPi => (&PIPS, "whl"),
            Registry::Npm => (&NPMS, "tgz"),
        };
        let called = first_that_works(ways).await.ok_or(FetchError::NoTool(self.tool()))?;
        let program = called.join(" ");
        let mut child = self
            .command(called, aside)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| FetchError::Start { program: program.clone(), source })?;
        let stderr = child.stderr.take();
        let (status, said) = tokio::select! {
            ended = async { tokio::join!(child.wait(), words(stderr)) } => ended,
            () = self.measure(aside, watch) => unreachable!("the measuring loop has no end"),
        };
        let status = status.map_err(|source| FetchError::Start { program: program.clone(), source })?;
        if !status.success() {
            return Err(FetchError::Failed { program, said: last_lines(&said) });
        }
        let left_nothing = || FetchError::Failed { program, said: "it left nothing".to_owned() };
        archive_in(aside, ending).ok_or_else(left_nothing)
    }

    fn command(&self, called: &[&str], aside: &Path) -> Command {
        let mut command = Command::new(called[0]);
        command.args(&called[1..]);
        match self.registry {
            Registry::PyPi => command
                .args(["download", "--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"])
                .args(["--ignore-requires-python", "--only-binary", ":all:", "--dest"])
                .arg(aside)
                .arg(self.to_string())
                .env("TMPDIR", aside),
            // It writes where it works.
            Registry::Npm => command
                .args(["pack", "--ignore-scripts", "--no-progress", "--loglevel=error"])
                .arg(self.to_string())
                .current_dir(aside),
        };
        command
    }

    /// Tells how far the download is, for ever.
    async fn measure(&self, aside: &Path, watch: &dyn Watch) {
        loop {
            let done = size_of(aside).min(self.size);
            let what = format!("{} {}", self.name, self.version);
            watch.stage(Stage::Fetching { what, done, total: Some(self.size) });
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The way of calling pip that works on this machine.
pub(crate) async fn pip() -> Option<&'static [&'static str]> {
    first_that_works(&PIPS).await
}

async fn first_that_works(ways: &[&'static [&'static str]]) -> Option<&'static [&'static str]> {
    for way in ways {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).arg("--version").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Some(way);
        }
    }
    None
}

/// The last of what a tool says.
async fn words(stderr: Option<tokio::process::ChildStderr>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stderr {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            kept.extend_from_slice(&buffer[..count]);
            let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
            kept.drain(..excess);
        }
    }
    kept
}

fn archive_in(aside: &Path, ending: &str) -> Option<PathBuf> {
    let paths = fs::read_dir(aside).ok()?.flatten().map(|entry| entry.path());
    paths.into_iter().find(|path| path.extension().is_some_and(|extension| extension == ending))
}

/// The bytes below `directory`; what vanishes while it is counted is not counted.
pub(crate) fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

pub(crate) fn last_lines(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_last_lines_of_a_tool() {
        let words: String = (0..20).map(|n| format!("line {n}\n\n")).collect();
        let shown = last_lines(words.as_bytes());
        assert_eq!(shown.lines().count(), LAST_LINES);
        assert!(shown.ends_with("line 19"));
        assert_eq!(last_lines(b""), "");
    }

    #[test]
    fn the_growing_download_is_measured_through_directories() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("unpack")).unwrap();
        fs::write(directory.path().join("unpack/part"), [0; 30]).unwrap();
        fs::write(directory.path().join("other"), [0; 12]).unwrap();
        assert_eq!(size_of(directory.path()), 42);
        assert_eq!(size_of(&directory.path().join("gone")), 0);
    }
}
