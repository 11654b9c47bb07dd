//! What a script says it needs: in a `requirements.txt` beside it, or in itself (PEP 723). Pure.

use super::PYTHON_VERSION;
use super::requirement::{Requirement, RequirementError};
use super::version::{Specifiers, Version};
use serde::Deserialize;

/// Packages that may be asked for.
const REQUIREMENTS_MAX: usize = 256;
/// Bytes of either kind of list.
pub const LIST_LEN_MAX: usize = 1 << 20;

/// What is wrong with a list of packages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclaredError {
    /// A line asks for no package.
    #[error("line {line}")]
    Requirement {
        /// Which, from 1.
        line: usize,
        /// Why.
        source: RequirementError,
    },
    /// A line is for pip.
    #[error("line {line} ({text}) is an option of pip, which is not heeded; name packages alone")]
    Option {
        /// Which, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// There are too many.
    #[error("it names more than {REQUIREMENTS_MAX} packages")]
    Many,
    /// What a script says of itself cannot be read.
    #[error("its block `# /// script` cannot be read: {0}")]
    Inline(String),
    /// The script is for another Python.
    #[error("it wants Python {0}, and the environment has {PYTHON_VERSION}; change its `requires-python`")]
    Python(String),
}

/// What a script says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Inline {
    requires_python: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The packages of a `requirements.txt`.
///
/// # Errors
/// [`DeclaredError`].
pub fn requirements_file(text: &str) -> Result<Vec<Requirement>, DeclaredError> {
    let mut found = Vec::new();
    let mut joined = String::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        joined.push_str(line);
        if joined.ends_with('\\') {
            joined.pop();
            continue;
        }
        let whole = std::mem::take(&mut joined);
        let code = if whole.trim_start().starts_with('#') { "" } else { whole.split(" #").next().unwrap_or_default() };
        let code = code.trim();
        if code.is_empty() {
            continue;
        }
        let (words, hashes) = with_hashes(code);
        let option = words.split_whitespace().find(|word| word.starts_with('-'));
        if let Some(option) = option {
            return Err(DeclaredError::Option { line: at + 1, text: option.chars().take(80).collect() });
        }
        if found.len() == REQUIREMENTS_MAX {
            return Err(DeclaredError::Many);
        }
        let parsed = Requirement::parse(&words).and_then(|requirement| requirement.with_hashes(hashes));
        found.push(parsed.map_err(|source| DeclaredError::Requirement { line: at + 1, source })?);
    }
    Ok(found)
}

/// A line without its hashes, and they.
fn with_hashes(line: &str) -> (String, Vec<&str>) {
    let (mut rest, mut hashes) = (Vec::new(), Vec::new());
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        match word.strip_prefix("--hash") {
            // pip reads both forms.
            Some("") => hashes.push(words.next().unwrap_or_default()),
            Some(after) if after.starts_with('=') => hashes.push(&after[1..]),
            Some(_) | None => rest.push(word),
        }
    }
    (rest.join(" "), hashes)
}

/// The packages that a script names itself; nothing where it has no such block.
///
/// # Errors
/// [`DeclaredError`].
pub fn inline(source: &str) -> Result<Option<Vec<Requirement>>, DeclaredError> {
    let Some(text) = block(source)? else { return Ok(None) };
    let read: Inline = toml::from_str(&text).map_err(|error| DeclaredError::Inline(error.message().to_owned()))?;
    if let Some(wanted) = read.requires_python {
        let versions = Specifiers::parse(&wanted);
        let versions = versions.ok_or_else(|| DeclaredError::Inline(format!("requires-python = {wanted:?}")))?;
        let fits = Version::parse(PYTHON_VERSION).is_some_and(|version| versions.admit(&version));
        if !fits {
            return Err(DeclaredError::Python(wanted));
        }
    }
    if read.dependencies.len() > REQUIREMENTS_MAX {
        return Err(DeclaredError::Many);
    }
    let parsed = read.dependencies.iter().map(|text| Requirement::parse(text));
    let all = parsed.collect::<Result<_, _>>().map_err(|error| DeclaredError::Inline(error.to_string()))?;
    Ok(Some(all))
}

