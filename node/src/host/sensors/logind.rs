//! What the session manager says of its sessions: a desktop tells it when nobody is at it. It is asked by its own program,
//! whose output is kept stable, so that nothing here speaks to a bus. A desktop that never tells it anything counts as one with
//! somebody at it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Where the program is, below the root.
const PROGRAMS: [&str; 3] = ["usr/bin/loginctl", "bin/loginctl", "run/current-system/sw/bin/loginctl"];
/// Without a session to show it shows the manager, which knows of all sessions.
const ARGUMENTS: [&str; 3] = ["show-session", "--property=IdleHint", "--property=IdleSinceHint"];
/// How long it may take; a bus that hangs is none.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Seconds for which every session has been idle; nothing where there is no such manager.
pub(super) async fn away_for(root: &Path, unix_s: u64) -> Option<u64> {
    let program: PathBuf = PROGRAMS.iter().map(|program| root.join(program)).find(|program| program.is_file())?;
    let mut command = Command::new(program);
    command.args(ARGUMENTS).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output()).await.ok()?.ok()?;
    if !output.status.success() {
        return None;
    }
    parse(&String::from_utf8_lossy(&output.stdout), unix_s)
}

fn parse(text: &str, unix_s: u64) -> Option<u64> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    match value("IdleHint")? {
        "no" => Some(0),
        "yes" => {
            // In microseconds; 0 where there never was a session.
            let since: u64 = value("IdleSinceHint").and_then(|micros| micros.parse().ok()).unwrap_or(0);
            Some(unix_s.saturating_sub(since / 1_000_000))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeRoot;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_it_says_is_understood_and_nothing_is_guessed() {
        let idle = "IdleHint=yes\nIdleSinceHint=1800000000000000\n";
        assert_eq!(parse(idle, 1_800_000_060), Some(60));
        assert_eq!(parse("IdleHint=no\nIdleSinceHint=1800000000000000\n", 1_900_000_000), Some(0));
        assert_eq!(parse("IdleHint=yes\nIdleSinceHint=0\n", 500), Some(500));
        for none in ["", "IdleHint=\n", "Failed to connect to bus"] {
            assert_eq!(parse(none, 1), None, "{none}");
        }
    }

    #[tokio::test]
    async fn the_program_is_asked_and_one_that_fails_or_hangs_says_nothing() {
        let root = FakeRoot::new();
        assert_eq!(away_for(root.path(), 10).await, None);
        let script = |text: &str| {
            let path = root.write("usr/bin/loginctl", &format!("#!/bin/sh\n{text}\n"));
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        script("test \"$1\" = show-session && echo IdleHint=yes && echo IdleSinceHint=4000000");
        assert_eq!(away_for(root.path(), 10).await, Some(6));
        script("echo IdleHint=no; exit 1");
        assert_eq!(away_for(root.path(), 10).await, None);
        script("exec sleep 100");
        assert_eq!(away_for(root.path(), 10).await, None);
    }
}
