//! The fuel somebody has used in the last 24 hours, by hours, so that little is kept and no midnight gives all of it back at
//! once. A clock that was set back makes what was used in its future count as used now: nothing is forgiven by it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Hours that count, the present one among them.
const HOURS: u64 = 24;
/// The most an hour holds: what the file's numbers can.
const FUEL_MAX: u64 = i64::MAX as u64;

/// Fuel by hours since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FuelDay {
    hours: Vec<(u64, u64)>,
}

impl FuelDay {
    /// Adds fuel that was used now.
    pub fn charge(&mut self, unix_s: u64, fuel: u64) {
        let now = hour(unix_s);
        let mut hours: BTreeMap<u64, u64> = BTreeMap::new();
        for (hour, fuel) in self.hours.drain(..).filter(|(hour, _)| counts(*hour, now)).chain([(now, fuel)]) {
            let held = hours.entry(hour.min(now)).or_default();
            *held = held.saturating_add(fuel).min(FUEL_MAX);
        }
        self.hours = hours.into_iter().filter(|(_, fuel)| *fuel > 0).collect();
    }

    /// What was used in the last 24 hours.
    #[must_use]
    pub fn used(&self, unix_s: u64) -> u64 {
        let now = hour(unix_s);
        self.hours.iter().filter(|(hour, _)| counts(*hour, now)).fold(0, |sum, (_, fuel)| sum.saturating_add(*fuel))
    }

    /// Hours until some of it counts no more, at least one.
    #[must_use]
    pub fn hours_left(&self, unix_s: u64) -> u64 {
        let now = hour(unix_s);
        let oldest = self.hours.iter().map(|(hour, _)| (*hour).min(now)).find(|hour| counts(*hour, now));
        oldest.map_or(1, |oldest| (oldest + HOURS).saturating_sub(now)).max(1)
    }

    /// Whether nothing of it counts any more.
    #[must_use]
    pub fn is_over(&self, unix_s: u64) -> bool {
        self.used(unix_s) == 0
    }
}

const fn hour(unix_s: u64) -> u64 {
    unix_s / 3600
}

const fn counts(hour: u64, now: u64) -> bool {
    hour.saturating_add(HOURS) > now
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000;

    #[test]
    fn what_was_used_comes_back_hour_by_hour() {
        let mut day = FuelDay::default();
        for at in 0..30 {
            day.charge(START + at * 3600, 10);
        }
        let now = START + 29 * 3600;
        assert_eq!((day.used(now), day.hours.len(), day.hours_left(now)), (240, 24, 1));
        assert_eq!(day.used(now + 5 * 3600), 190);
        assert!(day.is_over(now + 24 * 3600) && !day.is_over(now + 23 * 3600));
    }

    #[test]
    fn a_clock_that_was_set_back_forgives_nothing() {
        let mut day = FuelDay::default();
        day.charge(START, 10);
        assert_eq!(day.used(START - 1_000_000), 10);
        day.charge(START - 1_000_000, 5);
        assert_eq!((day.used(START - 1_000_000), day.hours.len()), (15, 1));
        assert_eq!(day.used(START), 0);
    }

    #[test]
    fn more_fuel_than_there_is_stays_a_number_that_can_be_written() {
        let mut day = FuelDay::default();
        day.charge(START, u64::MAX);
        day.charge(START, u64::MAX);
        assert_eq!(day.used(START), FUEL_MAX);
        let text = toml::to_string(&std::collections::BTreeMap::from([("day", &day)])).unwrap();
        let back: std::collections::BTreeMap<String, FuelDay> = toml::from_str(&text).unwrap();
        assert_eq!(back["day"], day);
    }
}
