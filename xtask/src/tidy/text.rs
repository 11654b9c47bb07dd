//! Rules about the text of one file: its header, its length, and words that must not stay.

use super::Breach;
use super::source::SourceFile;

/// The aim is 400; what passes this has more than one noun in it.
const LINES_MAX: usize = 600;

/// Files that may be longer, each with its own bound and the reason.
const LONGER: [(&str, usize, &str); 0] = [];

/// Marks of unfinished work. Spelled in two parts, or this file would break its own rule.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("db", "g!("),
];

/// A panic without an argument why it cannot happen.
const UNARGUED: [&str; 1] = [concat!(".un", "wrap()")];

/// Crates that are libraries: they return and log, and the terminal belongs to the one that called them.
const SILENT: [&str; 3] = ["guest-sdk/src/", "runtime/src/", "node/src/"];
const PRINTING: [&str; 4] = ["println!(", "print!(", "eprintln!(", "eprint!("];

/// Where decisions are pure: what they need of the world comes in as a value.
const PURE: &str = "node/src/state/";
const WORLDLY: [&str; 8] =
    ["tokio", "std::fs", "std::net::Udp", "Instant::now", "SystemTime::now", "getrandom", "tracing", "async fn"];

pub(crate) fn check(file: &SourceFile, breaches: &mut Vec<Breach>) {
    let mut breach = |line: usize, what: String| breaches.push(Breach { file: file.path.clone(), line, what });
    if let Some(missing) = missing_header(file) {
        breach(1, missing.to_owned());
    }
    let lines = file.text.lines().count();
    let bound = LONGER.iter().find(|(path, ..)| *path == file.path).map_or(LINES_MAX, |(_, bound, _)| *bound);
    if lines > bound {
        breach(lines, format!("{lines} lines, more than {bound}: find the second noun and give it a file"));
    }
    for (index, line) in file.text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            breach(index + 1, format!("{word} marks unfinished work: finish it or file an issue"));
        }
    }
    if !file.path.ends_with(".rs") || file.is_for_tests() {
        return;
    }
    for (number, line) in file.shipped_lines() {
        if UNARGUED.iter().any(|word| line.contains(word)) {
            breach(number, "a panic without an argument: return an error, or expect with the reason".to_owned());
        }
        if SILENT.iter().any(|prefix| file.path.starts_with(prefix)) && PRINTING.iter().any(|word| line.contains(word))
        {
            breach(number, "a library does not print: return it or log it".to_owned());
        }
        if file.path.starts_with(PURE) {
            for word in WORLDLY.iter().filter(|word| line.contains(**word)) {
                breach(number, format!("{word} in a pure decision: take it as an argument"));
            }
        }
    }
}

/// Each file says first what it is. The tests of `x.rs` in `x/tests.rs` say it by their name, and so do the scripts that
/// tests run as jobs, whose line numbers are expected in tracebacks.
fn missing_header(file: &SourceFile) -> Option<&'static str> {
    if file.path.ends_with("/tests.rs") || file.path.contains("/tests/python/") {
        return None;
    }
    let first = file.text.trim_start().lines().find(|line| !line.starts_with("#!/")).unwrap_or_default();
    let (opens_well, missing) = match file.path.rsplit('.').next() {
        Some("rs") => (first.starts_with("//! "), "no //! header that says what the file is"),
        Some("py") => {
            (first.starts_with("\"\"\"") || first.starts_with("# "), "no docstring that says what the file is")
        }
        _ => (first.starts_with("/*") || first.starts_with("//"), "no comment that says what the file is"),
    };
    (!opens_well).then_some(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<usize> {
        let mut breaches = Vec::new();
        check(&SourceFile { path: path.to_owned(), text: text.to_owned(), is_test_module: false }, &mut breaches);
        breaches.into_iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_file_without_a_header_is_a_breach() {
        assert_eq!(breaches("cli/src/a.rs", "use std::fs;\n"), [1]);
        assert_eq!(breaches("cli/src/a.rs", "//! Reads files.\nuse std::fs;\n"), [0; 0]);
        assert_eq!(breaches("cli/src/a/tests.rs", "use super::*;\n"), [0; 0]);
        assert_eq!(breaches("examples/a.py", "#!/usr/bin/env python3\n\"\"\"Says hello.\"\"\"\n"), [0; 0]);
    }

    #[test]
    fn an_unargued_panic_is_a_breach_only_where_it_ships() {
        let text = format!("//! A file.\nfn a() {{ b(){} }}\n", UNARGUED[0]);
        assert_eq!(breaches("cli/src/a.rs", &text), [2]);
        assert_eq!(breaches("tests/src/a.rs", &text), [0; 0]);
        let tested = format!("//! A file.\n#[cfg(test)]\nmod tests {{\n    fn a() {{ b(){} }}\n}}\n", UNARGUED[0]);
        assert_eq!(breaches("cli/src/a.rs", &tested), [0; 0]);
    }

    #[test]
    fn only_libraries_are_silent() {
        let text = "//! A file.\nfn a() { println!(\"b\") }\n";
        assert_eq!(breaches("node/src/a.rs", text), [2]);
        assert_eq!(breaches("cli/src/a.rs", text), [0; 0]);
    }

    #[test]
    fn decisions_are_pure() {
        let text = "//! A file.\nfn a() { b(Instant::now()) }\n";
        assert_eq!(breaches("node/src/state/a.rs", text), [2]);
        assert_eq!(breaches("node/src/net/a.rs", text), [0; 0]);
    }

    #[test]
    fn unfinished_work_is_a_breach_even_in_a_comment() {
        assert_eq!(breaches("tests/src/a.rs", &format!("//! A file.\n// {}: more\n", UNFINISHED[0])), [2]);
    }

    #[test]
    fn a_file_of_many_nouns_is_a_breach() {
        let text = format!("//! A file.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(breaches("cli/src/a.rs", &text), [LINES_MAX + 1]);
    }
}
