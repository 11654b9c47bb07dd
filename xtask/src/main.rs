//! The project's chores, run as `cargo xtask COMMAND`.
//!
//! It builds nothing that ships and knows nothing of wasmtime, so that it compiles in seconds; everything it makes
//! lies under `target/`. Each chore prints the commands it runs on stderr and ends with the first one that fails.

mod check;
mod command;
mod deny;
mod fuzz;
mod guests;
mod interpreters;
mod measure;
mod packages;
mod test;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::bail;

use crate::workspace::Workspace;

const HELP: &str = "\
usage: cargo xtask COMMAND

  guests    compile the Rust and C guests to target/guests/*.wasm
  interpreters  compile the interpreters that come in the binary anew, from pinned sources
  test      build what the tests need, then run all of them
  env       print the variables that the tests read, for eval in a shell
  fuzz      run the fuzz targets for a while each (TARGET..., --seconds N, --jobs N, --merge)
  tidy      check the house rules: crate order, headers, sizes, forbidden words
  deny      check licences, sources and versions of the dependencies (deny.toml)
  check     fmt, tidy, deny, clippy and doc, with warnings as errors
  ci        check, then test
  bench     measure warm runs against native Python; `bench map` maps of tiny tasks, `bench pause` how soon a machine is
            its owner's again (other arguments go to benches/compare.py, map.py or pause.py)
";

fn main() -> ExitCode {
    if std::env::var_os(fuzz::AS_RUSTC).is_some() {
        return fuzz::be_rustc().unwrap_or_else(|error| {
            eprintln!("xtask as rustc: {error:#}");
            ExitCode::FAILURE
        });
    }
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    match run(&name, arguments.collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    if !arguments.is_empty() && !matches!(name, "test" | "bench" | "fuzz") {
        bail!("takes no arguments, not {arguments:?}");
    }
    match name {
        "guests" => guests::build(&workspace)?,
        "interpreters" => interpreters::build(&workspace)?,
        "test" => test::run_all(&workspace, &arguments)?,
        "fuzz" => fuzz::run_all(&workspace, &arguments)?,
        "env" => test::print_environment(&workspace),
        "tidy" => tidy::check(&workspace)?,
        "deny" => deny::check(&workspace)?,
        "check" => check::run_all(&workspace)?,
        "ci" => {
            check::run_all(&workspace)?;
            test::run_all(&workspace, &[])?;
        }
        "bench" => measure::run_comparison(&workspace, &arguments)?,
        "help" | "--help" | "-h" => print!("{HELP}"),
        _ => {
            eprint!("{HELP}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
