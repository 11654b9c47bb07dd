//! The time of day, as it is used for what people read and for the age of this machine's own tickets. No two machines'
//! clocks are ever compared; a test gives a node a clock that is hours off and nothing breaks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A node's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    ahead: Duration,
    behind: Duration,
}

impl Clock {
    /// This machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { ahead: Duration::ZERO, behind: Duration::ZERO }
    }

    /// A clock that is this much ahead of this machine's.
    #[must_use]
    pub const fn ahead_by(ahead: Duration) -> Self {
        Self { ahead, behind: Duration::ZERO }
    }

    /// A clock that is this much behind this machine's.
    #[must_use]
    pub const fn behind_by(behind: Duration) -> Self {
        Self { ahead: Duration::ZERO, behind }
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix_now(self) -> u64 {
        self.since_1970().as_secs()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_now_ms(self) -> u64 {
        u64::try_from(self.since_1970().as_millis()).unwrap_or(u64::MAX)
    }

    fn since_1970(self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        now.saturating_add(self.ahead).saturating_sub(self.behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_as_much_as_it_was_set() {
        let hours = Duration::from_secs(7 * 3600);
        let now = Clock::system().unix_now();
        assert!(Clock::ahead_by(hours).unix_now().abs_diff(now + 7 * 3600) <= 1);
        assert!(Clock::behind_by(hours).unix_now().abs_diff(now - 7 * 3600) <= 1);
        assert_eq!(Clock::behind_by(Duration::MAX).unix_now_ms(), 0);
    }
}
