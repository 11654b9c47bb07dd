//! Hours of the week, as an owner writes them: `22:00-07:00`, `Mon-Fri 22:00-07:00, Sat Sun`. A window over midnight belongs
//! to the day on which it begins.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
pub const DAY: u16 = 24 * 60;
/// Minutes of a week.
const WEEK: u16 = 7 * DAY;
/// Windows that a text may name.
const WINDOWS_MAX: usize = 32;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const ALL_DAYS: [bool; 7] = [true; 7];

/// A moment of the week where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// From Monday, 0.
    pub weekday: u8,
    /// From midnight.
    pub minute: u16,
}

impl LocalTime {
    /// The moment so many minutes later.
    #[must_use]
    pub fn after(self, minutes: u64) -> Self {
        let week = u64::from(WEEK);
        let at = u16::try_from((u64::from(self.of_week()) + minutes % week) % week).unwrap_or(0);
        Self { weekday: u8::try_from(at / DAY).unwrap_or(0), minute: at % DAY }
    }

    /// The time of day, and the day's name before it.
    #[must_use]
    pub fn with_day(self) -> String {
        format!("{} {self}", DAYS[usize::from(self.weekday) % 7])
    }

    fn of_week(self) -> u16 {
        (u16::from(self.weekday) % 7) * DAY + self.minute.min(DAY - 1)
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

/// Hours of the week; none means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    windows: Vec<Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    days: [bool; 7],
    from: u16,
    to: u16,
}

/// The text names no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no part of hours; write them like `22:00-07:00` or `Mon-Fri 18:00-08:00, Sat Sun`, or `any`")]
pub struct NoHours {
    word: String,
}

impl Hours {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.windows.is_empty()
    }

    /// Whether this moment is within.
    #[must_use]
    pub fn cover(&self, at: LocalTime) -> bool {
        self.is_any() || self.windows.iter().any(|window| window.covers(at))
    }

    /// Minutes until that changes; nothing if it never does.
    #[must_use]
    pub fn changes_in(&self, at: LocalTime) -> Option<u64> {
        let now = self.cover(at);
        let edges = self.windows.iter().flat_map(|window| window.edges());
        let until = |edge: u16| (edge + WEEK - at.of_week() - 1) % WEEK + 1;
        let mut deltas: Vec<u64> = edges.map(|edge| u64::from(until(edge))).collect();
        deltas.sort_unstable();
        deltas.into_iter().find(|delta| self.cover(at.after(*delta)) != now)
    }
}

impl Window {
    fn covers(&self, at: LocalTime) -> bool {
        let today = usize::from(at.weekday) % 7;
        let begun_today = self.days[today] && at.minute >= self.from && (self.over_midnight() || at.minute < self.to);
        let yesterday = (today + 6) % 7;
        begun_today || self.over_midnight() && self.days[yesterday] && at.minute < self.to
    }

    /// Twelve to twelve is a whole day from twelve on.
    const fn over_midnight(&self) -> bool {
        self.to <= self.from
    }

    fn edges(&self) -> impl Iterator<Item = u16> {
        let (from, to) = (self.from, if self.over_midnight() { self.to + DAY } else { self.to });
        (0u16..7)
            .zip(self.days)
            .filter(|(_, is)| *is)
            .flat_map(move |(day, _)| [(day * DAY + from) % WEEK, (day * DAY + to) % WEEK])
    }
}

impl FromStr for Hours {
    type Err = NoHours;

    fn from_str(text: &str) -> Result<Self, NoHours> {
        if matches!(text.trim(), "" | "any") {
            return Ok(Self::default());
        }
        let windows: Vec<Window> = text.split(',').map(window).collect::<Result<_, _>>()?;
        if windows.len() > WINDOWS_MAX {
            return Err(NoHours { word: text.to_owned() });
        }
        Ok(Self { windows })
    }
}

fn window(text: &str) -> Result<Window, NoHours> {
    let (mut days, mut times) = ([false; 7], None);
    for word in text.split_whitespace() {
        let unknown = || NoHours { word: word.to_owned() };
        if word.contains(':') {
            let (from, to) = word.split_once('-').ok_or_else(unknown)?;
            let range = (time(from).ok_or_else(unknown)?, time(to).ok_or_else(unknown)?);
            if range.0 == DAY || times.replace(range).is_some() {
                return Err(unknown());
            }
        } else {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (day(first).ok_or_else(unknown)?, day(last).ok_or_else(unknown)?);
            (0..=(last + 7 - first) % 7).for_each(|step| days[(first + step) % 7] = true);
        }
    }
    if times.is_none() && days == [false; 7] {
        return Err(NoHours { word: text.to_owned() });
    }
    let (from, to) = times.unwrap_or((0, DAY));
    Ok(Window { days: if days == [false; 7] { ALL_DAYS } else { days }, from, to })
}

