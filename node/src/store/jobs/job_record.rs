//! What is known of a job: the words of the store. Texts are cut to size where a record is made, so that what strangers
//! name themselves costs a bounded number of bytes.

use crate::identity::NodeId;
use crate::wire::{JobId, JobProgram, SubmitJob};
use potluck_runtime::{Digest, JsonText, Outcome, Report};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes of a program's name, of its arguments together, and of a reason, that are kept.
pub const TEXT_LEN_MAX: usize = 512;
/// Bytes of a result that is kept in the history.
const RESULT_LEN_MAX: usize = 4 << 10;

/// Which side of a job this machine was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It gave the job away, or to itself.
    Sent,
    /// It ran the job for another.
    Ran,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Ran => "ran",
        }
    }

    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Sent => 0,
            Self::Ran => 1,
        }
    }

    pub(super) const fn of_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Sent),
            1 => Some(Self::Ran),
            _ => None,
        }
    }
}

/// The machine at the other end of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherEnd {
    /// Its key.
    pub id: NodeId,
    /// Its label then.
    pub name: String,
}

/// How a job ended. It ends once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The program ended with this code.
    Exited(i32),
    /// The program did what is forbidden.
    Trapped(String),
    /// A limit ended it.
    Limit(String),
    /// Somebody ended it; who and why, or nothing.
    Cancelled(String),
    /// What became of it is not known, or not to be had any more.
    Lost(String),
    /// It was never run.
    Refused(String),
}

impl End {
    /// Somebody ended it, and nothing more is known.
    #[must_use]
    pub const fn cancelled() -> Self {
        Self::Cancelled(String::new())
    }

    /// A loss, with what is known of why.
    #[must_use]
    pub fn lost(why: &str) -> Self {
        Self::Lost(cut(why))
    }

    /// A refusal, with its reason.
    #[must_use]
    pub fn refused(why: &str) -> Self {
        Self::Refused(cut(why))
    }

    /// Whether the program ended by itself and well.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The reason, where there is one.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Exited(_) => None,
            Self::Cancelled(why) => Some(why.as_str()).filter(|why| !why.is_empty()),
            Self::Trapped(why) | Self::Limit(why) | Self::Lost(why) | Self::Refused(why) => Some(why),
        }
    }

    /// The code the program ended with.
    #[must_use]
    pub const fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(*code),
            Self::Trapped(_) | Self::Limit(_) | Self::Cancelled(_) | Self::Lost(_) | Self::Refused(_) => None,
        }
    }

    pub(super) const fn number(&self) -> i64 {
        match self {
            Self::Exited(_) => 0,
            Self::Trapped(_) => 1,
            Self::Limit(_) => 2,
            Self::Cancelled(_) => 3,
            Self::Lost(_) => 4,
            Self::Refused(_) => 5,
        }
    }

    pub(super) fn of_columns(number: i64, code: Option<i32>, why: Option<String>) -> Option<Self> {
        let why = why.unwrap_or_default();
        Some(match number {
            0 => Self::Exited(code?),
            1 => Self::Trapped(why),
            2 => Self::Limit(why),
            3 => Self::Cancelled(why),
            4 => Self::Lost(why),
            5 => Self::Refused(why),
            _ => return None,
        })
    }
}

impl From<&Outcome> for End {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Exited(code) => Self::Exited(*code),
            Outcome::Trapped(why) => Self::Trapped(cut(why)),
            Outcome::Limit(hit) => Self::Limit(cut(&hit.to_string())),
            Outcome::Cancelled => Self::cancelled(),
            Outcome::Lost(why) => Self::Lost(cut(why)),
        }
    }
}

/// In a word or two.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(0) => f.write_str("done"),
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Trapped(_) => f.write_str("trapped"),
            Self::Limit(_) => f.write_str("limit"),
            Self::Cancelled(_) => f.write_str("cancelled"),
            Self::Lost(_) => f.write_str("lost"),
            Self::Refused(_) => f.write_str("refused"),
        }
    }
}

/// A job, as this machine saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Which.
    pub id: JobId,
    /// Which side of it this machine was.
    pub role: Role,
    /// The other side; none where both are this machine.
    pub peer: Option<OtherEnd>,
    /// What the program is called.
    pub program: String,
    /// The program's bytes, where it came so far.
    pub digest: Option<Digest>,
    /// Its arguments, in one line.
    pub args: String,
    /// When it was given to Potluck, in milliseconds since 1970 by this machine's clock, as all times here.
    pub submitted_ms: u64,
    /// When its guest started, last.
    pub started_ms: Option<u64>,
    /// When it ended; there exactly when `end` is.
    pub ended_ms: Option<u64>,
    /// How it ended.
    pub end: Option<End>,
    /// Fuel of the run that counts.
    pub fuel: u64,
    /// Wall time of the run that counts.
    pub wall_ms: u64,
    /// The most memory that run held.
    pub memory_peak_bytes: u64,
    /// Bytes of program and inputs.
    pub bytes_in: u64,
    /// Bytes printed and brought back.
    pub bytes_out: u64,
    /// Runs so far.
    pub attempts: u32,
    /// The map it is a task of, and which.
    pub task: Option<(JobId, u32)>,
    /// Its place among its submitter's jobs.
    pub priority: i8,
    /// Who gave it, among those who share this machine's home; empty for the owner.
    pub submitter: String,
    /// Until when its output is kept, of one that was given to this machine's home; 0 when it is not any more.
    pub keep_until_ms: Option<u64>,
    /// What its guest says it has come to, if that is short: all of it is in the recording. None of what was run for another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JsonText>,
}

