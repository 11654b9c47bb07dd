//! Says each of its arguments as a line in the events file that its variables name, opened anew for each. `=TEXT` prints TEXT
//! instead, `*N` says what follows N times, and `-` waits for a line of its input.

use std::fs::OpenOptions;
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let events = std::env::var("POTLUCK_EVENTS").expect("a variable names the events file");
    let mut times = 1;
    for word in std::env::args().skip(1) {
        if let Some(text) = word.strip_prefix('=') {
            println!("{text}");
            io::stdout().flush()?;
        } else if let Some(number) = word.strip_prefix('*') {
            times = number.parse().expect("a number of times");
        } else if word == "-" {
            io::stdin().read_line(&mut String::new())?;
        } else {
            let mut file = OpenOptions::new().append(true).create(true).open(&events)?;
            for _ in 0..std::mem::replace(&mut times, 1) {
                file.write_all(format!("{word}\n").as_bytes())?;
            }
        }
    }
    Ok(())
}
