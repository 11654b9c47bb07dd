//! Takes without end of what its argument names, after one line that says so. Only a limit can end it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

fn main() -> io::Result<()> {
    let what = std::env::args().nth(1).expect("the argument says what to take");
    println!("taking {what}");
    io::stdout().flush()?;
    match what.as_str() {
        "fuel" => spin(),
        "sleep" => sleep(Duration::from_secs(1_000_000)),
        "memory" => memory(),
        "output" => output()?,
        "disk" => disk("big.bin")?,
        "tmp" => disk("/tmp/big.bin")?,
        "many-files" => many_files()?,
        "open-files" => open_files()?,
        "deep" => chain("d")?,
        "long" => chain(&"n".repeat(100))?,
        other => panic!("nothing is called {other}"),
    }
    println!("took {what}");
    Ok(())
}

fn spin() {
    let mut number = 1u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

fn memory() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to, so that the pages are really there.
        kept.push(vec![kept.len() as u8 | 1; 1 << 20]);
        std::hint::black_box(&kept);
    }
}

fn output() -> io::Result<()> {
    let block = vec![b'x'; 64 * 1024];
    loop {
        io::stdout().write_all(&block)?;
    }
}

fn disk(path: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = vec![b'x'; 64 * 1024];
    loop {
        file.write_all(&block)?;
    }
}

fn many_files() -> io::Result<()> {
    for number in 0u64.. {
        fs::create_dir(format!("d{number}"))?;
        fs::write(format!("d{number}/f"), b"")?;
    }
    Ok(())
}

fn open_files() -> io::Result<()> {
    fs::write("one", b"1")?;
    let mut open = Vec::new();
    loop {
        open.push(File::open("one")?);
    }
}

/// Each directory inside the one before.
fn chain(name: &str) -> io::Result<()> {
    let mut path = std::path::PathBuf::new();
    loop {
        path.push(name);
        fs::create_dir(&path)?;
    }
}
