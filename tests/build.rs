//! Makes it a compile error to forget a test: every guest and every example must have a test of its name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let crate_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    let mut tests = names(&crate_dir.join("guests/src/bin"), "guests");
    tests.extend(names(&crate_dir.join("../examples"), "examples"));
    let list: String = tests.iter().map(|test| format!("    crate::{test},\n")).collect();
    let text = format!("const _: &[fn()] = &[\n{list}];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    fs::write(out.join("every_guest_has_a_test.rs"), text).expect("the output directory can be written to");
}

/// `module::name` for each program in `directory`: a source file, or a directory of its own.
fn names(directory: &Path, module: &str) -> BTreeSet<String> {
    println!("cargo::rerun-if-changed={}", directory.display());
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let programs = entries.map(|entry| entry.path()).filter(|path| is_program(path));
    programs.filter_map(|path| Some(format!("{module}::{}", path.file_stem()?.to_str()?.replace('-', "_")))).collect()
}

fn is_program(path: &Path) -> bool {
    if !path.is_dir() {
        return path.extension().is_some_and(|extension| extension == "rs" || extension == "py");
    }
    path.file_name().is_some_and(|name| name != "expected" && name != "target")
}
