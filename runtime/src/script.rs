//! What the worker needs to run a script: the meeting point of the sandbox, which knows no language, and the language
//! environments, which know no sandbox. An environment fills a [`ScriptPlan`]; nothing in it is chosen by a guest.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How one script is run by its environment's interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptPlan {
    /// The interpreter: a preview-1 reactor module, in place and verified.
    pub module: PathBuf,
    /// The name of the interpreter's content, so that 100 MB need not be read to look up its compiled code. Any digest
    /// that changes with the content serves (the pinned SHA-256 does).
    pub module_digest: Digest,
    /// Directories of this machine the interpreter may read, each with the absolute guest path it is seen at.
    /// The working directory (`/`) and `/tmp` are added by the runtime.
    pub preopens: Vec<(PathBuf, String)>,
    /// Where in these the packages of a job are seen; what lies there otherwise is empty.
    pub packages_place: String,
    /// Environment variables of the interpreter; those of the request are set after them and win.
    pub env: Vec<(String, String)>,
    /// The interpreter's argument vector, `argv[0]` included; the request's arguments follow it.
    pub argv: Vec<String>,
    /// What to call in the instantiated interpreter.
    pub boot: ScriptBoot,
    /// The file of the machine's own that makes an interpreter ready to be kept in an image, as a guest path.
    pub boot_file: String,
    /// The file that makes it ready for a session's turns, as a guest path.
    pub session_file: String,
    /// Where in its memory it looks for an interrupt.
    pub signals: SignalPlaces,
}

/// Where an interpreter looks for an interrupt, as addresses in its memory; they belong to the very module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalPlaces {
    /// A word that is not zero once an interrupt came.
    pub interrupted: u32,
    /// A word that is not zero once any signal came.
    pub any: u32,
    /// The address of the main thread's state.
    pub thread: u32,
    /// Where in that state the word lies that the interpreter looks at before it goes on.
    pub breaker: u32,
    /// The bit of that word that stands for signals.
    pub bit: u32,
}

impl ScriptPlan {
    /// How a script is run by an interpreter that goes on from an image: it cannot ask for its arguments and environment
    /// a second time, so they are told.
    pub(crate) fn resume(&self, args: &[String], env: &[(String, String)]) -> ScriptBoot {
        // What precedes the entry's path is for a fresh interpreter.
        let argv: Vec<&String> = self.argv.iter().skip(ENTRY_INDEX).chain(args).collect();
        let env: BTreeMap<&String, &String> = env.iter().map(|(key, value)| (key, value)).collect();
        // `boot.py` waits for this. Zero bytes part the words, as no argument and no variable of a job holds one.
        let mut source = format!("\0{}", argv.len());
        for word in argv.into_iter().chain(env.into_iter().flat_map(|(key, value)| [key, value])) {
            source.push('\0');
            source.push_str(word);
        }
        ScriptBoot::Turn { source }
    }

    /// How an interpreter from an image is made ready for a session's turns in this environment.
    pub(crate) fn opening(&self, env: &[(String, String)]) -> String {
        let env: BTreeMap<&String, &String> = env.iter().map(|(key, value)| (key, value)).collect();
        let (file, env) = (literal(&self.session_file), literal(&env));
        format!("exec(compile(open({file}, 'rb').read(), '<potluck>', 'exec'), {{'ENVIRON': {env}}})")
    }

    /// How an interpreter is made ready to be kept.
    pub(crate) fn making(&self, imports: &[String], setup: &str) -> ScriptBoot {
        let file = literal(&self.boot_file);
        let (imports, setup) = (literal(&imports), literal(&setup));
        let names =
            format!("{{'__name__': '_potluck_warm', '__file__': {file}, 'SETUP': {setup}, 'IMPORTS': {imports}}}");
        ScriptBoot::Turn { source: format!("exec(compile(open({file}, 'rb').read(), '<potluck>', 'exec'), {names})") }
    }
}

/// Where in the interpreter's arguments the script's path stands, after the interpreter's name, `-c` and its argument.
const ENTRY_INDEX: usize = 3;

/// A value as Python reads it: what JSON says of texts, lists and maps of them means the same there.
fn literal(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Which export of the interpreter runs the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptBoot {
    /// `run() -> i32`, which takes its arguments from WASI and returns the exit status.
    Run,
    /// `turn(ptr, len) -> i32` on this source text, placed by `host_alloc(len) -> ptr`; it returns the exit status.
    Turn {
        /// The source text to run.
        source: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_is_told_reaches_python_as_it_was_said() {
        let plan = ScriptPlan {
            module: PathBuf::new(),
            module_digest: Digest::of(b""),
            preopens: Vec::new(),
            packages_place: String::new(),
            env: Vec::new(),
            argv: ["python3", "-c", "start", "/x.py", "x.py"].map(str::to_owned).into(),
            boot: ScriptBoot::Run,
            boot_file: "/boot.py".to_owned(),
            session_file: "/session.py".to_owned(),
            signals: SignalPlaces { interrupted: 0, any: 0, thread: 0, breaker: 0, bit: 0 },
        };
        let (args, env) = (["a'b\"\\\n\u{1}é😀", ""].map(str::to_owned), [("K".into(), "v".into())]);
        let ScriptBoot::Turn { source } = plan.resume(&args, &env) else {
            panic!("it is a turn");
        };
        assert_eq!(source, "\x004\0/x.py\0x.py\0a'b\"\\\n\u{1}é😀\0\0K\0v");
    }
}
