//! How each interpreter is compiled. The stack lies below the data, where overflowing it traps instead of overwriting.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// How one interpreter is compiled.
pub(super) struct Recipe {
    /// The environment it is.
    pub(super) name: &'static str,
    /// The crate that carries its sources, and where in it they lie.
    pub(super) package: &'static str,
    pub(super) folder: &'static str,
    /// Which of the sources: these, or all `.c` files.
    files: Option<&'static [&'static str]>,
    /// Files of ours beside its manifest.
    pub(super) own: &'static [&'static str],
    /// Headers of ours that come before everything else.
    pub(super) included: &'static [&'static str],
    pub(super) flags: &'static [&'static str],
    pub(super) libraries: &'static [&'static str],
}

/// All of them.
pub(super) const RECIPES: [Recipe; 2] = [
    Recipe {
        name: "lua",
        package: "lua-src",
        folder: "lua-5.4.9",
        files: None,
        own: &["main.c", "lacking.c"],
        included: &["lacking.h"],
        // Lua's errors are long jumps, which WebAssembly has as exceptions.
        flags: &[
            "-D_WASI_EMULATED_SIGNAL",
            "-D_WASI_EMULATED_PROCESS_CLOCKS",
            "-DLUA_COMPAT_5_3",
            "-mllvm",
            "-wasm-enable-sjlj",
            "-mllvm",
            "-wasm-use-legacy-eh=false",
            "-Wl,-z,stack-size=1048576",
            "-Wl,--stack-first",
            "-Wl,--strip-all",
        ],
        libraries: &["-lsetjmp"],
    },
    Recipe {
        name: "javascript",
        package: "rquickjs-sys",
        folder: "quickjs",
        files: Some(&["libregexp.c", "libunicode.c", "dtoa.c", "quickjs-libc.c"]),
        // `engine.c` includes the engine's own source.
        own: &["engine.c", "main.c"],
        included: &[],
        flags: &[
            "-D_GNU_SOURCE",
            "-DNDEBUG",
            "-D_WASI_EMULATED_SIGNAL",
            "-D_WASI_EMULATED_PROCESS_CLOCKS",
            // Telling a module from a script takes a megabyte at once.
            "-Wl,-z,stack-size=2097152",
            "-Wl,--stack-first",
            "-Wl,--strip-all",
        ],
        libraries: &[],
    },
];

impl Recipe {
    /// The files that are compiled, in the order of their names.
    pub(super) fn sources(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        if let Some(files) = self.files {
            return Ok(files.iter().map(|name| folder.join(name)).collect());
        }
        let context = || format!("cannot read {}", folder.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.extension().is_some_and(|ending| ending == "c") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}
