//! Where each task of a map stands: who has it, how it ended, and how that is written down. Every task is in exactly one
//! state, so that the counts come to the number of tasks whatever happens.

use super::journal::{InputLine, Journal, Known};
use super::plan::Task;
use crate::guest_words::OwnJson;
use crate::standing::{EndKind, Ending};
use anyhow::Context;
use potluck_node::state::home::spec::BatchId;
use potluck_node::wire::JobId;
use potluck_runtime::Digest;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Failures that are listed with their last line; the others are counted.
pub(super) const FAILURES_MAX: usize = 20;
/// Tasks that are listed with what of their files was not brought back; the others are counted.
pub(super) const LEFT_BEHIND_MAX: usize = 20;
/// Files that are named of each of them.
const LEFT_NAMES_MAX: usize = 5;

/// The account of a map.
pub(super) struct Account {
    pub(super) dir: PathBuf,
    pub(super) tasks: Vec<Task>,
    /// Changed by [`Account::set`] alone, so that `counts` are theirs.
    states: Vec<State>,
    counts: Counts,
    journal: Journal,
    /// Jobs that were given and have not ended, with their tasks.
    unended: HashMap<JobId, usize>,
    /// Tasks that were done on each machine since this command began.
    pub(super) places: BTreeMap<String, u64>,
    failures: BTreeMap<usize, Failure>,
    left_behind: Vec<LeftBehind>,
    /// Tasks of whose files some were not brought back.
    left_behind_count: u64,
    /// Whether one failed and the others are not to go on.
    pub(super) stopped: bool,
    /// Whether the others go on when one fails.
    keep_going: bool,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is not given.
    Open,
    /// The node has it.
    Given,
    /// It was done before this command began.
    Skipped,
    /// It cannot be given: its input cannot be read.
    Unreadable,
    /// It has ended.
    Ended(EndKind),
}

/// What came of a job that has ended, beside what is in its files.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// The last line of its stderr.
    pub(super) last_line: String,
    /// The files it made, by their places in its folder; none when nothing came, and what an earlier job left is still there.
    pub(super) files: Option<Vec<String>>,
    /// What of its files could not be brought.
    pub(super) left_behind: Vec<String>,
    /// What its program says it has come to.
    pub(super) result: Option<OwnJson>,
}

/// What of a task's files was not brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LeftBehind {
    pub(super) task: String,
    pub(super) count: usize,
    /// The first of them.
    pub(super) paths: Vec<String>,
}

/// The jobs of a map that an earlier command has given, with their tasks.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Those that the node has.
    pub(super) given: Vec<(JobId, usize)>,
    /// Those that it does not know: the command ended while they were given, and the node may be taking them in just now.
    pub(super) unsure: Vec<(JobId, usize)>,
}

/// A task that did not end well.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failure {
    pub(super) task: String,
    pub(super) state: EndKind,
    pub(super) exit_code: u8,
    /// The last line of its stderr, or why it did not run.
    pub(super) last_line: String,
    /// Where all of its stderr is.
    pub(super) log: Option<String>,
}

/// How many tasks stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) total: u64,
    pub(super) given: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) lost: u64,
    pub(super) skipped: u64,
    /// Not given, because their inputs cannot be read.
    pub(super) unreadable: u64,
    /// Not given, because the map was left or stopped before.
    pub(super) open: u64,
    /// Given and not ended, because the map was left before.
    pub(super) running: u64,
}

impl Account {
    pub(super) fn new(dir: &Path, tasks: Vec<Task>, journal: Journal, keep_going: bool) -> Self {
        let states = vec![State::Open; tasks.len()];
        let total = tasks.len() as u64;
        Self {
            dir: dir.to_owned(),
            tasks,
            states,
            counts: Counts { total, open: total, ..Counts::default() },
            journal,
            unended: HashMap::new(),
            places: BTreeMap::new(),
            failures: BTreeMap::new(),
            left_behind: Vec::new(),
            left_behind_count: 0,
            stopped: false,
            keep_going,
        }
    }

    /// The tasks that were given and have not ended, by their maps.
    pub(super) fn resume(
        &mut self,
        knows: impl Fn(JobId) -> anyhow::Result<bool>,
    ) -> anyhow::Result<HashMap<BatchId, Before>> {
        let index: HashMap<&str, usize> = self.tasks.iter().map(|task| task.name.as_str()).zip(0..).collect();
        let mut maps: HashMap<BatchId, Before> = HashMap::new();
        for (name, Known { job, map, .. }) in self.journal.unended() {
            let Some(task) = index.get(name).copied() else { continue };
            let before = maps.entry(*map).or_default();
            let list = if knows(*job)? { &mut before.given } else { &mut before.unsure };
            list.push((*job, task));
        }
        let given = maps.values().flat_map(|before| &before.given);
        given.for_each(|(_, task)| self.set(*task, State::Given));
        Ok(maps)
    }

    /// These are followed now.
    pub(super) fn take_up(&mut self, jobs: Vec<(JobId, usize)>) {
        self.unended.extend(jobs);
    }

    /// Tasks that were about to be given and are not.
    pub(super) fn take_back(&mut self, jobs: impl Iterator<Item = JobId>) {
        for job in jobs {
            if let Some(task) = self.unended.remove(&job) {
                self.set(task, State::Open);
            }
        }
    }

    /// What is known of a task from before.
    pub(super) fn known(&self, task: usize) -> Option<&Known> {
        self.journal.known(&self.tasks[task].name)
    }

