//! How far a job is, in the words of people, of programs and of exit codes: one vocabulary for what the node says of jobs
//! it sees to and for what the records say of those that ended long ago.

use crate::exit;
use crate::outcome;
use potluck_node::state::home::end::{End, Failure};
use potluck_node::store::jobs;
use potluck_node::wire::{JobAt, JobNow};
use potluck_runtime::{LimitKind, Outcome};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits; again, if there is a reason.
    Waits(Option<String>),
    /// A machine has it.
    Sent(String),
    /// Its guest runs.
    Runs(String),
    /// It has ended.
    Ended(Ending),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) kind: EndKind,
    /// As `run` would exit.
    pub(crate) exit_code: u8,
    /// In a word or two, where the kind is not all.
    detail: Option<String>,
    /// What a person is told who sees what the program printed.
    pub(crate) why: Option<String>,
}

/// The four ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndKind {
    /// Its program ended with code 0.
    Done,
    /// Its program did not, or is none.
    Failed,
    /// Nobody wanted it any more.
    Cancelled,
    /// The machines failed it.
    Lost,
}

impl EndKind {
    /// The word for it, which is also how it is written down.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

impl Standing {
    /// The word for it.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Waits(_) => "waiting",
            Self::Sent(_) => "sent",
            Self::Runs(_) => "running",
            Self::Ended(ending) => ending.kind.word(),
        }
    }

    /// Why it waits again, or ended so.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Self::Waits(again) => again.as_deref(),
            Self::Sent(_) | Self::Runs(_) => None,
            Self::Ended(ending) => ending.why.as_deref(),
        }
    }
}

impl From<&JobNow> for Standing {
    fn from(job: &JobNow) -> Self {
        let place = || job.place.clone().unwrap_or_else(|| "a machine".to_owned());
        match &job.at {
            JobAt::Waits(again) => Self::Waits(again.clone()),
            JobAt::Sent => Self::Sent(place()),
            JobAt::Runs => Self::Runs(place()),
            JobAt::Ended(end) => Self::Ended(Ending::from(end)),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waits(_) => f.write_str("waiting"),
            Self::Sent(place) => write!(f, "sent to {place}"),
            Self::Runs(place) => write!(f, "running on {place}"),
            Self::Ended(ending) => ending.fmt(f),
        }
    }
}

impl Ending {
    const fn plain(kind: EndKind, exit_code: u8) -> Self {
        Self { kind, exit_code, detail: None, why: None }
    }

    fn failed(exit_code: u8, detail: String, why: Option<String>) -> Self {
        Self { kind: EndKind::Failed, exit_code, detail: Some(detail), why }
    }

    /// The machines failed it.
    pub(crate) fn lost(why: String) -> Self {
        Self { why: Some(why), ..Self::plain(EndKind::Lost, exit::FAILED) }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

impl From<&End> for Ending {
    fn from(end: &End) -> Self {
        match end {
            End::Done => Self::plain(EndKind::Done, exit::SUCCESS),
            End::Failed(Failure::Outcome(outcome)) => {
                let detail = match outcome {
                    Outcome::Exited(code) => format!("exit {code}"),
                    Outcome::Trapped(_) => "trapped".to_owned(),
                    Outcome::Limit(hit) => format!("{} limit", hit.kind),
                    Outcome::Cancelled => "ended by somebody".to_owned(),
                    Outcome::Lost(_) => "worker lost".to_owned(),
                };
                Self::failed(exit::code_of_outcome(outcome), detail, outcome::explanation(outcome))
            }
            End::Failed(Failure::Refused(why)) => {
                Self::failed(exit::CANNOT_RUN, "cannot be run".to_owned(), Some(format!("it cannot be run: {why}")))
            }
            End::Cancelled => Self {
                why: outcome::explanation(&Outcome::Cancelled),
                ..Self::plain(EndKind::Cancelled, exit::CANCELLED)
            },
            End::Lost(why) => Self::lost(format!("the job was lost: {why}")),
        }
    }
}

impl From<&jobs::End> for Ending {
    fn from(end: &jobs::End) -> Self {
        match end {
            jobs::End::Exited(0) => Self::plain(EndKind::Done, exit::SUCCESS),
            jobs::End::Exited(code) => {
                Self::failed(exit::code_of_outcome(&Outcome::Exited(*code)), format!("exit {code}"), None)
            }
            jobs::End::Trapped(why) => {
                Self::failed(exit::TRAPPED, "trapped".to_owned(), Some(format!("the program trapped: {why}")))
            }
            jobs::End::Limit(why) => {
                // The records keep the sentence, which begins with the limit's name.
                let met_time = why.starts_with(&LimitKind::WallTime.to_string());
                let code = if met_time { exit::WALL_TIME } else { exit::LIMIT };
                Self::failed(code, "limit".to_owned(), Some(format!("stopped by its {why}")))
            }
            jobs::End::Cancelled(why) => {
                let told = Self::from(&End::Cancelled);
                if why.is_empty() { told } else { Self { why: Some(format!("the job was cancelled: {why}")), ..told } }
            }
            jobs::End::Lost(why) => Self::lost(format!("the job was lost: {why}")),
            jobs::End::Refused(why) => Self::from(&End::Failed(Failure::Refused(why.clone()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_node::state::home::end::LostWhy;
    use potluck_runtime::LimitHit;

    #[test]
    fn every_end_has_the_code_that_run_would_give() {
        let limit = LimitHit { kind: LimitKind::WallTime, used: 2, allowed: 1 };
        for (end, text, code) in [
            (End::Done, "done", 0),
            (End::Failed(Failure::Outcome(Outcome::Exited(3))), "failed (exit 3)", 3),
            (End::Failed(Failure::Outcome(Outcome::Limit(limit))), "failed (wall time limit)", 124),
            (End::Failed(Failure::Refused("no module".into())), "failed (cannot be run)", 126),
            (End::Cancelled, "cancelled", 130),
            (End::Lost(LostWhy::Vanished { runs: 3, last: "silence".into() }), "lost", 125),
        ] {
            let ending = Ending::from(&end);
            assert_eq!((ending.to_string().as_str(), ending.exit_code), (text, code), "{end}");
        }
    }

    #[test]
    fn the_records_say_the_same_of_a_job_as_the_node_does() {
        for outcome in [
            Outcome::Exited(7),
            Outcome::Trapped("unreachable".into()),
            Outcome::Limit(LimitHit { kind: LimitKind::WallTime, used: 2, allowed: 1 }),
            Outcome::Limit(LimitHit { kind: LimitKind::Fuel, used: 2, allowed: 1 }),
        ] {
            let kept = Ending::from(&jobs::End::from(&outcome));
            let told = Ending::from(&End::Failed(Failure::Outcome(outcome)));
            assert_eq!((kept.kind, kept.exit_code), (told.kind, told.exit_code));
        }
    }
}
