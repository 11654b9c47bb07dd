//! What was typed from PROGRAM on. Everything there belongs to the program, with two exceptions that stand directly
//! after PROGRAM: `--on PEER`, because people say "run this on that", and `--`, which ends the exceptions. Where a
//! machine was chosen before PROGRAM already, `--on` too is the program's, so a script may write
//! `potluck run --on any tool.py "$@"`.

use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

// PROGRAM and all that follows it. No doc comment: it would be taken for what a command with these words does.
#[derive(Args, Clone, Debug)]
pub(in crate::commands) struct WordsArgs {
    /// file.py, file.wasm, or a directory with __main__.py; then the program's own arguments
    #[arg(value_names = ["PROGRAM", "ARGS"], required = true, num_args = 1.., trailing_var_arg = true,
          allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub(in crate::commands) words: Vec<OsString>,
}

/// PROGRAM, where to run it, and what it is given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) on: Option<String>,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

impl Line {
    /// Reads the words from PROGRAM on; `on` was typed before them. The error is a sentence.
    pub(super) fn read(on: Option<String>, words: Vec<OsString>) -> Result<Self, String> {
        let (program, args) = program_and_args(words)?;
        let (on, taken) = after_program(on, &args)?;
        Ok(Self { on, program, args: args[taken..].to_vec() })
    }
}

/// PROGRAM and all that stands after it.
pub(in crate::commands) fn program_and_args(words: Vec<OsString>) -> Result<(PathBuf, Vec<String>), String> {
    let mut words = words.into_iter();
    let program = words.next().filter(|word| !word.is_empty()).ok_or("PROGRAM is missing")?;
    let args: Result<Vec<String>, OsString> = words.map(OsString::into_string).collect();
    let args = args.map_err(|arg| format!("the argument {} is not UTF-8", arg.display()))?;
    Ok((program.into(), args))
}

/// The machine, and how many of the words after PROGRAM are Potluck's.
fn after_program(on: Option<String>, args: &[String]) -> Result<(Option<String>, usize), String> {
    match args.first().map(String::as_str) {
        Some("--") => Ok((on, 1)),
        Some("--on") if on.is_none() => match args.get(1) {
            Some(peer) => Ok((Some(machine(peer)?), 2)),
            None => Err("`--on` needs the name of a machine, `any` or `local`".to_owned()),
        },
        Some(first) if on.is_none() => match first.strip_prefix("--on=") {
            Some(peer) => Ok((Some(machine(peer)?), 1)),
            None => Ok((None, 0)),
        },
        _ => Ok((on, 0)),
    }
}

/// The name of a machine; an empty one is a variable that was not set.
pub(in crate::commands) fn machine(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("the name of a machine, `any` or `local` is expected, not an empty text".to_owned());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(on: Option<&str>, words: &[&str]) -> Result<Line, String> {
        Line::read(on.map(str::to_owned), words.iter().map(OsString::from).collect())
    }

    fn line(on: Option<&str>, args: &[&str]) -> Result<Line, String> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Ok(Line { on: on.map(str::to_owned), program: "x.py".into(), args })
    }

    #[test]
    fn a_machine_may_be_named_directly_after_the_program() {
        assert_eq!(read(None, &["x.py", "--on", "attic", "-v"]), line(Some("attic"), &["-v"]));
        assert_eq!(read(None, &["x.py", "--on=attic"]), line(Some("attic"), &[]));
        assert_eq!(read(None, &["x.py", "--on", "attic", "--on", "b"]), line(Some("attic"), &["--on", "b"]));
    }

    #[test]
    fn a_machine_named_later_is_an_argument_of_the_program() {
        assert_eq!(read(None, &["x.py", "a", "--on", "b"]), line(None, &["a", "--on", "b"]));
        assert_eq!(read(None, &["x.py", "--only", "b"]), line(None, &["--only", "b"]));
    }

    #[test]
    fn two_dashes_after_the_program_pass_everything_on() {
        assert_eq!(read(None, &["x.py", "--", "--on", "b"]), line(None, &["--on", "b"]));
        assert_eq!(read(Some("attic"), &["x.py", "--", "-x"]), line(Some("attic"), &["-x"]));
        assert_eq!(read(None, &["x.py", "--", "--"]), line(None, &["--"]));
        assert_eq!(read(None, &["x.py", "a", "--", "b"]), line(None, &["a", "--", "b"]));
    }

    #[test]
    fn a_machine_chosen_before_the_program_leaves_all_to_the_program() {
        assert_eq!(read(Some("attic"), &["x.py", "--on", "b"]), line(Some("attic"), &["--on", "b"]));
    }

    #[test]
    fn a_machine_without_a_name_is_refused() {
        for words in [&["x.py", "--on"][..], &["x.py", "--on", ""], &["x.py", "--on="], &[""], &[]] {
            assert!(read(None, words).is_err(), "{words:?}");
        }
    }
}
