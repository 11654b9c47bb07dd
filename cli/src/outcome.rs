//! How a job or a turn ended, in the words of people and of programs. The object's fields are stable.

use crate::quantity::{ByteSize, Fuel, Span};
use crate::render::{say, tame};
use potluck_node::wire::Ended;
use potluck_runtime::{LimitHit, LimitKind, LimitUnit, Outcome};
use serde::Serialize;
use std::time::Duration;

/// How it ended, for programs.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum OutcomeObject {
    Exited {
        code: i32,
    },
    Trapped {
        why: String,
    },
    Limit {
        limit: LimitKind,
        used: u64,
        allowed: u64,
    },
    Cancelled,
    Lost {
        why: String,
    },
    /// It has not run, or nobody knows how it ended.
    Failed {
        why: String,
    },
}

impl From<Outcome> for OutcomeObject {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Exited(code) => Self::Exited { code },
            Outcome::Trapped(why) => Self::Trapped { why },
            Outcome::Limit(LimitHit { kind, used, allowed }) => Self::Limit { limit: kind, used, allowed },
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Lost(why) => Self::Lost { why },
        }
    }
}

/// The sentence for an outcome, if the job itself has not said enough.
pub(crate) fn explanation(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Exited(_) => None,
        Outcome::Trapped(why) => Some(format!("the program trapped: {why}")),
        Outcome::Limit(hit) => Some(limit_sentence(hit)),
        Outcome::Cancelled => Some("the job was cancelled".to_owned()),
        Outcome::Lost(why) => Some(format!("the worker was lost: {why}")),
    }
}

/// Says what of its files a run could not bring.
pub(crate) fn tell_left_behind(ended: &Ended) {
    ended.left_behind.iter().for_each(|left| say(&format!("not brought back: {}", tame(left))));
}

fn limit_sentence(hit: &LimitHit) -> String {
    let amount = |value: u64| match hit.kind.unit() {
        LimitUnit::Fuel => Fuel(value).to_string(),
        LimitUnit::Milliseconds => Span(Duration::from_millis(value)).to_string(),
        LimitUnit::Bytes => ByteSize(value).to_string(),
        LimitUnit::Count => value.to_string(),
    };
    let remedy = hit.kind.flag().map(|flag| format!("; `{flag}` raises it")).unwrap_or_default();
    format!("stopped by its {} limit: used {} of {}{remedy}", hit.kind, amount(hit.used), amount(hit.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_which_how_much_and_which_flag_raises_it() {
        let hit = LimitHit { kind: LimitKind::Memory, used: 3 << 29, allowed: 1 << 30 };
        let sentence = limit_sentence(&hit);
        assert_eq!(sentence, "stopped by its memory limit: used 1.5 GiB of 1 GiB; `--memory` raises it");
        let hit = LimitHit { kind: LimitKind::WallTime, used: 60_000, allowed: 60_000 };
        assert_eq!(limit_sentence(&hit), "stopped by its wall time limit: used 1m of 1m; `--timeout` raises it");
    }

    #[test]
    fn a_job_that_ends_by_itself_needs_no_explanation() {
        assert_eq!(explanation(&Outcome::Exited(1)), None);
        assert!(explanation(&Outcome::Cancelled).is_some());
    }
}
