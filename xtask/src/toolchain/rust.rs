//! A Rust compiler for guests from packages: Debian's newest rustc and cargo with the standard library's sources, from
//! which the library for the guest's target is compiled, and wasi-libc from a Python wheel.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{RUST_TARGET, debian, pypi, stamp};
use crate::command::{read, run};

/// Changed whenever the steps below change, so that what was made before is made again.
const RECIPE: &str = "rust 1";

const START: &str = include_str!("../../start/command.rs");

/// Debian's rolling Rust; the packages named after the plain language are years older.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Set by a calling cargo or rustup, and wrong for the compiler made here.
const FOREIGN_VARIABLES: &str = "RUSTUP_TOOLCHAIN RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_ENCODED_RUSTFLAGS \
     CARGO_BUILD_TARGET";

/// The cargo, once it is made. It brings its rustc along.
pub(crate) fn cargo(prefix: &Path) -> PathBuf {
    prefix.join("bin/cargo")
}

/// Whether it was made whole earlier.
pub(crate) fn is_made(prefix: &Path) -> bool {
    stamp::is_valid(prefix, RECIPE)
}

/// Makes it below `prefix`, once: 140 MB of downloads, about a minute of two cores, 500 MB of disk.
pub(crate) fn make(prefix: &Path) -> Result<()> {
    stamp::make_once(prefix, RECIPE, || {
        debian::prepare(PACKAGES[0])?;
        let downloads = prefix.join("downloads");
        let llvm = unpack_packages(prefix, &downloads)?;
        write_wrappers(prefix, &llvm)?;
        let libc = downloads.join("libc");
        pypi::unpack(pypi::WASI_LIBC, &libc)?;
        let libc = libc.join(pypi::WASI_LIBC_SYSROOT).join("lib").join(RUST_TARGET).join("libc.a");
        compile_standard_library(prefix, &libc)?;
        for done in ["downloads", "std-build", "usr/src", "usr/lib/rustlib/src", "usr/share"] {
            fs::remove_dir_all(prefix.join(done)).with_context(|| format!("cannot remove {done}"))?;
        }
        Ok(())
    })
}

/// Unpacks rustc, cargo, the sources, and a linker of the LLVM they were built with, whose version it returns.
fn unpack_packages(prefix: &Path, downloads: &Path) -> Result<String> {
    let library = debian::dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = debian::dependency(&library, "libllvm")?;
    let version = llvm.trim_start_matches("libllvm").to_owned();
    let linker = format!("lld-{version}");
    let mut wanted = PACKAGES.to_vec();
    wanted.extend(["libstd-rust-web-dev", &library, &llvm, &linker]);
    let packages = debian::with_missing_dependencies(&wanted)?;
    for package in debian::download(&packages, downloads)? {
        debian::unpack(&package, prefix)?;
    }
    Ok(version)
}

/// Programs that find the unpacked shared libraries.
fn write_wrappers(prefix: &Path, llvm: &str) -> Result<()> {
    let root = prefix.join("usr");
    let root = root.display();
    let libraries = format!("export LD_LIBRARY_PATH=\"$(echo {root}/lib/*-linux-gnu)\"");
    let bin = prefix.join("bin");
    for (program, more) in
        [("rustc", String::new()), ("cargo", format!("export RUSTC={}/rustc CARGO={0}/cargo\n", bin.display()))]
    {
        let text =
            format!("#!/bin/sh\nunset {FOREIGN_VARIABLES}\n{libraries}\n{more}exec {root}/bin/{program} \"$@\"\n");
        write_program(&bin.join(program), &text)?;
    }
    let rustc = bin.join("rustc");
    let tools = read(Command::new(&rustc).args(["--print", "target-libdir"]))?;
    let tools = Path::new(&tools).parent().context("the unpacked rustc has no sysroot")?.join("bin");
    let linker = format!("#!/bin/sh\n{libraries}\nexec {root}/lib/llvm-{llvm}/bin/lld \"$@\"\n");
    write_program(&tools.join("rust-lld"), &linker)
}

/// What the Rust project's own bootstrap does: build the crate `sysroot` and take every library.
fn compile_standard_library(prefix: &Path, libc: &Path) -> Result<()> {
    let rustlib = prefix.join("usr/lib/rustlib");
    let out = rustlib.join(RUST_TARGET).join("lib");
    let own = out.join("self-contained");
    fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
    let build = prefix.join("std-build");
    let mut command = Command::new(cargo(prefix));
    command.args(["build", "--quiet", "--locked", "--profile", "dist", "--package", "sysroot"]);
    command.args(["--features", "panic-unwind backtrace", "--target", RUST_TARGET]);
    command.arg("--manifest-path").arg(rustlib.join("src/rust/library/sysroot/Cargo.toml"));
    command.arg("--target-dir").arg(&build);
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zforce-unstable-if-unmarked");
    command.env("CARGO_PROFILE_DIST_DEBUG", "0").env("__CARGO_DEFAULT_LIB_METADATA", "wasi");
    run(&mut command)?;
    for entry in fs::read_dir(build.join(RUST_TARGET).join("dist/deps"))? {
        let file = entry?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".rlib") && !name.starts_with("libsysroot-") {
            fs::copy(&file, out.join(name)).with_context(|| format!("cannot take {name}"))?;
        }
    }
    fs::copy(libc, own.join("libc.a")).context("the wheel holds no libc.a")?;
    compile_start(prefix, &own.join("crt1-command.o"))
}

fn compile_start(prefix: &Path, object: &Path) -> Result<()> {
    let source = prefix.join("start.rs");
    fs::write(&source, START)?;
    let mut command = Command::new(prefix.join("bin/rustc"));
    command.args(["--edition", "2024", "--crate-name", "start", "--crate-type", "lib", "--emit", "obj"]);
    command.args(["--target", RUST_TARGET, "-C", "opt-level=2", "-C", "panic=abort", "-C", "codegen-units=1"]);
    run(command.arg("-o").arg(object).arg(&source))
}

/// Writes an executable script.
pub(crate) fn write_program(path: &Path, text: &str) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(context)?;
    }
    fs::write(path, text).with_context(context)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(context)
}
