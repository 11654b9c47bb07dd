//! What a map has given and how that ended, in a file of the results' folder, so that the same command again runs what is
//! missing and nothing else.
//!
//! 1. A job stands in the journal before the node is given it.
//! 2. Lines are only ever added. One that a crash cut off means nothing.
//! 3. One map at a time works in a folder.

use super::plan::Task;
use crate::guest_words::OwnJson;
use crate::job_ids;
use crate::standing::{EndKind, Ending};
use anyhow::Context;
use potluck_node::state::home::spec::BatchId;
use potluck_node::wire::JobId;
use potluck_runtime::Digest;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// The file's name.
pub(super) const NAME: &str = ".potluck-map.jsonl";
/// The version of its lines.
const VERSION: u32 = 1;

/// The journal of a folder.
pub(super) struct Journal {
    file: BufWriter<File>,
    known: HashMap<String, Known>,
    map: Option<BatchId>,
}

/// What is known of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The name of all its result depends on.
    pub(super) request: Digest,
    pub(super) job: JobId,
    pub(super) map: BatchId,
    /// None as long as it has not ended.
    pub(super) end: Option<EndKind>,
    /// Files in its folder that came of its last job of which anything came.
    pub(super) files: Vec<String>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    /// What follows is given under this map.
    Map { version: u32, map: String },
    /// A task is about to be given.
    Task { task: String, index: usize, inputs: Vec<InputLine>, request: String, job: String },
    /// A task has ended, and these files came; none are named when nothing came, and what an earlier job left is still there.
    End {
        task: String,
        job: String,
        end: EndKind,
        exit_code: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        files: Option<Vec<String>>,
        /// What its program says it has come to; read again as [`ResultLine`].
        #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
        result: Option<OwnJson>,
    },
    /// A task was not given, because its input cannot be read.
    Unreadable { task: String, why: String },
}

/// A line of the end of a task with what its program says it has come to, as that wrote it.
#[derive(Deserialize)]
struct ResultLine<'a> {
    line: &'a str,
    task: String,
    job: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// A file the task reads, the program among them.
#[derive(Serialize, Deserialize)]
pub(super) struct InputLine {
    pub(super) name: String,
    pub(super) digest: String,
}

impl Journal {
    /// Opens the journal of a folder, which is made if there is none.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(NAME);
        let opened = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let file = opened.with_context(|| format!("cannot open the map's journal {}", path.display()))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            anyhow::bail!(
                "another `potluck map` works in {}; wait for it, or choose another folder with `-o`",
                dir.display()
            );
        }
        let mut journal = Self { file: BufWriter::new(file), known: HashMap::new(), map: None };
        journal.read().with_context(|| format!("cannot read the map's journal {}", path.display()))?;
        Ok(journal)
    }

    /// What is known of a task.
    pub(super) fn known(&self, task: &str) -> Option<&Known> {
        self.known.get(task)
    }

    /// The tasks that have not ended.
    pub(super) fn unended(&self) -> impl Iterator<Item = (&str, &Known)> {
        self.known.iter().filter(|(_, known)| known.end.is_none()).map(|(task, known)| (task.as_str(), known))
    }

    /// What follows is given under this map.
    pub(super) fn begin(&mut self, map: BatchId) -> anyhow::Result<()> {
        self.map = Some(map);
        self.put(&Line::Map { version: VERSION, map: map.0.to_string() })
    }

    /// A task is about to be given.
    pub(super) fn task(
        &mut self,
        (index, task): (usize, &Task),
        inputs: Vec<InputLine>,
        request: Digest,
        job: JobId,
    ) -> anyhow::Result<()> {
        let map = self.map.context("a task belongs to a map")?;
        self.put_known(task.name.clone(), request, job, map);
        let (task, request, job) = (task.name.clone(), request.to_string(), job.to_string());
        self.put(&Line::Task { task, index, inputs, request, job })
    }

    /// A task has ended.
    pub(super) fn end(
        &mut self,
        task: &str,
        job: JobId,
        ending: &Ending,
        (files, result): (Option<Vec<String>>, Option<OwnJson>),
    ) -> anyhow::Result<()> {
        let (end, exit_code) = (ending.kind, ending.exit_code);
        self.known_ended(task, job, end, files.as_ref());
        self.put(&Line::End { task: task.to_owned(), job: job.to_string(), end, exit_code, files, result })
    }

    /// A task was not given, because its input cannot be read. The next command tries again.
    pub(super) fn unreadable(&mut self, task: &str, ending: &Ending) -> anyhow::Result<()> {
        self.put(&Line::Unreadable { task: task.to_owned(), why: ending.why.clone().unwrap_or_default() })
    }

    fn put_known(&mut self, task: String, request: Digest, job: JobId, map: BatchId) {
        let before = self.known.remove(&task);
        let files = before.map(|known| known.files).unwrap_or_default();
        self.known.insert(task, Known { request, job, map, end: None, files });
    }

    fn known_ended(&mut self, task: &str, job: JobId, end: EndKind, files: Option<&Vec<String>>) {
        if let Some(known) = self.known.get_mut(task).filter(|known| known.job == job) {
            known.end = Some(end);
            files.into_iter().for_each(|files| known.files.clone_from(files));
        }
    }

    /// Tells what the programs of tasks say they have come to, of those jobs that ended last, one after the other.
    pub(super) fn each_result(
        &mut self,
        mut tell: impl FnMut(&str, &RawValue) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.flush()?;
        let mut file = self.file.get_ref().try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let mut told = HashSet::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line?;
            let Ok(ResultLine { line: "end", task, job, result }) = serde_json::from_slice(&line) else { continue };
            let Some(job) = job_ids::parse(&job) else { continue };
            // A job that was heard to its end twice has said the same.
            if self.known(&task).is_some_and(|known| known.job == job) && told.insert(job) {
                tell(&task, result)?;
            }
        }
        Ok(())
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().context("cannot write the map's journal")
    }

    fn put(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line).context("cannot write a line of the map's journal")?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).context("cannot write the map's journal")
    }

    fn read(&mut self) -> anyhow::Result<()> {
        let mut file = self.file.get_ref().try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        let mut map = None;
        while reader.read_until(b'\n', &mut line)? > 0 {
            let ended = line.ends_with(b"\n");
            if let Ok(line) = serde_json::from_slice(&line) {
                self.apply(line, &mut map)?;
            }
            line.clear();
            if !ended {
                // Cut off by a crash; what is added begins a line of its own.
                self.file.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, line: Line, current: &mut Option<BatchId>) -> anyhow::Result<()> {
        match line {
            Line::Map { version, .. } if version > VERSION => {
                anyhow::bail!("a later version of Potluck wrote it (version {version}); update Potluck");
            }
            Line::Map { map, .. } => *current = job_ids::parse(&map).map(BatchId),
            Line::Task { task, request, job, .. } => {
                if let (Some(map), Ok(request), Some(job)) = (*current, request.parse(), job_ids::parse(&job)) {
                    self.put_known(task, request, job, map);
                }
            }
            Line::End { task, job, end, files, .. } => {
                if let Some(job) = job_ids::parse(&job) {
                    self.known_ended(&task, job, end, files.as_ref());
                }
            }
            Line::Unreadable { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
