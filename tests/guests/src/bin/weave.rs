//! Writes numbered lines to stdout and stderr in turn, as many as its argument says.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let count: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).expect("the argument is a number");
    for number in 0..count {
        if number % 2 == 0 {
            println!("{number}");
            io::stdout().flush()?;
        } else {
            eprintln!("{number}");
        }
    }
    Ok(())
}
