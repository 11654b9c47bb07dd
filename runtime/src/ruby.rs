//! Makes a WASI command of Ruby as it is published: a reactor that leaves its start to JavaScript, and imports it.
//!
//! What comes out, always: `_start` begins the interpreter, gives it the command's arguments, and has it run `start.rb`, which
//! runs the script. What the module imports beside WASI is gone: handles of Ruby's own values are the values themselves, and
//! whatever would speak to JavaScript traps. The same bytes in give the same bytes out. This is pure: it opens no file and runs
//! nothing.

mod encode;
mod entry;
mod outline;

use encode::Encoder;
use outline::Outline;

/// The longest module that is taken, in bytes; the result takes about as much again.
const PROGRAM_BYTES_MAX: usize = 256 << 20;

/// A module cannot be made a command of.
#[derive(Debug, thiserror::Error)]
pub enum RubyError {
    /// More than is taken.
    #[error("it is {0} bytes long, and at most {PROGRAM_BYTES_MAX} are taken")]
    TooLong(usize),
    /// It is no WebAssembly.
    #[error("it is damaged")]
    Damaged(#[source] wasmparser::Error),
    /// It is none that can be written again.
    #[error("it cannot be written again: {0}")]
    Unwritable(&'static str),
    /// It is no Ruby, or another one than this is for.
    #[error("it has no {0}, and Ruby is started by it")]
    Lacks(&'static str),
    /// It needs what is no function.
    #[error("it imports '{0}', which is no function")]
    Imports(String),
}

/// Makes a command of a reactor.
///
/// # Errors
/// [`RubyError`]: it is not what Ruby is published as.
pub fn ruby_command(reactor: &[u8]) -> Result<Vec<u8>, RubyError> {
    if reactor.len() > PROGRAM_BYTES_MAX {
        return Err(RubyError::TooLong(reactor.len()));
    }
    Encoder::new(&Outline::read(reactor)?).encode(reactor)
}

impl From<wasmparser::Error> for RubyError {
    fn from(error: wasmparser::Error) -> Self {
        Self::Damaged(error)
    }
}

#[cfg(test)]
mod tests;