impl JobRecord {
    /// Whether its output was kept, and is not any more.
    #[must_use]
    pub fn output_is_gone(&self) -> bool {
        self.keep_until_ms == Some(0)
    }

    /// A job that was given to Potluck now and of which no more is known.
    #[must_use]
    pub fn begun(id: JobId, role: Role, program: &str, args: &[String], now_ms: u64) -> Self {
        Self {
            id,
            role,
            peer: None,
            program: cut(program),
            digest: None,
            args: in_one_line(args),
            submitted_ms: now_ms,
            started_ms: None,
            ended_ms: None,
            end: None,
            fuel: 0,
            wall_ms: 0,
            memory_peak_bytes: 0,
            bytes_in: 0,
            bytes_out: 0,
            attempts: 0,
            task: None,
            priority: 0,
            submitter: String::new(),
            keep_until_ms: None,
            result: None,
        }
    }

    /// A job that was asked for so, now.
    #[must_use]
    pub fn asked(job: &SubmitJob, role: Role, now_ms: u64) -> Self {
        let (file, digest) = job.program_file();
        let title = match &job.program {
            JobProgram::Container(container) => Some(container.title()),
            JobProgram::Wasm { .. } | JobProgram::Script { .. } | JobProgram::Session { .. } => None,
        };
        let program = title.as_deref().unwrap_or(file);
        Self { digest, bytes_in: job.bytes_in(), ..Self::begun(job.job, role, program, &job.args, now_ms) }
    }

    /// The run that counts ended so.
    pub fn reported(&mut self, report: &Report) {
        self.fuel = report.fuel_used;
        self.wall_ms = report.wall_ms;
        self.memory_peak_bytes = report.memory_peak_bytes;
        self.end = Some(End::from(&report.outcome));
    }

    /// Its guest says that it has come to this.
    pub fn came_to(&mut self, result: Option<&JsonText>) {
        self.result = result.filter(|result| result.as_str().len() <= RESULT_LEN_MAX).cloned();
    }

    /// The same job, ended now.
    #[must_use]
    pub fn ended(mut self, end: End, now_ms: u64) -> Self {
        self.end = Some(end);
        self.ended_ms = Some(now_ms);
        self
    }
}

/// One attempt to execute a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The job.
    pub job: JobId,
    /// Which side of it this machine is.
    pub role: Role,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Where, if not here.
    pub peer: Option<NodeId>,
    /// When it was decided or accepted.
    pub accepted_ms: u64,
    /// When its guest started.
    pub started_ms: Option<u64>,
    /// When it ended; there exactly when `end` is.
    pub ended_ms: Option<u64>,
    /// How.
    pub end: Option<End>,
    /// Fuel it used.
    pub fuel: u64,
}

/// The beginning of a text that may have any length.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= TEXT_LEN_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_LEN_MAX - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// Arguments as one text, of which no more than the beginning is built.
fn in_one_line(args: &[String]) -> String {
    let mut line = String::new();
    for arg in args {
        if line.len() > TEXT_LEN_MAX {
            break;
        }
        let separator = if line.is_empty() { "" } else { " " };
        let quoted = arg.is_empty() || arg.contains(char::is_whitespace);
        let arg = cut(arg);
        line.push_str(separator);
        if quoted { line.push_str(&format!("{arg:?}")) } else { line.push_str(&arg) }
    }
    cut(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_kept_if_it_is_short() {
        let result = |len: usize| JsonText::parse(format!("\"{}\"", "x".repeat(len - 2))).ok();
        let mut record = JobRecord::begun(JobId([1; 16]), Role::Sent, "p", &[], 1);
        for (len, is_kept) in [(RESULT_LEN_MAX, true), (RESULT_LEN_MAX + 1, false)] {
            record.came_to(result(len).as_ref());
            assert_eq!(record.result.is_some(), is_kept, "{len} bytes");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let long = "ä".repeat(TEXT_LEN_MAX);
        let short = cut(&long);
        assert!(short.len() <= TEXT_LEN_MAX && short.ends_with("ä…"), "{}", short.len());
        assert_eq!(cut("soup"), "soup");
    }

    #[test]
    fn arguments_stand_in_one_line_of_bounded_length() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(in_one_line(&words(&["-n", "two words", ""])), "-n \"two words\" \"\"");
        assert!(in_one_line(&vec!["x".repeat(100); 100_000]).len() <= TEXT_LEN_MAX);
    }

    #[test]
    fn ends_go_through_columns_unchanged() {
        let why = || "why".to_owned();
        let ends = [End::Exited(-3), End::Trapped(why()), End::Limit(why()), End::cancelled(), End::Lost(why())];
        for end in ends.into_iter().chain([End::Refused(why()), End::Cancelled(why())]) {
            let why = end.why().map(str::to_owned);
            assert_eq!(End::of_columns(end.number(), end.exit_code(), why), Some(end));
        }
        assert_eq!(End::of_columns(9, None, None), None);
        assert_eq!(End::of_columns(0, None, None), None, "an exit without a code");
    }
}
