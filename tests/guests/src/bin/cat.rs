//! Copies stdin to stdout until it ends, holding one buffer's worth at a time.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return output.flush();
        }
        output.write_all(&buffer[..count])?;
        output.flush()?;
    }
}
