//! What a run does at the crate's border, with real worker processes: this executable is its own worker. Each test is a
//! function in the table below; arguments that are no flags select tests by name, as with libtest.

#[path = "sandbox/cgroups.rs"]
mod cgroups;
#[path = "sandbox/components.rs"]
mod components;
#[path = "sandbox/containers.rs"]
mod containers;
#[path = "sandbox/contract.rs"]
mod contract;
#[path = "sandbox/endings.rs"]
mod endings;
#[path = "sandbox/engine.rs"]
mod engine;
#[path = "sandbox/engine_answers.rs"]
mod engine_answers;
#[path = "sandbox/escapes.rs"]
mod escapes;
#[path = "sandbox/fake_engine.rs"]
mod fake_engine;
#[path = "sandbox/guests.rs"]
mod guests;
#[path = "sandbox/kept.rs"]
mod kept;
#[path = "sandbox/kit.rs"]
mod kit;
#[path = "sandbox/outcomes.rs"]
mod outcomes;
#[path = "sandbox/session_kills.rs"]
mod session_kills;
#[path = "sandbox/session_kit.rs"]
mod session_kit;
#[path = "sandbox/session_states.rs"]
mod session_states;
#[path = "sandbox/sessions.rs"]
mod sessions;
#[path = "sandbox/streams.rs"]
mod streams;
#[path = "sandbox/waiting.rs"]
mod waiting;
#[path = "sandbox/walls.rs"]
mod walls;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("worker") => return potluck_runtime::worker_main(),
        Some("counted-worker") => return kept::counted_worker(&arguments[1..]),
        Some("escaped-worker") => return escapes::worker(),
        Some("escaped-parent") => return escapes::parent(&arguments[1..]),
        Some("preparer") => return kept::preparer(&arguments[1..]),
        Some("waiting-parent") => return waiting::parent(&arguments[1..]),
        Some("container-parent") => return containers::parent(&arguments[1..]),
        Some("parent") => return endings::parent(&arguments[1..]),
        Some(_) | None => {}
    }
    // As libtest understands them, and nextest asks: none of these tests is ignored.
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let after_format = |at: usize| at > 0 && arguments[at - 1] == "--format";
    let selected: Vec<&String> = arguments
        .iter()
        .enumerate()
        .filter(|(at, argument)| !argument.starts_with("--") && !after_format(*at))
        .map(|(_, argument)| argument)
        .collect();
    let is_selected = |name: &str| match has("--exact") {
        true => selected.iter().any(|part| *part == name),
        false => selected.is_empty() || selected.iter().any(|part| name.contains(part.as_str())),
    };
    let chosen = TABLES.iter().copied().flatten().filter(|(name, _)| is_selected(name) && !has("--ignored"));
    if has("--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run(chosen)
}

const TABLES: &[&[kit::Test]] = &[
    contract::TESTS,
    containers::TESTS,
    engine_answers::TESTS,
    outcomes::TESTS,
    endings::TESTS,
    streams::TESTS,
    kept::TESTS,
    components::TESTS,
    waiting::TESTS,
    walls::TESTS,
    escapes::TESTS,
    cgroups::TESTS,
    sessions::TESTS,
    session_kills::TESTS,
    session_states::TESTS,
];

fn run<'a>(chosen: impl Iterator<Item = &'a kit::Test>) -> ExitCode {
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in chosen {
        let started = std::time::Instant::now();
        let good = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {} ({} ms)", if good { "ok" } else { "FAILED" }, started.elapsed().as_millis());
        if good { passed += 1 } else { failed.push(name) }
    }
    println!("\n{passed} passed; {} failed: {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
