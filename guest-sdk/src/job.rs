//! The job this program runs as: what the environment says of it, the file its events go to, and the one in which the host
//! speaks. Read once; a program outside Potluck has none of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

use crate::abi;

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Job {
    is_inside: bool,
    pub(crate) events: Option<PathBuf>,
    control: Option<PathBuf>,
    pub(crate) restore: Option<PathBuf>,
    task: Option<Task>,
}

/// Which part of a map a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which task this is, from 0.
    pub index: u64,
    /// How many there are.
    pub count: u64,
}

/// Whether this program runs inside Potluck, by the version of the contract that this crate speaks.
#[must_use]
pub fn inside() -> bool {
    Job::of_process().is_inside
}

/// Which task of a map this is; nothing when the job is by itself.
///
/// ```
/// if let Some(task) = potluck_guest::task() {
///     println!("part {} of {}", task.index + 1, task.count);
/// }
/// ```
#[must_use]
pub fn task() -> Option<Task> {
    Job::of_process().task
}

/// Whether whoever waits for this job wants it to end. A program that has asked once has [`abi::CANCEL_GRACE_MS`] to end by
/// itself from then on, and its outputs and result are kept; one that never asked is ended at once. So is one whose machine is taken
/// back: what is to last of it belongs into a checkpoint.
///
/// It reads a file: ask once for each piece of work, not for each number.
#[must_use]
pub fn cancelled() -> bool {
    Job::of_process().is_cancelled()
}

impl Job {
    /// Of this process.
    pub(crate) fn of_process() -> &'static Self {
        static JOB: OnceLock<Job> = OnceLock::new();
        JOB.get_or_init(|| Self::from_variables(|name| std::env::var(name).ok()))
    }

    /// As these variables say. Those of another version of the contract say nothing that is understood here.
    pub(crate) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        if variable(abi::ENV_VERSION) != Some(abi::VERSION.to_string()) {
            return Self::default();
        }
        let path = |name| variable(name).map(PathBuf::from);
        let number = |name| variable(name).and_then(|text| text.parse().ok());
        let task = number(abi::ENV_TASK).zip(number(abi::ENV_TASKS));
        Self {
            is_inside: true,
            events: path(abi::ENV_EVENTS),
            control: path(abi::ENV_CONTROL),
            restore: path(abi::ENV_RESTORE),
            task: task.map(|(index, count)| Task { index, count }),
        }
    }

    /// Appends one event, in one write. Outside Potluck nothing happens.
    pub(crate) fn say(&self, event: &Value) -> io::Result<()> {
        let Some(path) = &self.events else { return Ok(()) };
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        if line.len() > abi::EVENT_LEN_MAX {
            let what = format!("an event has {} bytes at most, and this one {}", abi::EVENT_LEN_MAX, line.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        OpenOptions::new().append(true).create(true).open(path)?.write_all(&line)
    }

    fn is_cancelled(&self) -> bool {
        let Some(path) = &self.control else { return false };
        fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line == abi::CONTROL_CANCEL))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;
    use tempfile::TempDir;

    /// A job whose files lie in a directory of its own.
    pub(crate) struct Scene {
        pub(crate) directory: TempDir,
        pub(crate) job: Job,
    }

    impl Scene {
        pub(crate) fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let job = Job::from_variables(|name| {
                let path = |file: &str| Some(directory.path().join(file).to_str().unwrap().to_owned());
                match name {
                    abi::ENV_VERSION => Some("1".to_owned()),
                    abi::ENV_EVENTS => path("events"),
                    abi::ENV_CONTROL => path("control"),
                    abi::ENV_RESTORE => path("restore"),
                    abi::ENV_TASK => Some("3".to_owned()),
                    abi::ENV_TASKS => Some("10".to_owned()),
                    _ => None,
                }
            });
            Self { directory, job }
        }

        /// What was said so far.
        pub(crate) fn said(&self) -> Vec<Value> {
            let text = fs::read_to_string(self.directory.path().join("events")).unwrap_or_default();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    #[test]
    fn outside_there_is_no_job_and_nothing_happens() {
        let outside = Job::from_variables(|_| None);
        assert_eq!(outside, Job::default());
        assert!(!outside.is_cancelled() && outside.say(&json!({"result": 1})).is_ok());
        assert!(!inside() && !cancelled() && task().is_none(), "this test runs outside");
    }

    #[test]
    fn another_version_of_the_contract_is_not_understood() {
        assert_eq!(
            Job::from_variables(|name| Some(if name == abi::ENV_VERSION { "2" } else { "/x" }.into())),
            Job::default()
        );
    }

    #[test]
    fn a_task_knows_which_it_is() {
        assert_eq!(Scene::new().job.task, Some(Task { index: 3, count: 10 }));
    }

    #[test]
    fn events_are_lines_in_their_order() {
        let scene = Scene::new();
        for number in 0..3 {
            scene.job.say(&json!({"result": number})).unwrap();
        }
        assert_eq!(scene.said(), [json!({"result": 0}), json!({"result": 1}), json!({"result": 2})]);
    }

    #[test]
    fn an_event_that_fits_in_no_line_is_refused_and_not_written() {
        let scene = Scene::new();
        let event = |len: usize| json!({"result": "x".repeat(len)});
        let around = r#"{"result":""}"#.len() + 1;
        scene.job.say(&event(abi::EVENT_LEN_MAX - around)).unwrap();
        let refusal = scene.job.say(&event(abi::EVENT_LEN_MAX - around + 1)).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(scene.said().len(), 1);
    }

    #[test]
    fn a_wish_to_end_is_seen_when_it_is_there_and_other_lines_are_passed_over() {
        let scene = Scene::new();
        assert!(!scene.job.is_cancelled(), "there is no file yet");
        for (text, is_cancelled) in [("", false), ("hurry\n", false), ("hurry\ncancel\n", true)] {
            fs::write(scene.directory.path().join("control"), text).unwrap();
            assert_eq!(scene.job.is_cancelled(), is_cancelled, "{text:?}");
        }
    }
}
