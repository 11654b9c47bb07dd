//! Which process a container belongs to: its number, and when it started, so that a later process with the same number is
//! not taken for it.

use std::sync::LazyLock;

/// This process, as it stands on the labels of its containers.
pub(crate) fn label() -> &'static str {
    static LABEL: LazyLock<String> = LazyLock::new(|| {
        let process = std::process::id();
        format!("{process}-{}", started(process).unwrap_or_default())
    });
    &LABEL
}

/// Whether the process of this label runs.
pub(crate) fn is_running(label: &str) -> bool {
    let Some((process, since)) = label.split_once('-') else { return false };
    let Ok(process) = process.parse() else { return false };
    started(process).is_some_and(|started| started.to_string() == since)
}

/// When a process started, in ticks since the system did.
fn started(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in the second field may hold anything; what follows its last parenthesis is numbers from the third on.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    // One that has died and is not yet waited for does nothing more.
    if state == "Z" || state == "X" { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_one_before_it_does_not() {
        assert!(is_running(label()));
        let (process, since) = label().split_once('-').unwrap();
        let earlier: u64 = since.parse::<u64>().unwrap() - 1;
        assert!(!is_running(&format!("{process}-{earlier}")));
        assert!(!is_running("0-0"));
        assert!(!is_running("nobody"));
    }
}