/// Minutes of `07:30`; midnight at the end of a day is `24:00`.
fn time(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let (hour, minute): (u16, u16) = match (digits(hour), digits(minute) && minute.len() == 2) {
        (true, true) => (hour.parse().ok()?, minute.parse().ok()?),
        _ => return None,
    };
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY).then_some(total)
}

fn day(text: &str) -> Option<usize> {
    DAYS.iter().position(|day| day.eq_ignore_ascii_case(text.get(..3).unwrap_or_default())).filter(|_| text.len() <= 9)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        for (index, window) in self.windows.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            let named: Vec<&str> = DAYS.iter().zip(window.days).filter(|(_, is)| *is).map(|(day, _)| *day).collect();
            let times = (window.from, window.to) != (0, DAY) || named.len() == 7;
            let days = if named.len() == 7 { String::new() } else { named.join(" ") };
            f.write_str(&days)?;
            if times {
                f.write_str(if days.is_empty() { "" } else { " " })?;
                let (from, to) = (window.from, window.to);
                write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Hours {
    type Error = NoHours;

    fn try_from(text: String) -> Result<Self, NoHours> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MON: u8 = 0;
    const FRI: u8 = 4;
    const SAT: u8 = 5;
    const SUN: u8 = 6;

    fn at(weekday: u8, hour: u16, minute: u16) -> LocalTime {
        LocalTime { weekday, minute: hour * 60 + minute }
    }

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let weekdays = hours("Mon-Fri 22:00-07:00");
        for (moment, within) in [
            (at(MON, 21, 59), false),
            (at(MON, 22, 0), true),
            (at(1, 6, 59), true),
            (at(1, 7, 0), false),
            (at(FRI, 23, 0), true),
            (at(SAT, 6, 0), true),
            (at(SAT, 22, 30), false),
            (at(MON, 6, 0), false),
        ] {
            assert_eq!(weekdays.cover(moment), within, "{moment:?}");
        }
        let always = hours("12:00-12:00");
        assert!((0..7).all(|day| (0..24).all(|hour| always.cover(at(day, hour, 30)))));
        assert_eq!((always.changes_in(at(MON, 5, 0)), hours("any").changes_in(at(MON, 5, 0))), (None, None));
    }

    #[test]
    fn the_next_change_is_found_over_days_and_the_end_of_the_week() {
        let nights = hours("22:00-07:00");
        assert_eq!(nights.changes_in(at(MON, 21, 0)), Some(60));
        assert_eq!(nights.changes_in(at(SUN, 23, 0)), Some(8 * 60));
        let weekend = hours("Sat Sun, Mon 00:00-01:00");
        // Windows that touch are one.
        assert_eq!(weekend.changes_in(at(SAT, 0, 0)), Some(49 * 60));
        assert_eq!(weekend.changes_in(at(MON, 1, 0)), Some(u64::from(5 * DAY - 60)));
    }

    #[test]
    fn what_was_written_is_read_again_and_what_means_nothing_is_named() {
        for text in ["any", "22:00-07:00", "Mon Tue Wed Thu Fri 18:00-08:00, Sat Sun", "00:00-24:00"] {
            assert_eq!(hours(text).to_string(), text);
        }
        assert_eq!(hours("mon-fri 9:00-17:00"), hours("Monday Tue Wed Thu Friday 09:00-17:00"));
        assert_eq!(hours("Sat-Mon").to_string(), "Mon Sat Sun");
        for (text, word) in [
            ("night", "night"),
            ("22-7", "22-7"),
            ("25:00-26:00", "25:00-26:00"),
            ("24:00-07:00", "24:00-07:00"),
            ("07:00-08:00 09:00-10:00", "09:00-10:00"),
            ("Mon,,Tue", ""),
            ("1:5-2:00", "1:5-2:00"),
        ] {
            let error = text.parse::<Hours>().unwrap_err();
            assert_eq!(error.word, word, "{text}");
            assert!(error.to_string().contains("22:00-07:00"));
        }
        let nights = hours("22:00-07:00");
        assert_eq!(nights.cover(at(9, 23, 0)), nights.cover(at(2, 23, 0)));
    }
}
