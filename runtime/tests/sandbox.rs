//! What a run does at the crate's border, with real worker processes: this executable is its own worker. Each test is a
//! function in the table below; arguments that are no flags select tests by name, as with libtest.

#[path = "sandbox/guests.rs"]
mod guests;
#[path = "sandbox/kit.rs"]
mod kit;
#[path = "sandbox/outcomes.rs"]
mod outcomes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "worker") {
        return potluck_runtime::worker_main();
    }
    let selected = arguments.iter().filter(|argument| !argument.starts_with("--")).collect::<Vec<_>>();
    let listing = arguments.iter().any(|argument| argument == "--list");
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in outcomes::TESTS {
        if !selected.is_empty() && !selected.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        if listing {
            println!("{name}: test");
            continue;
        }
        let started = std::time::Instant::now();
        let good = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {} ({} ms)", if good { "ok" } else { "FAILED" }, started.elapsed().as_millis());
        if good { passed += 1 } else { failed.push(name) }
    }
    if !listing {
        println!("\n{passed} passed; {} failed: {failed:?}", failed.len());
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
