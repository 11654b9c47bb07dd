//! Finds, before a job is sent, imports that must fail: those every run of the script reaches, of modules that are
//! neither in the environment nor among the job's files. Where it cannot know (an import in a function, in a condition,
//! in a `try` that handles its failure, or once the import path is changed) it says nothing: a wrong refusal is worse
//! than a late error.

use super::packages::{ABSENT_STANDARD, MODULES, PACKAGES};
use super::scan::{self, Line};
use crate::job::GuestPath;
use std::collections::BTreeSet;
use std::fmt;

/// The words of a job, which every job has; one that it brings along is taken instead.
const WORDS: &str = "potluck";
/// How many files of a job are read for imports.
const FILES_MAX: usize = 1000;
/// How different a name may be for us to think it a slip.
const SLIP_MAX: usize = 2;

/// An import that cannot be satisfied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingPackage {
    /// The top-level name that is imported.
    pub module: String,
    /// The file that imports it.
    pub file: String,
    /// The line of the import, from 1.
    pub line: u32,
}

impl fmt::Display for MissingPackage {
    /// A paragraph: what is missing, where it is imported, what helps, what is there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, file, line } = self;
        write!(
            f,
            "{file}:{line} imports {module:?}, which is neither in the environment python nor among the job's files"
        )?;
        if let Some(hint) = hint(module) {
            write!(f, "; {hint}")?;
        } else {
            write!(
                f,
                "; a file of yours comes along with `-f FILE`, a package written in Python alone with `--with NAME`"
            )?;
        }
        let there: Vec<&str> = PACKAGES.iter().map(|package| package.import).collect();
        write!(f, "\nthere are: the standard library, {}", there.join(", "))
    }
}

impl std::error::Error for MissingPackage {}

/// What a script imports whenever it runs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ScriptImports {
    /// The top-level names of what it imports from outside of the job's files.
    pub modules: BTreeSet<String>,
    /// Those that are nowhere, sorted by file and line.
    pub missing: Vec<MissingPackage>,
}

/// Looks through `entry` and, through their imports, the files it finds beside it. `files` are all files of the job's
/// working directory; `read` gives the text of one (none if it cannot be read).
#[must_use]
pub fn script_imports(
    entry: &GuestPath,
    files: &[GuestPath],
    read: &dyn Fn(&GuestPath) -> Option<String>,
) -> ScriptImports {
    let neighbours: BTreeSet<&str> = files.iter().chain([entry]).map(GuestPath::as_str).collect();
    let directory = entry.as_str().rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut waiting = vec![entry.clone()];
    let mut seen = BTreeSet::from([entry.clone()]);
    let mut modules = BTreeSet::new();
    let mut missing = Vec::new();
    let mut knows = true;
    while let Some(file) = waiting.pop() {
        let Some(source) = read(&file) else { continue };
        let lines = scan::lines(&source);
        // Whatever is imported from here on may lie anywhere, for every file of the job.
        knows &= !lines.iter().any(|line| changes_import_path(&line.code));
        for import in reached_imports(&lines) {
            let top = import.module.split('.').next().unwrap_or_default().to_owned();
            let found = neighbour_files(&neighbours, directory, &import.module);
            if found.is_empty() {
                if !is_there(&top) && top != WORDS && !is_anywhere(&neighbours, &top) {
                    missing.push(MissingPackage { module: top.clone(), file: file.to_string(), line: import.line });
                }
                modules.insert(top);
                continue;
            }
            for path in found {
                if seen.len() < FILES_MAX && seen.insert(path.clone()) {
                    waiting.push(path);
                }
            }
        }
    }
    if !knows {
        missing.clear();
    }
    missing.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    missing.dedup_by(|a, b| a.module == b.module && a.file == b.file);
    ScriptImports { modules, missing }
}

