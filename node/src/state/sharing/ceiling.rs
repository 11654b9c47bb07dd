//! A bound that closes at once and opens late: whatever swings round it, what hangs on it does not.

/// Whether something is over its bound, or was a while ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    closed: bool,
    /// When it was first seen calm again, in seconds of a clock that does not go back.
    calm_since: Option<u64>,
}

/// What is seen of it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Over the bound.
    Over,
    /// Under the bound and not by enough to open what is closed.
    Near,
    /// Well under it, or nothing is known of it.
    Calm,
}

impl Seen {
    /// A value against a bound, and the mark below which it is calm.
    #[must_use]
    pub const fn of(value: u64, bound: u64, calm_below: u64) -> Self {
        if value > bound {
            Self::Over
        } else if value >= calm_below {
            Self::Near
        } else {
            Self::Calm
        }
    }
}

impl Ceiling {
    /// Takes in what is seen now; whether it is closed. What is closed opens after `opens_after_s` of calm.
    pub fn look(&mut self, now_s: u64, seen: Seen, opens_after_s: u64) -> bool {
        match seen {
            Seen::Over => *self = Self { closed: true, calm_since: None },
            Seen::Near => self.calm_since = None,
            Seen::Calm => {
                let since = *self.calm_since.get_or_insert(now_s);
                if now_s.saturating_sub(since) >= opens_after_s {
                    self.closed = false;
                }
            }
        }
        self.closed
    }

    /// Seconds until it opens if all stays calm.
    #[must_use]
    pub fn opens_in(&self, now_s: u64, opens_after_s: u64) -> u64 {
        let waited = self.calm_since.map_or(0, |since| now_s.saturating_sub(since));
        opens_after_s.saturating_sub(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: u64 = 30;

    #[test]
    fn it_closes_at_once_and_opens_after_calm_alone() {
        let mut ceiling = Ceiling::default();
        for (now, seen, closed) in [
            (0, Seen::Near, false),
            (2, Seen::Over, true),
            (4, Seen::Calm, true),
            (30, Seen::Calm, true),
            (31, Seen::Near, true),
            (40, Seen::Calm, true),
            (69, Seen::Calm, true),
            (70, Seen::Calm, false),
            (71, Seen::Near, false),
            (72, Seen::Over, true),
        ] {
            assert_eq!(ceiling.look(now, seen, AFTER), closed, "at {now}");
        }
        assert_eq!(ceiling.opens_in(72, AFTER), AFTER);
        ceiling.look(80, Seen::Calm, AFTER);
        assert_eq!(ceiling.opens_in(90, AFTER), 20);
    }

    #[test]
    fn a_value_on_its_bound_is_not_over_it() {
        assert_eq!(
            [60, 79, 80, 81, 59].map(|value| Seen::of(value, 80, 60)),
            [Seen::Near, Seen::Near, Seen::Near, Seen::Over, Seen::Calm]
        );
    }
}