    /// Whether a task is to be given, now that it is known what it asks for. One that is done with just that is not, nor is one
    /// that ended since this command began.
    pub(super) fn wants(&mut self, task: usize, request: &Digest) -> bool {
        let known = self.known(task).filter(|known| known.request == *request).map(|known| known.end);
        match (self.states[task], known) {
            (State::Open, Some(Some(EndKind::Done))) if self.tasks[task].out(&self.dir).exists() => {
                self.set(task, State::Skipped);
                false
            }
            (State::Given | State::Skipped | State::Unreadable, _) | (State::Ended(_), Some(_)) => false,
            (State::Open, _) | (State::Ended(_), None) => true,
        }
    }

    /// Whether a task may be given again under the id it had: it asks for what it asked for then.
    pub(super) fn wants_again(&self, task: usize, request: &Digest) -> bool {
        self.states[task] == State::Open && self.known(task).is_some_and(|known| known.request == *request)
    }

    /// What follows is given under this map.
    pub(super) fn begin(&mut self, map: BatchId) -> anyhow::Result<()> {
        self.journal.begin(map)
    }

    /// A task is about to be given.
    pub(super) fn give(
        &mut self,
        task: usize,
        inputs: Vec<InputLine>,
        request: Digest,
        job: JobId,
    ) -> anyhow::Result<()> {
        self.failures.remove(&task);
        self.set(task, State::Given);
        self.unended.insert(job, task);
        self.journal.task((task, &self.tasks[task]), inputs, request, job)
    }

    /// The task of a job that has not ended.
    pub(super) fn task_of(&self, job: JobId) -> Option<usize> {
        self.unended.get(&job).copied()
    }

    /// The jobs that were given and have not ended.
    pub(super) fn unended(&self) -> impl ExactSizeIterator<Item = JobId> {
        self.unended.keys().copied()
    }

    /// A job of this map has ended, and its results are in their place.
    pub(super) fn end(&mut self, job: JobId, ending: &Ending, place: Option<&str>, came: Came) -> anyhow::Result<()> {
        let Some(task) = self.unended.remove(&job) else { return Ok(()) };
        if let (EndKind::Done, Some(place)) = (ending.kind, place) {
            *self.places.entry(place.to_owned()).or_default() += 1;
        }
        self.not_brought(task, &came.left_behind);
        self.ended(task, State::Ended(ending.kind), ending, came.last_line);
        self.journal.end(&self.tasks[task].name, job, ending, (came.files, came.result))
    }

    /// A task cannot be given.
    pub(super) fn unreadable(&mut self, task: usize, ending: &Ending) -> anyhow::Result<()> {
        self.ended(task, State::Unreadable, ending, String::new());
        self.journal.unreadable(&self.tasks[task].name, ending)
    }

    fn not_brought(&mut self, task: usize, left: &[String]) {
        if left.is_empty() {
            return;
        }
        self.left_behind_count += 1;
        if self.left_behind.len() < LEFT_BEHIND_MAX {
            let (task, paths) = (self.tasks[task].name.clone(), left.iter().take(LEFT_NAMES_MAX).cloned().collect());
            self.left_behind.push(LeftBehind { task, count: left.len(), paths });
        }
    }

    fn ended(&mut self, task: usize, state: State, ending: &Ending, last_line: String) {
        self.stopped |= matches!(ending.kind, EndKind::Failed | EndKind::Lost) && !self.keep_going;
        self.set(task, state);
        if ending.kind == EndKind::Done || self.failures.len() >= FAILURES_MAX {
            return;
        }
        let log = self.tasks[task].err(&self.dir);
        let why = ending.why.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let failure = Failure {
            task: self.tasks[task].name.clone(),
            state: ending.kind,
            exit_code: ending.exit_code,
            last_line: if last_line.is_empty() { why.to_owned() } else { last_line },
            log: log.exists().then(|| log.display().to_string()),
        };
        self.failures.insert(task, failure);
    }

    /// Tells what the programs of its tasks say they have come to, by the names of the tasks. They may be more than memory holds.
    pub(super) fn each_result(
        &mut self,
        mut tell: impl FnMut(&str, &RawValue) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let ours: HashSet<&str> = self.tasks.iter().map(|task| task.name.as_str()).collect();
        let told =
            self.journal.each_result(|task, result| if ours.contains(task) { tell(task, result) } else { Ok(()) });
        told.context("cannot tell the results of the map")
    }

    /// Writes down what is not yet.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.journal.flush()
    }

    /// The first of those that did not end well.
    pub(super) fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.failures.values()
    }

    /// The first tasks of whose files some were not brought back, and how many there are.
    pub(super) fn left_behind(&self) -> (&[LeftBehind], u64) {
        (&self.left_behind, self.left_behind_count)
    }

    /// How many tasks stand where.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    fn set(&mut self, task: usize, state: State) {
        *self.counts.of(self.states[task]) -= 1;
        *self.counts.of(state) += 1;
        self.states[task] = state;
        let Counts { total, open, skipped, unreadable, .. } = self.counts;
        self.counts.given = total - open - skipped - unreadable;
    }
}

impl Counts {
    const fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Open => &mut self.open,
            State::Given => &mut self.running,
            State::Skipped => &mut self.skipped,
            State::Unreadable => &mut self.unreadable,
            State::Ended(EndKind::Done) => &mut self.done,
            State::Ended(EndKind::Failed) => &mut self.failed,
            State::Ended(EndKind::Cancelled) => &mut self.cancelled,
            State::Ended(EndKind::Lost) => &mut self.lost,
        }
    }
}

#[cfg(test)]
mod tests;
