//! `potluck new`: a directory with a job to begin from, which builds, tests itself and runs as it is.
//!
//! Always true: nothing is written but one new directory of a checked name in the current one, whole or not at all.

mod template;

use crate::{exit, render};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use template::Names;

/// A name becomes that of a package, a module, a file and a target of make, which all take so many bytes.
const NAME_LEN_MAX: usize = 64;
/// What neither of the languages takes as a name, or what hides something of theirs.
#[rustfmt::skip]
const TAKEN: &[&str] = &[
    "abstract", "alloc", "and", "as", "assert", "async", "await", "become", "box", "break", "build", "class", "const",
    "continue", "core", "crate", "def", "del", "deps", "do", "dyn", "elif", "else", "enum", "examples", "except",
    "extern", "false", "final", "finally", "fn", "for", "from", "gen", "global", "if", "impl", "import", "in",
    "incremental", "is", "lambda", "let", "loop", "macro", "match", "mod", "move", "mut", "nonlocal", "not", "or",
    "pass", "potluck", "potluck_guest", "priv", "proc_macro", "pub", "raise", "ref", "return", "self", "serde",
    "static", "std", "struct", "super", "test", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "with", "yield",
];

const EXAMPLES: &str = "\
Examples:
  potluck new rust word-count      a directory word-count with a Rust program and its tests
  potluck new c columns            the same in C, with a Makefile
  potluck new python report        the same in Python: nothing to build

The program adds up the numbers of a file. On the way it shows how a job says how far it is, keeps \
its state, notes what is odd, and gives a result. README.md in the directory has the commands that \
build, test and run it.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NewArgs {
    /// In which language
    #[arg(value_enum)]
    language: Language,
    /// What the job is called, and its directory
    name: String,
}

/// A language with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Compiled by cargo for wasm32-wasip1
    Rust,
    /// Compiled by clang, with a Makefile
    C,
    /// Nothing to compile
    Python,
}

pub(crate) fn execute(args: &NewArgs) -> anyhow::Result<u8> {
    let names = names(args.language, &args.name)?;
    let directory = Path::new(&names.name);
    match fs::create_dir(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is here already; choose another name, or remove it first", names.name)
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make the directory {}", names.name)),
    }
    if let Err(error) = write_all(args.language, &names, directory) {
        // Nothing but what was written just now lies in it; an error of this is no help.
        let _left = fs::remove_dir_all(directory);
        return Err(error);
    }
    let next = template::next(args.language).iter().map(|line| format!("  {}\n", names.put_into(line)));
    render::print(&format!(
        "{0} is a job now. README.md in it says more.\n  cd {0}\n{1}",
        names.name,
        next.collect::<String>()
    ))?;
    Ok(exit::SUCCESS)
}

fn write_all(language: Language, names: &Names, directory: &Path) -> anyhow::Result<()> {
    for file in template::files(language) {
        let path = directory.join(names.put_into(file.path));
        let context = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(context)?;
        }
        fs::write(&path, names.put_into(file.text)).with_context(context)?;
    }
    Ok(())
}

/// The name, checked, in the forms that files want it.
fn names(language: Language, name: &str) -> anyhow::Result<Names> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.contains(['/', '\\']) {
        bail!("{name} is a path; go to the directory that is to hold the new one, and give a name alone");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_word) || name.len() > NAME_LEN_MAX {
        bail!(
            "{name:?} cannot be a job's name: it begins with a small letter, goes on with small letters, digits, - and _, and has \
             at most {NAME_LEN_MAX} of them"
        );
    }
    let module = name.replace('-', "_");
    let hides_a_module = language == Language::Python && potluck_runtime::is_python_module(&module);
    if TAKEN.contains(&module.as_str()) || hides_a_module {
        bail!("{name} means something else in {}; choose another name, {name}-job for example", language.spoken());
    }
    Ok(Names { name: name.to_owned(), module })
}

impl Language {
    fn spoken(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Python => "Python",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Language; 3] = [Language::Rust, Language::C, Language::Python];

    #[test]
    fn a_name_is_one_word_that_every_tool_takes() {
        for name in ["a", "word-count", "x_2", &"a".repeat(NAME_LEN_MAX)] {
            assert!(ALL.iter().all(|&language| names(language, name).is_ok()), "{name}");
        }
        for name in [
            "", ".", "..", "../x", "a/b", "/tmp/x", "a\\b", "-x", "_x", "1x", "X", "ä", "a b", "a.b", "a\0", "a\n",
            "fn", "class",
        ] {
            assert!(ALL.iter().all(|&language| names(language, name).is_err()), "{name:?}");
        }
        assert!(names(Language::Rust, &"a".repeat(NAME_LEN_MAX + 1)).is_err());
    }

    #[test]
    fn a_script_does_not_take_the_place_of_a_module_it_may_need() {
        for name in ["json", "numpy", "typing-extensions"] {
            assert!(names(Language::Python, name).is_err(), "{name}");
            assert!(names(Language::C, name).is_ok(), "{name}");
        }
    }

    #[test]
    fn no_place_for_a_name_is_left_unfilled() {
        let names = names(Language::Rust, "word-count").unwrap();
        for file in ALL.iter().flat_map(|&language| template::files(language)) {
            for text in [names.put_into(file.path), names.put_into(file.text)] {
                assert!(!text.contains("@NAME@") && !text.contains("@MODULE@"), "{}", file.path);
            }
        }
    }
}
