//! What runs a submission's program: said by the name of an environment, or by the ending of the program's.

use super::failure::SubmitError;
use super::submission::Submission;
use crate::interpreters::{Fetchable, Interpreter, InterpreterError, Interpreters, PYTHON};
use crate::paths::Paths;
use std::path::Path;

/// The submission with its interpreter, if it needs one that comes along. What is Python's, or a program by itself, is left as
/// it is.
pub(super) fn resolve(paths: &Paths, submission: Submission) -> Result<Submission, SubmitError> {
    if submission.interpreter.is_some() || submission.container.is_some() {
        return Ok(submission);
    }
    let interpreters = Interpreters::of(paths);
    let found = match &submission.environment {
        Some(name) if name == PYTHON => None,
        Some(name) => Some(named(&interpreters, name, &submission.program)?),
        // A folder is Python's, whatever it is called.
        None if submission.program.is_dir() => None,
        None => match ending(&submission.program).as_str() {
            "" | "py" | "wasm" => None,
            ending => interpreters.of_ending(ending).map_err(|error| refuse(&submission.program, &error))?,
        },
    };
    Ok(Submission { interpreter: found, ..submission })
}

/// What a name ends in, after its last dot.
pub(super) fn ending(program: &Path) -> String {
    program.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase()
}

fn named(interpreters: &Interpreters, name: &str, program: &Path) -> Result<Interpreter, SubmitError> {
    let found = interpreters.named(name).map_err(|error| refuse(program, &error))?;
    let why = || match Fetchable::named(name) {
        Some(_) => format!("the environment {name} is not here; `potluck env add {name}` fetches it"),
        None => format!(
            "there is no environment {name:?}; there are: {}; `potluck env add {name} --from FILE` adds one",
            interpreters.known()
        ),
    };
    found.ok_or_else(|| SubmitError::BadProgram { program: program.display().to_string(), why: why() })
}

fn refuse(program: &Path, error: &InterpreterError) -> SubmitError {
    SubmitError::BadProgram { program: program.display().to_string(), why: crate::service::chain(error) }
}
