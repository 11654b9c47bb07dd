//! The contract with a guest, kept by hand: the variables and files that a run has, without Potluck, so that a program's words are
//! tried wherever it runs.

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The files of one run.
#[derive(Debug)]
pub struct Contract {
    directory: TempDir,
}

impl Contract {
    /// Nothing is said yet, nothing was kept.
    ///
    /// # Panics
    /// When its directory cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(directory.path().join("control"), "").expect("a file can be written");
        Self { directory }
    }

    /// Has the host say this.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn say(&self, text: &str) {
        fs::write(self.path("control"), text).expect("a file can be written");
    }

    /// Has the run go on from this checkpoint.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn keep(&self, state: &[u8]) {
        fs::write(self.path("restore"), state).expect("a file can be written");
    }

    /// The command inside of it.
    pub fn around<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.variables())
    }

    /// What a program inside of it finds among its variables.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let path = |name| self.path(name).display().to_string();
        let mut variables = vec![
            ("POTLUCK", "1".to_owned()),
            ("POTLUCK_EVENTS", path("events")),
            ("POTLUCK_CONTROL", path("control")),
            ("POTLUCK_TASK", "17".to_owned()),
            ("POTLUCK_TASKS", "100".to_owned()),
        ];
        if self.path("restore").exists() {
            variables.push(("POTLUCK_RESTORE", path("restore")));
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What was said, line by line.
    ///
    /// # Panics
    /// When a line is no JSON.
    #[must_use]
    #[track_caller]
    pub fn said(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("events")).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:.200}"));
        text.lines().map(parse).collect()
    }

    /// The last of its kind that was said: progress, result or the like.
    #[must_use]
    #[track_caller]
    pub fn last(&self, kind: &str) -> Option<Value> {
        self.said().iter().rev().find_map(|event| event.get(kind).cloned())
    }

    /// The bytes of the last checkpoint.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn kept(&self) -> Vec<u8> {
        let event = self.last("checkpoint").expect("a checkpoint was said");
        let path = event["file"].as_str().expect("a checkpoint names its file");
        fs::read(path).expect("the file of a checkpoint can be read")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Default for Contract {
    fn default() -> Self {
        Self::new()
    }
}