/// What stands in the one block of the kind `script`.
fn block(source: &str) -> Result<Option<String>, DeclaredError> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = None;
    let mut at = 0;
    while at < lines.len() {
        at += 1;
        if lines[at - 1] != "# /// script" {
            continue;
        }
        let of_block = |line: &&&str| **line == "#" || line.starts_with("# ");
        let comment: Vec<&str> = lines[at..].iter().take_while(of_block).copied().collect();
        // It ends with the last such line, as a line of it may look like that itself.
        let Some(end) = comment.iter().rposition(|line| *line == "# ///") else { continue };
        let text: Vec<&str> = comment[..end].iter().map(|line| line.get(2..).unwrap_or_default()).collect();
        if found.replace(text.join("\n")).is_some() {
            return Err(DeclaredError::Inline("there is more than one".to_owned()));
        }
        at += end;
    }
    Ok(found.filter(|text| text.len() <= LIST_LEN_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        requirements_file(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_is_read_without_its_comments_and_with_its_long_lines() {
        let text = "\u{feff}# what we need\n\nhumanize==4.9.0  # for people\nrich \\\n  >=13\nx#y==1\n";
        assert!(requirements_file(text).is_err(), "a '#' inside a word is no comment");
        assert_eq!(names(&text.replace("x#y==1\n", "numpy\r\n")), ["humanize==4.9.0", "rich>=13", "numpy"]);
        assert_eq!(names(""), [""; 0]);
    }

    #[test]
    fn options_of_pip_are_refused_with_their_line() {
        for line in ["-r other.txt", "--index-url https://host/simple", "-e .", "x==1 --hashes=sha256:abc"] {
            let error = requirements_file(&format!("rich\n{line}\n")).unwrap_err();
            assert!(matches!(error, DeclaredError::Option { line: 2, .. }), "{error}");
        }
        assert!(matches!(requirements_file("./x"), Err(DeclaredError::Requirement { line: 1, .. })));
        assert_eq!(requirements_file(&"x\n".repeat(300)), Err(DeclaredError::Many));
    }

    #[test]
    fn hashes_are_kept_for_pip_and_those_that_are_none_are_refused_with_their_line() {
        let (one, other) = ("a1".repeat(32), "B2".repeat(64));
        let text = format!("x==1 \\\n    --hash=sha256:{one} \\\n    --hash sha512:{other}\ny>=2  # later\n");
        let found = requirements_file(&text).unwrap();
        let lines: Vec<String> = found.iter().map(Requirement::line).collect();
        let other = other.to_ascii_lowercase();
        assert_eq!(lines, [format!("x==1 --hash=sha256:{one} --hash=sha512:{other}"), "y>=2".to_owned()]);
        assert_eq!(
            (found[0].to_string().as_str(), found[0].has_hashes(), found[1].has_hashes()),
            ("x==1", true, false)
        );
        for none in
            ["--hash=sha256:abc", "--hash", "--hash=md5:00", "--hash=", &format!("--hash=sha256:{}", "g".repeat(64))]
        {
            let error = requirements_file(&format!("\nx==1 {none}\n")).unwrap_err();
            assert!(matches!(error, DeclaredError::Requirement { line: 2, .. }), "{none}: {error}");
        }
    }

    #[test]
    fn a_script_says_what_it_needs() {
        let script = "#!/usr/bin/env python3\n# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\n#   \"rich<14\",\n#\n#   \"humanize\",\n# ]\n# ///\nimport rich\n";
        let found = inline(script).unwrap().unwrap();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["rich<14", "humanize"]);
        assert_eq!(inline("import rich\n# /// script\nprint()\n").unwrap(), None);
        assert_eq!(inline("# /// script\n# ///\n").unwrap(), Some(vec![]));
        assert_eq!(inline("# /// pyproject\n# x = 1\n# ///\n").unwrap(), None);
    }

    #[test]
    fn a_script_for_another_python_or_with_a_broken_block_is_refused() {
        let with = |line: &str| inline(&format!("# /// script\n# {line}\n# ///\n"));
        assert!(matches!(with("requires-python = '<3.12'"), Err(DeclaredError::Python(_))));
        for broken in ["dependencies = [", "dependencies = 'x'", "dependencies = ['./x']", "requires-python = 'new'"] {
            assert!(matches!(with(broken), Err(DeclaredError::Inline(_))), "{broken}");
        }
        let twice = "# /// script\n# ///\n\n# /// script\n# ///\n";
        assert!(matches!(inline(twice), Err(DeclaredError::Inline(_))));
    }
}
