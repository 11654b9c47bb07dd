//! A daemon's log, at a measured pace: what a peer can make happen as often as it likes must not fill the disk. Some hundred
//! lines may come at once and ten in each second after that; of those that are left out the number is told.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may come at once.
const BURST: f64 = 400.0;
/// Lines in each second, in the long run: at most some ten megabytes in an hour.
const LINES_PER_SECOND: f64 = 10.0;

/// Gives each line of the log its way to stderr, or none.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pace: Arc<Mutex<Pace>>,
}

#[derive(Debug)]
struct Pace {
    lines_left: f64,
    looked: Instant,
    left_out: u64,
}

impl Measured {
    pub(super) fn new() -> Self {
        let pace = Pace { lines_left: BURST, looked: Instant::now(), left_out: 0 };
        Self { pace: Arc::new(Mutex::new(pace)) }
    }
}

impl Pace {
    /// Whether a line may go, and how many before it did not.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.looked).as_secs_f64();
        (self.lines_left, self.looked) = ((self.lines_left + passed * LINES_PER_SECOND).min(BURST), now);
        if self.lines_left < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.lines_left -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<'a> MakeWriter<'a> for Measured {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        let left_out = self.pace.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if let Some(lines @ 1..) = left_out {
            // Nobody is left to be told when stderr is closed.
            let _gone = writeln!(io::stderr(), "{lines} lines are left out here, because so many came at once");
        }
        if left_out.is_some() { Line::Goes } else { Line::LeftOut }
    }
}

/// What becomes of one line.
#[derive(Debug)]
pub(super) enum Line {
    Goes,
    LeftOut,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Goes => io::stderr().write(bytes),
            Self::LeftOut => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_cut_and_counted_and_what_comes_later_goes() {
        let start = Instant::now();
        let mut pace = Pace { lines_left: BURST, looked: start, left_out: 0 };
        let gone = (0..1_000).filter(|_| pace.admit(start).is_some()).count();
        assert_eq!(gone, 400);
        let later = start + Duration::from_secs(1);
        assert_eq!(pace.admit(later), Some(600));
        assert_eq!((0..100).filter(|_| pace.admit(later).is_some()).count(), 9);
        let much_later = later + Duration::from_secs(3600);
        assert_eq!((0..1_000).filter(|_| pace.admit(much_later).is_some()).count(), 400);
    }
}
