//! How a job is summed up: the sentence for people, the object for programs, the exit code for scripts. The object's
//! fields are stable; it is the same object whether the job ran or could not.

use crate::capture::{Capture, PrintedObject};
use crate::exit;
use crate::guest_words::{EventObject, OwnJson};
use crate::outcome::{OutcomeObject, explanation, tell_left_behind};
use crate::render::{say, tame};
use potluck_node::wire::{Ended, JobId};
use potluck_runtime::{GuestEvent, Outcome};
use serde::Serialize;

/// What is known of a job when it has ended.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) job: Option<JobId>,
    pub(super) peer: Option<String>,
    pub(super) ended: Option<Ended>,
    pub(super) outputs: Vec<OutputEntry>,
    pub(super) capture: Option<Capture>,
    /// What its guest said of itself, for the object; as much as a job may say.
    pub(super) events: Vec<GuestEvent>,
    /// Whoever read our stdout went away.
    pub(super) reader_gone: bool,
    /// We were told to end it. A program may still end by itself on the way, for its input ends then.
    pub(super) interrupted: bool,
}

/// One file that came back.
#[derive(Debug, Serialize)]
pub(super) struct OutputEntry {
    pub(super) path: String,
    pub(super) size: u64,
    /// BLAKE3 of its content, in hexadecimal.
    pub(super) digest: String,
}

/// The object of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct JobObject {
    job: Option<String>,
    peer: Option<String>,
    outcome: OutcomeObject,
    exit_code: u8,
    fuel_used: u64,
    wall_ms: u64,
    memory_peak_bytes: u64,
    #[serde(flatten)]
    printed: PrintedObject,
    outputs: Vec<OutputEntry>,
    /// What the program says it has come to.
    result: Option<OwnJson>,
    /// What it said of itself, in order.
    events: Vec<EventObject>,
}

/// The object of a job that has no outcome.
pub(super) fn of_failure(why: &str, exit_code: u8) -> JobObject {
    let outcome = if exit_code == exit::CANCELLED {
        OutcomeObject::Cancelled
    } else {
        OutcomeObject::Failed { why: why.to_owned() }
    };
    JobObject {
        job: None,
        peer: None,
        outcome,
        exit_code,
        fuel_used: 0,
        wall_ms: 0,
        memory_peak_bytes: 0,
        printed: PrintedObject::default(),
        outputs: Vec::new(),
        result: None,
        events: Vec::new(),
    }
}

impl Summary {
    /// What `potluck run` exits with.
    pub(super) fn exit_code(&self) -> u8 {
        match &self.ended {
            _ if self.reader_gone || self.interrupted => exit::CANCELLED,
            Some(ended) => exit::code_of_outcome(&ended.report.outcome),
            None => exit::FAILED,
        }
    }

    /// Says on stderr what the exit code alone does not.
    pub(super) fn explain(&self) {
        let Some(ended) = &self.ended else { return };
        if let Some(sentence) = self.sentence(&ended.report.outcome) {
            // A trap's backtrace has several lines, each of which may hold what the program chose.
            sentence.lines().for_each(|line| say(&tame(line)));
        }
        tell_left_behind(ended);
    }

    /// Why it ended, where that needs to be said.
    fn sentence(&self, outcome: &Outcome) -> Option<String> {
        match outcome {
            _ if self.reader_gone => None,
            _ if self.interrupted => explanation(&Outcome::Cancelled),
            outcome => explanation(outcome),
        }
    }

    /// The object of this job.
    pub(super) fn into_json(self) -> JobObject {
        let exit_code = self.exit_code();
        let mut object = of_failure("the job ended without a word", exit_code);
        object.job = self.job.map(|job| job.to_string());
        object.peer = self.peer;
        object.outputs = self.outputs;
        object.events = self.events.into_iter().map(EventObject).collect();
        if let Some(Ended { report, result, .. }) = self.ended {
            object.result = result.as_ref().map(OwnJson::from);
            object.outcome = report.outcome.into();
            object.fuel_used = report.fuel_used;
            object.wall_ms = report.wall_ms;
            object.memory_peak_bytes = report.memory_peak_bytes;
        }
        object.printed = self.capture.as_ref().map(PrintedObject::from).unwrap_or_default();
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_runtime::Report;

    fn summary(outcome: Outcome) -> Summary {
        let report = Report { outcome, fuel_used: 5, wall_ms: 6, memory_peak_bytes: 7 };
        Summary {
            ended: Some(Ended { report, left_behind: Vec::new(), result: None, receipt: None }),
            ..Summary::default()
        }
    }

    #[test]
    fn the_object_names_the_outcome_and_carries_the_figures() {
        let object = serde_json::to_value(summary(Outcome::Exited(3)).into_json()).unwrap();
        assert_eq!(object["outcome"], serde_json::json!({"kind": "exited", "code": 3}));
        assert_eq!((&object["exit_code"], &object["fuel_used"]), (&3.into(), &5.into()));
        assert!(object.get("stdout_base64").is_none());
    }

    #[test]
    fn an_output_nobody_reads_counts_as_cancelled() {
        let mut summary = summary(Outcome::Exited(0));
        summary.reader_gone = true;
        assert_eq!(summary.exit_code(), exit::CANCELLED);
    }

    #[test]
    fn a_job_that_ended_by_itself_when_it_was_interrupted_counts_as_cancelled() {
        let mut summary = summary(Outcome::Exited(0));
        summary.interrupted = true;
        assert_eq!(summary.exit_code(), exit::CANCELLED);
        assert_eq!(summary.sentence(&Outcome::Exited(0)).as_deref(), Some("the job was cancelled"));
    }
}
