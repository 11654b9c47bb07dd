//! The interpreters that come in this binary. Their bytes are made by `cargo xtask interpreters` from pinned sources and
//! compared with their manifests by a test; a file is laid out for whoever reads by path, named by its content, so that two
//! versions of Potluck share a cache.

use super::{Interpreter, InterpreterError, Manifest, failed};
use potluck_runtime::Digest;
use std::fs;
use std::io::Write;
use std::path::Path;

/// An interpreter of this binary.
#[derive(Debug)]
pub struct Bundled {
    /// What users type after `--env`.
    pub name: &'static str,
    /// Files whose names end so are its scripts.
    pub endings: &'static [&'static str],
    manifest: &'static str,
    program: &'static [u8],
}

/// All of them.
pub const BUNDLED: [Bundled; 2] = [
    Bundled {
        name: "lua",
        endings: &["lua"],
        manifest: include_str!("../../interpreters/lua/environment.toml"),
        program: include_bytes!("../../interpreters/lua/lua.wasm"),
    },
    Bundled {
        name: "javascript",
        endings: &["js", "mjs"],
        manifest: include_str!("../../interpreters/javascript/environment.toml"),
        program: include_bytes!("../../interpreters/javascript/javascript.wasm"),
    },
];

impl Bundled {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        BUNDLED.iter().find(|bundled| bundled.name == name)
    }

    /// What it says of itself.
    ///
    /// # Panics
    /// Never: a test reads all of them.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        Manifest::parse(self.manifest).expect("a test reads every manifest of this binary")
    }

    /// The interpreter, its program in a file of `directory`.
    pub(super) fn interpreter(&self, directory: &Path) -> Result<Interpreter, InterpreterError> {
        let program = directory.join(format!("{}-{}.wasm", self.name, Digest::of(self.program).short()));
        let is_long = fs::metadata(&program).is_ok_and(|metadata| metadata.len() == self.program.len() as u64);
        let is_whole = is_long && fs::read(&program).is_ok_and(|bytes| bytes == self.program);
        if !is_whole {
            let doing = "lay out an interpreter in";
            crate::paths::private_directory(directory).map_err(failed(doing, directory))?;
            let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed(doing, directory))?;
            file.write_all(self.program).map_err(failed(doing, directory))?;
            file.as_file().sync_all().map_err(failed(doing, directory))?;
            file.persist(&program).map_err(|error| failed(doing, directory)(error.error))?;
            self.remove_others(directory, &program);
        }
        Ok(Interpreter { manifest: self.manifest(), program, folder: directory.to_owned(), is_bundled: true })
    }

    /// Removes what other versions of Potluck have laid out of it; one that is still used lays its own out again.
    fn remove_others(&self, directory: &Path, program: &Path) {
        let is_of_ours = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let digest = name.strip_prefix(self.name).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".wasm"));
            digest.is_some_and(|digest| !digest.is_empty() && digest.chars().all(|c| c.is_ascii_hexdigit()))
        };
        let paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        for other in paths.filter(|path| path != program && is_of_ours(path)) {
            if let Err(error) = fs::remove_file(&other) {
                tracing::debug!(path = %other.display(), %error, "an interpreter of another version stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn every_manifest_of_this_binary_is_that_of_its_bytes() {
        for bundled in &BUNDLED {
            let manifest = bundled.manifest();
            assert_eq!(manifest.name, bundled.name);
            assert_eq!(manifest.endings, bundled.endings);
            let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(bundled.program));
            assert_eq!(manifest.program.sha256, Some(sha256), "`cargo xtask interpreters` writes it");
            assert_eq!(manifest.program.size, Some(bundled.program.len() as u64));
            assert!(!manifest.license.is_empty() && manifest.files.is_empty());
        }
    }

    #[test]
    fn a_file_that_is_damaged_is_laid_out_again_and_that_of_another_version_goes() {
        let dir = tempfile::tempdir().unwrap();
        let lua = Bundled::named("lua").unwrap();
        let program = lua.interpreter(dir.path()).unwrap().program;
        let mut flipped = lua.program.to_vec();
        flipped[lua.program.len() / 2] ^= 1;
        for damaged in [&b"cut"[..], &flipped] {
            fs::write(&program, damaged).unwrap();
            fs::write(dir.path().join("lua-0123abcd.wasm"), "of another version").unwrap();
            fs::write(dir.path().join("lua-like-0123abcd.wasm"), "of another name").unwrap();
            assert_eq!(lua.interpreter(dir.path()).unwrap().program, program);
            assert!(fs::read(&program).unwrap() == lua.program);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "what is not its own stays");
        }
    }
}
