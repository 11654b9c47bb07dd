//! Counts to its first argument and prints it. Each step burns fuel; after every so many steps, which its second argument says,
//! it keeps how far it is, as a file of so many bytes, and it goes on from what it kept. A third argument is a step at which it
//! waits until it is asked to end, after which it leaves a file; it does not wait when it goes on from what it kept.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};

/// Fuel of a step, in turns of a loop.
const TURNS: u64 = 2_000_000;

fn main() -> io::Result<()> {
    let number = |at| std::env::args().nth(at).map(|word| word.parse::<u64>().expect("a number"));
    let (top, every, waits_at) = (number(1).expect("how far"), number(2).unwrap_or(u64::MAX), number(3));
    let restored = std::env::var("POTLUCK_RESTORE").ok();
    let mut step = restored.as_ref().map_or(Ok(0), |path| fs::metadata(path).map(|file| file.len()))?;
    println!("from {step}");
    io::stdout().flush()?;
    while step < top {
        if waits_at == Some(step) && restored.is_none() {
            wait()?;
            fs::write("left.txt", step.to_string())?;
            return say(&format!("{{\"result\":{step}}}"));
        }
        burn(step);
        step += 1;
        if step % every == 0 {
            fs::write("state.bin", vec![1; step as usize])?;
            say("{\"checkpoint\":{\"file\":\"state.bin\"}}")?;
            // The host has its copy.
            fs::write("state.bin", "no state")?;
        }
    }
    println!("{step}");
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let path = std::env::var("POTLUCK_EVENTS").expect("a variable names the events file");
    OpenOptions::new().append(true).create(true).open(path)?.write_all(format!("{line}\n").as_bytes())
}

/// Waits until somebody asks it to end.
fn wait() -> io::Result<()> {
    let path = std::env::var("POTLUCK_CONTROL").expect("a variable names the control file");
    assert_eq!(fs::read_to_string(&path)?, "", "nobody has asked yet");
    println!("waits");
    io::stdout().flush()?;
    while !fs::read_to_string(&path)?.lines().any(|line| line == "cancel") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(())
}

fn burn(seed: u64) {
    let mut number = seed;
    for _ in 0..TURNS {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