/// Whether one of these files has the name of a module that is there without it, as a script's neighbours do when they take
/// a module's place.
pub(crate) fn takes_a_modules_place<'a>(files: impl IntoIterator<Item = &'a GuestPath>) -> bool {
    files.into_iter().any(|path| {
        let (directory, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        match name {
            "__init__.py" => is_there(directory.rsplit('/').next().unwrap_or_default()),
            name => name.strip_suffix(".py").or_else(|| name.strip_suffix(".pyc")).is_some_and(is_there),
        }
    })
}

/// Whether a module of this name is in the environment `python`: a script of that name would hide it.
#[must_use]
pub fn is_python_module(name: &str) -> bool {
    is_there(name) || name == WORDS
}

fn is_there(top: &str) -> bool {
    MODULES.binary_search(&top).is_ok()
}

/// Whether any file or directory of the job has this name: then the script may know how to reach it.
fn is_anywhere(neighbours: &BTreeSet<&str>, top: &str) -> bool {
    neighbours.iter().any(|path| {
        path.split('/').any(|part| part == top || part.split_once('.').is_some_and(|(stem, _)| stem == top))
    })
}

/// The files an import of `module` runs: each package's `__init__.py` on the way, and the module itself.
fn neighbour_files(neighbours: &BTreeSet<&str>, directory: &str, module: &str) -> Vec<GuestPath> {
    let mut found = Vec::new();
    let mut base = directory.to_owned();
    for part in module.split('.') {
        if !base.is_empty() {
            base.push('/');
        }
        base.push_str(part);
        for path in [format!("{base}/__init__.py"), format!("{base}.py")] {
            if neighbours.contains(path.as_str()) {
                found.extend(GuestPath::parse(&path));
                break;
            }
        }
    }
    found
}

fn changes_import_path(code: &str) -> bool {
    ["sys.path", "meta_path", "path_hooks", "addsitedir", "sys.modules"].iter().any(|name| code.contains(name))
}

#[derive(Debug, PartialEq, Eq)]
struct Import {
    module: String,
    line: u32,
}

/// A compound statement whose body is being read.
struct Block {
    indent: usize,
    kind: Kind,
    /// Where this `try`'s imports begin in the list, for a handler to take them back.
    first: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Runs whenever the file does: `class`, `with`, `finally`, `if __name__ == "__main__"`.
    Always,
    /// A `try`, whose handlers are not known yet.
    Try,
    /// May not run, or may fail without harm.
    Perhaps,
}

fn reached_imports(lines: &[Line]) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    for line in lines {
        let mut closed_try = None;
        while let Some(block) = blocks.pop_if(|block| block.indent >= line.indent) {
            if block.kind == Kind::Try && block.indent == line.indent {
                closed_try = Some(block.first);
            }
        }
        let keyword = keyword(&line.code);
        let perhaps = blocks.iter().any(|block| block.kind == Kind::Perhaps);
        let kind = match keyword {
            "import" | "from" => {
                if !perhaps {
                    simple_statements(&line.code, line.number, &mut imports);
                }
                continue;
            }
            "class" | "finally" => Some(Kind::Always),
            "try" => Some(Kind::Try),
            "with" if line.code.contains("suppress") => Some(Kind::Perhaps),
            "with" => Some(Kind::Always),
            "if" if is_main_guard(&line.code) => Some(Kind::Always),
            "if" | "elif" | "else" | "for" | "while" | "def" | "async" | "match" | "case" => Some(Kind::Perhaps),
            "except" => {
                if let Some(first) = closed_try {
                    if catches_import_error(&line.code) {
                        imports.truncate(first);
                    } else {
                        // The same `try` may have further handlers.
                        blocks.push(Block { indent: line.indent, kind: Kind::Try, first });
                    }
                }
                Some(Kind::Perhaps)
            }
            _ => None,
        };
        match kind {
            Some(kind) => {
                let first = imports.len();
                if !perhaps && kind != Kind::Perhaps {
                    simple_statements(body(&line.code), line.number, &mut imports);
                }
                blocks.push(Block { indent: line.indent, kind, first });
            }
            None if !perhaps => simple_statements(&line.code, line.number, &mut imports),
            None => {}
        }
    }
    imports
}

