//! Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run
//! has kept, ends early when somebody cancels it, and gives a result.
//!
//! ```text
//! cargo xtask guests
//! potluck run target/guests/rust-primes.wasm 1000000
//! cargo run --manifest-path examples/rust-primes/Cargo.toml -- 1000000     # outside Potluck
//! ```
//!
//! Exit codes: 0 when it has counted, also when it was cancelled and has counted a part; 2 when its argument is no number.

use std::error::Error;
use std::process::ExitCode;

use potluck_guest::{cancelled, checkpoint, log, progress, restore, result};
use serde::{Deserialize, Serialize};

/// How many numbers are looked at between two checkpoints.
const PIECE_LEN: u64 = 100_000;

/// All that a run needs to know to go on from here.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    /// Where the next piece begins.
    below: u64,
    primes: u64,
    largest: u64,
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "1000000".to_owned());
    let Ok(end) = argument.parse() else {
        eprintln!("usage: rust-primes [NUMBER [FILE]]");
        return ExitCode::from(2);
    };
    let done = run(end).and_then(|line| {
        println!("{line}");
        Ok(std::env::args().nth(2).map_or(Ok(()), |file| std::fs::write(file, line + "\n"))?)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-primes: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, and says what that comes to.
fn run(end: u64) -> Result<String, Box<dyn Error>> {
    let mut count: Count = restore()?.unwrap_or_default();
    if count.below > 0 {
        log!(Info, "goes on"; below = count.below, primes = count.primes);
    }
    while count.below < end && !cancelled() {
        progress(count.below, Some(end), "sieving");
        count.add_piece(end.min(count.below + PIECE_LEN));
        checkpoint(&count)?;
    }
    progress(count.below, Some(end), "sieved");
    result(&count)?;
    Ok(format!("{} primes below {}, the largest {}", count.primes, count.below, count.largest))
}

impl Count {
    /// Counts the primes from where it is to `end`: crosses out the multiples of every number whose square is below it.
    fn add_piece(&mut self, end: u64) {
        let start = self.below.max(2);
        let mut is_prime = vec![true; end.saturating_sub(start) as usize];
        for factor in (2..).take_while(|factor| factor * factor < end) {
            let first = (start.div_ceil(factor) * factor).max(factor * factor);
            for multiple in (first..end).step_by(factor as usize) {
                is_prime[(multiple - start) as usize] = false;
            }
        }
        for (prime, _) in (start..).zip(is_prime).filter(|(_, is_prime)| *is_prime) {
            self.primes += 1;
            self.largest = prime;
        }
        self.below = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_to_the_same_as_the_whole() {
        let (mut whole, mut pieces) = (Count::default(), Count::default());
        whole.add_piece(1000);
        for end in [1, 2, 3, 4, 100, 101, 997, 1000] {
            pieces.add_piece(end);
        }
        assert_eq!(whole, pieces);
        assert_eq!(whole, Count { below: 1000, primes: 168, largest: 997 });
    }

    #[test]
    fn what_is_kept_can_be_taken_up() {
        let count = Count { below: 10, primes: 4, largest: 7 };
        let kept = serde_json::to_vec(&count).unwrap();
        assert_eq!(serde_json::from_slice::<Count>(&kept).unwrap(), count);
    }
}
