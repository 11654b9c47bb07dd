//! Compilers that users of `potluck new` have: cargo and a C compiler for this machine, and those for guests, which `cargo xtask
//! guests` found or made. None fetches anything.

use crate::artifacts::target;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a calling cargo has set for its own build.
const FOREIGN: [&str; 4] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"];

/// A directory that stays, below the target directory: what is built anew in the same place is built fast.
#[must_use]
pub fn lasting(name: &str) -> PathBuf {
    target().join("test-data").join(name)
}

/// A cargo for programs of this machine, which share what they depend on.
#[must_use]
pub fn native_cargo() -> Command {
    cargo(&env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from), "native")
}

/// A cargo that has the target of guests.
#[must_use]
pub fn guest_cargo() -> Command {
    let made = target().join("guest-toolchain/rust/bin/cargo");
    if made.is_file() { cargo(&made, "module") } else { cargo(Path::new("cargo"), "module") }
}

/// A directory like a wasi-sdk's.
#[must_use]
pub fn wasi_sdk() -> PathBuf {
    let named = [env::var_os("WASI_SDK_PATH").map(PathBuf::from), Some("/opt/wasi-sdk".into())];
    let present = named.into_iter().flatten().find(|sdk| sdk.join("bin/clang").is_file());
    present.unwrap_or_else(|| target().join("guest-toolchain/c"))
}

/// Runs a command to its end and returns what it wrote to stdout.
///
/// # Panics
/// When it cannot be run, or fails.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{} of {command:?}\nstdout:\n{out}\nstderr:\n{err}", output.status);
    out
}

fn cargo(program: &Path, kind: &str) -> Command {
    let mut command = Command::new(program);
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    // Beside other tests: one processor is enough.
    command.env("CARGO_BUILD_JOBS", "1");
    command.env("CARGO_TARGET_DIR", target().join("guest-build").join(kind)).env("CARGO_NET_OFFLINE", "true");
    command
}