/// The first word of a logical line.
fn keyword(code: &str) -> &str {
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    &code[..end]
}

/// What follows the colon of a compound statement on the same line.
fn body(code: &str) -> &str {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => return &code[at + 1..],
            _ => {}
        }
    }
    ""
}

fn is_main_guard(code: &str) -> bool {
    let squeezed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    squeezed.starts_with("if__name__==\"\":") || squeezed.starts_with("if\"\"==__name__:")
}

fn catches_import_error(code: &str) -> bool {
    let caught = code.trim_start_matches("except").trim_start_matches('*').trim();
    caught.starts_with(':')
        || ["ImportError", "ModuleNotFoundError", "Exception"]
            .iter()
            .any(|name| caught.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == *name))
}

/// The imports among `code`'s statements, which are separated by `;`.
fn simple_statements(code: &str, line: u32, imports: &mut Vec<Import>) {
    for statement in code.split(';') {
        let mut words = statement.split_whitespace();
        match (words.next(), words.next()) {
            (Some("import"), Some(_)) => {
                for name in statement.trim_start().trim_start_matches("import").split(',') {
                    push(name.split_whitespace().next().unwrap_or_default(), line, imports);
                }
            }
            (Some("from"), Some(module)) if words.next().is_some_and(|word| word.starts_with("import")) => {
                push(module, line, imports); // a relative name is none and is left out there
            }
            _ => {}
        }
    }
}

fn push(module: &str, line: u32, imports: &mut Vec<Import>) {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if module.split('.').all(is_name) {
        imports.push(Import { module: module.to_owned(), line });
    }
}

/// What may help instead of `module`.
fn hint(module: &str) -> Option<String> {
    let known = match module {
        "requests" | "httpx" | "aiohttp" | "urllib3" | "websockets" | "paramiko" | "boto3" | "httplib2" => {
            "a job has no network: fetch the data before submitting and send it along with -f"
        }
        "cv2" | "skimage" | "imageio" => "for images there are PIL (pillow), scipy.ndimage and matplotlib",
        "torch" | "tensorflow" | "keras" | "jax" | "xgboost" | "lightgbm" | "catboost" => {
            "for machine learning there are sklearn (scikit-learn) and statsmodels"
        }
        "polars" | "pyarrow" | "dask" | "duckdb" | "modin" => "for tables there are pandas, narwhals and sqlite3",
        "plotly" | "bokeh" | "altair" => "for charts there are matplotlib and seaborn",
        "numba" | "cython" | "Cython" | "cffi" => {
            "code cannot be compiled inside the sandbox; numpy and scipy are there"
        }
        "psycopg2" | "pymysql" | "sqlalchemy" | "redis" | "pymongo" => "a job has no network; sqlite3 is there",
        _ if ABSENT_STANDARD.binary_search(&module).is_ok() => {
            "this part of the standard library needs a screen, a terminal or an operating system that the sandbox does not have"
        }
        _ => return near(module),
    };
    Some(known.to_owned())
}

/// A package that is there under a similar name, or is installed under this one.
fn near(module: &str) -> Option<String> {
    let folded = module.to_lowercase().replace('_', "-");
    if let Some(package) = PACKAGES.iter().find(|package| package.distribution == folded) {
        return Some(format!("{} is imported as {:?}", package.distribution, package.import));
    }
    let third = PACKAGES.iter().map(|package| package.import);
    let standard = MODULES.iter().copied().filter(|name| !name.starts_with('_'));
    third
        .chain(standard)
        .map(|name| (distance(&module.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= SLIP_MAX && *distance * 3 <= name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!("did you mean {name:?}?"))
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests;
