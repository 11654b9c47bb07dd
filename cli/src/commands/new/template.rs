//! What a new job is made of: files of `cli/templates`, and the words of its language from `guest-sdk`, so that it needs no
//! registry for them.

use super::Language;

/// One file of a template, whose path and text may have places for names.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) text: &'static str,
}

/// What a job is called.
#[derive(Debug)]
pub(super) struct Names {
    /// As it was typed.
    pub(super) name: String,
    /// As an identifier.
    pub(super) module: String,
}

impl Names {
    /// A text with its places filled.
    pub(super) fn put_into(&self, text: &str) -> String {
        text.replace("@NAME@", &self.name).replace("@MODULE@", &self.module)
    }
}

const fn file(path: &'static str, text: &'static str) -> File {
    File { path, text }
}

/// The input that every template reads.
const NUMBERS: &str = include_str!("../../../templates/numbers.txt");
const CONTRACT: &str = include_str!("../../../../guest-sdk/CONTRACT.md");

const RUST: &[File] = &[
    file("README.md", include_str!("../../../templates/rust/README.md.in")),
    file(".gitignore", include_str!("../../../templates/rust/gitignore")),
    file("Cargo.toml", include_str!("../../../templates/rust/Cargo.toml.in")),
    file("src/main.rs", include_str!("../../../templates/rust/main.rs.in")),
    file("numbers.txt", NUMBERS),
    file("potluck-guest/Cargo.toml", include_str!("../../../templates/rust/potluck-guest.toml")),
    file("potluck-guest/CONTRACT.md", CONTRACT),
    file("potluck-guest/src/lib.rs", include_str!("../../../../guest-sdk/src/lib.rs")),
    file("potluck-guest/src/abi.rs", include_str!("../../../../guest-sdk/src/abi.rs")),
    file("potluck-guest/src/progress.rs", include_str!("../../../../guest-sdk/src/progress.rs")),
    file("potluck-guest/src/log.rs", include_str!("../../../../guest-sdk/src/log.rs")),
    file("potluck-guest/src/outcome.rs", include_str!("../../../../guest-sdk/src/outcome.rs")),
    file("potluck-guest/src/checkpoint.rs", include_str!("../../../../guest-sdk/src/checkpoint.rs")),
    file("potluck-guest/src/job.rs", include_str!("../../../../guest-sdk/src/job.rs")),
];

const C: &[File] = &[
    file("README.md", include_str!("../../../templates/c/README.md.in")),
    file(".gitignore", include_str!("../../../templates/c/gitignore")),
    file("Makefile", include_str!("../../../templates/c/Makefile.in")),
    file("@NAME@.c", include_str!("../../../templates/c/main.c.in")),
    file("numbers.txt", NUMBERS),
    file("potluck.h", include_str!("../../../../guest-sdk/c/potluck.h")),
];

const PYTHON: &[File] = &[
    file("README.md", include_str!("../../../templates/python/README.md.in")),
    file(".gitignore", include_str!("../../../templates/python/gitignore")),
    file("@MODULE@.py", include_str!("../../../templates/python/main.py.in")),
    file("test_@MODULE@.py", include_str!("../../../templates/python/test_main.py.in")),
    file("numbers.txt", NUMBERS),
    file("potluck.py", include_str!("../../../../guest-sdk/python/potluck.py")),
    file("potluck.pyi", include_str!("../../../../guest-sdk/python/potluck.pyi")),
];

/// All files of a language's template.
pub(super) fn files(language: Language) -> &'static [File] {
    match language {
        Language::Rust => RUST,
        Language::C => C,
        Language::Python => PYTHON,
    }
}

/// What to type next, inside the directory.
pub(super) fn next(language: Language) -> &'static [&'static str] {
    match language {
        Language::Rust => &[
            "cargo test",
            "rustup target add wasm32-wasip1     # once",
            "cargo build --release --target wasm32-wasip1",
            "potluck run -f numbers.txt target/wasm32-wasip1/release/@NAME@.wasm numbers.txt",
        ],
        Language::C => &[
            "make test",
            "make                                # needs a wasi-sdk, see README.md",
            "potluck run -f numbers.txt @NAME@.wasm numbers.txt",
        ],
        Language::Python => &["python3 -m unittest", "potluck run -f numbers.txt @MODULE@.py numbers.txt"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_words_of_rust_are_there_to_the_last_file() {
        let sources = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/src")).unwrap();
        for source in sources {
            let name = source.unwrap().file_name().into_string().unwrap();
            let path = format!("potluck-guest/src/{name}");
            assert!(RUST.iter().any(|file| file.path == path), "{path} is in no template");
        }
    }
}
