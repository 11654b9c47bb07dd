//! Says one line, then answers each line it is told, on both outputs: whoever hears the first line before having said
//! anything has proof that output travels while the job runs.

use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    println!("ready");
    io::stdout().flush()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        println!("heard {line}");
        io::stdout().flush()?;
        eprintln!("noted {line}");
    }
    Ok(())
}
