//! Sizes, durations and amounts of fuel, as people type and read them. A text that is no quantity is refused with
//! examples of one; nothing is rounded down to zero without a word, and nothing overflows.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Digits after the point that are heeded: enough for a byte of a terabyte.
const FRACTION_DIGITS_MAX: usize = 12;

/// A number of bytes: `64M`, `1.5G`, `1GiB` (powers of 1024) or `100MB` (powers of 1000), as GNU tools read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

/// An amount of fuel: `100M`, `10T` (powers of 1000).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fuel(pub(crate) u64);

/// A length of time: `500ms`, `90s`, `10m`, `1h30m`, `2d`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// In milliseconds, or the most there can be.
    pub(crate) fn milliseconds(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The text is no quantity of the kind that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuantityError {
    wanted: &'static str,
    examples: &'static str,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is expected, such as {}", self.wanted, self.examples)
    }
}

impl std::error::Error for QuantityError {}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = QuantityError { wanted: "a number of bytes", examples: "64M, 1G or 1500000" };
        let (number, unit) = split_number(text).ok_or_else(|| error.clone())?;
        let unit = unit.to_ascii_uppercase();
        let (prefix, base) = match unit.as_str() {
            "" | "B" => ("", 1024),
            one @ ("K" | "M" | "G" | "T") => (prefix_of(one), 1024),
            si @ ("KB" | "MB" | "GB" | "TB") => (prefix_of(si), 1000),
            iec @ ("KIB" | "MIB" | "GIB" | "TIB") => (prefix_of(iec), 1024),
            _ => return Err(error),
        };
        scaled(number, power(base, prefix)).map(Self).ok_or(error)
    }
}

impl FromStr for Fuel {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = QuantityError { wanted: "an amount of fuel", examples: "100M, 50G or 10T" };
        let (number, unit) = split_number(text).ok_or_else(|| error.clone())?;
        let unit = unit.to_ascii_uppercase();
        if !matches!(unit.as_str(), "" | "K" | "M" | "G" | "T" | "P") {
            return Err(error);
        }
        scaled(number, power(1000, prefix_of(&unit))).map(Self).ok_or(error)
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = QuantityError { wanted: "a length of time", examples: "90s, 10m, 1h30m or 500ms" };
        let mut rest = text.trim();
        let mut total_ms: u64 = 0;
        let mut smallest = u64::MAX;
        while !rest.is_empty() {
            let (number, after) = split_number(rest).ok_or_else(|| error.clone())?;
            let unit_len = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let unit_ms = match &after[..unit_len] {
                "ms" => 1,
                "" if smallest == u64::MAX => 1000,
                "s" => 1000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(error),
            };
            // Units go down, so that `1m30` and `5s2h` are refused and not guessed at.
            if unit_ms >= smallest {
                return Err(error);
            }
            smallest = unit_ms;
            let part = scaled(number, unit_ms).ok_or_else(|| error.clone())?;
            total_ms = total_ms.checked_add(part).ok_or_else(|| error.clone())?;
            rest = &after[unit_len..];
        }
        if smallest == u64::MAX {
            return Err(error);
        }
        Ok(Self(Duration::from_millis(total_ms)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) if self.0.is_multiple_of(*size) => write!(f, "{} {unit}", self.0 / size),
            Some((unit, size)) => write!(f, "{:.1} {unit}", self.0 as f64 / *size as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl fmt::Display for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("T", 1_000_000_000_000u64), ("G", 1_000_000_000), ("M", 1_000_000), ("K", 1000)];
        match units.iter().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) if self.0.is_multiple_of(*size) => write!(f, "{}{unit}", self.0 / size),
            Some((unit, size)) => write!(f, "{:.2}{unit}", self.0 as f64 / *size as f64),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        if ms < 1000 {
            return write!(f, "{ms}ms");
        }
        if ms < 60_000 {
            return if ms.is_multiple_of(1000) {
                write!(f, "{}s", ms / 1000)
            } else {
                write!(f, "{:.1}s", ms as f64 / 1000.0)
            };
        }
        let seconds = ms / 1000;
        let parts =
            [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
        // Two units are as exact as anyone reads.
        let first = parts.iter().position(|(amount, _)| *amount > 0).unwrap_or(parts.len() - 1);
        for (amount, unit) in parts.iter().skip(first).take(2).filter(|(amount, _)| *amount > 0) {
            write!(f, "{amount}{unit}")?;
        }
        Ok(())
    }
}

/// The number a text begins with, and what follows it.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim_start()))
}

/// The first letter of a unit that is known to have one.
fn prefix_of(unit: &str) -> &str {
    unit.get(..1).unwrap_or("")
}

fn power(base: u64, prefix: &str) -> u64 {
    let exponent = match prefix {
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => 0,
    };
    base.pow(exponent)
}

/// `number`, which may have a fraction, times `factor`; `None` when that is no number or too large.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let numerator: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let denominator = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u64::try_from(numerator * u128::from(factor) / denominator).ok()?;
    whole.checked_mul(factor)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_gnu_tools_read_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1500", 1500),
            ("7B", 7),
            ("64M", 64 << 20),
            ("1g", 1 << 30),
            ("1.5G", 3 << 29),
            ("2T", 2 << 40),
            ("1GiB", 1 << 30),
            ("100MB", 100_000_000),
            (" 4 KiB ", 4096),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn fuel_is_decimal() {
        for (text, fuel) in [("100M", 100_000_000), ("10T", 10_000_000_000_000), ("2.5k", 2500), ("9", 9)] {
            assert_eq!(text.parse(), Ok(Fuel(fuel)), "{text}");
        }
    }

    #[test]
    fn spans_are_read_with_one_unit_or_several() {
        for (text, ms) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("90", 90_000),
            ("1.5s", 1500),
            ("500ms", 500),
            ("2d", 172_800_000),
            ("1m1ms", 60_001),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_examples() {
        for text in ["", "plenty", "-1", "1.2.3", "1X", ".", "99999999999999999999", "20000000T", "1e9"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
            assert!(text.parse::<Fuel>().is_err(), "{text}");
        }
        for text in ["", "soon", "1m30", "5s2h", "1h1h", "10M", "m", "300000000000000000d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert!("plenty".parse::<ByteSize>().unwrap_err().to_string().contains("64M"));
    }

    #[test]
    fn quantities_are_shown_as_people_read_them() {
        assert_eq!(ByteSize(1 << 30).to_string(), "1 GiB");
        assert_eq!(ByteSize((1 << 30) + (1 << 29)).to_string(), "1.5 GiB");
        assert_eq!(ByteSize(900).to_string(), "900 bytes");
        assert_eq!(Fuel(10_000_000_000_000).to_string(), "10T");
        assert_eq!(Fuel(1_234_000_000).to_string(), "1.23G");
        assert_eq!(Span(Duration::from_secs(600)).to_string(), "10m");
        assert_eq!(Span(Duration::from_secs(5400)).to_string(), "1h30m");
        assert_eq!(Span(Duration::from_millis(1500)).to_string(), "1.5s");
        assert_eq!(Span(Duration::from_millis(20)).to_string(), "20ms");
        assert_eq!(Span(Duration::from_secs(86_400 + 59)).to_string(), "1d");
    }
}
