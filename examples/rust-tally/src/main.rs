//! Adds up orders: prices come from a file, orders from standard input, and the receipt goes to a file.
//!
//! ```text
//! cargo xtask guests
//! potluck run -f examples/rust-tally/prices.txt -o out \
//!     target/guests/rust-tally.wasm prices.txt receipt.txt < examples/rust-tally/orders.txt
//! ```
//!
//! Exit codes: 0 when every order was added, 2 when the command line or a file is wrong, 3 when an order names
//! something that has no price (the others are still added).

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use potluck_guest::abi;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prices, receipt] = arguments.as_slice() else {
        eprintln!("usage: rust-tally PRICES RECEIPT < ORDERS");
        return ExitCode::from(2);
    };
    match tally(Path::new(prices), Path::new(receipt)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
        Err(error) => {
            eprintln!("rust-tally: {error}");
            ExitCode::from(2)
        }
    }
}

/// Writes the receipt and returns how many orders had no price.
fn tally(prices: &Path, receipt: &Path) -> Result<usize, Box<dyn Error>> {
    let prices = read_prices(prices)?;
    // The draft is written in the scratch directory, which never travels back, and only a whole receipt is kept.
    let draft = Path::new(abi::TEMP_DIR).join("receipt.draft");
    let mut out = BufWriter::new(File::create(&draft)?);
    let (mut total_cents, mut orders, mut unknown) = (0, 0, 0);
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let (count, item) = line.trim().split_once(' ').ok_or_else(|| format!("not an order: {line:?}"))?;
        let count: u64 = count.parse().map_err(|_| format!("not a number of pieces: {count:?}"))?;
        let Some(cents) = prices.get(item) else {
            eprintln!("no price for {item}");
            unknown += 1;
            continue;
        };
        writeln!(out, "{count:>4} x {item:<12}{:>10}", euros(count * cents))?;
        total_cents += count * cents;
        orders += 1;
    }
    writeln!(out, "{:<19}{:>10}", "total", euros(total_cents))?;
    out.into_inner()?.sync_all()?;
    fs::copy(&draft, receipt)?;
    println!("{orders} orders, total {}", euros(total_cents));
    Ok(unknown)
}

/// Each line is `NAME CENTS`.
fn read_prices(path: &Path) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, cents) = line.trim().rsplit_once(' ').ok_or_else(|| format!("not a price: {line:?}"))?;
            Ok((name.to_owned(), cents.parse()?))
        })
        .collect()
}

fn euros(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
