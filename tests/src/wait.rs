//! Waiting for a condition. There is no other wait in these tests.

use std::time::{Duration, Instant};

/// How long a condition may take when the product promises no figure: long enough for a busy machine of two cores, so
/// that only something that never happens fails.
pub const DEADLINE: Duration = Duration::from_secs(180);

const POLL_EVERY: Duration = Duration::from_millis(10);

/// Asks `ask` until it answers, and returns the answer.
///
/// # Panics
/// After [`DEADLINE`], with `what`.
#[track_caller]
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, ask)
}

/// Asks `ask` until it answers, for at most `limit`.
///
/// # Panics
/// After `limit`, with `what`.
#[track_caller]
pub fn until_within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        pause();
    }
}

/// Whether `condition` comes to hold within `limit`.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= end {
            return false;
        }
        pause();
    }
    true
}

/// The one pause of these tests: between two looks at a condition.
fn pause() {
    std::thread::sleep(POLL_EVERY);
}
