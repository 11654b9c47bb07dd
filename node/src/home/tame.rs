//! What machines say of runs, made fit to be kept, told and printed: short, in one line, and nothing that a terminal would obey.

use crate::state::home::refusal::Refusal;
use crate::wire::Fault;
use potluck_runtime::{GuestProgress, Outcome};

/// Bytes of a sentence of a machine: four thousand of them fit into one list of jobs.
const SENTENCE_LEN_MAX: usize = 500;

/// A sentence of a machine.
pub(super) fn sentence(text: &str) -> String {
    let mut tame = String::with_capacity(text.len().min(SENTENCE_LEN_MAX));
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        if c.is_control() || (c == ' ' && tame.ends_with(' ')) {
            continue;
        }
        if tame.len() + c.len_utf8() > SENTENCE_LEN_MAX - '…'.len_utf8() {
            tame.push('…');
            break;
        }
        tame.push(c);
    }
    tame
}

/// A fault of a machine.
pub(super) fn fault(fault: Fault) -> Fault {
    Fault { text: sentence(&fault.text), ..fault }
}

/// Why a machine does not take a run.
pub(super) fn refusal(why: Refusal) -> Refusal {
    match why {
        Refusal::NotNow { why, retry_after_ms } => Refusal::NotNow { why: sentence(&why), retry_after_ms },
        Refusal::NotHere(why) => Refusal::NotHere(sentence(&why)),
        Refusal::Nowhere(why) => Refusal::Nowhere(sentence(&why)),
        Refusal::Withdrawn => Refusal::Withdrawn,
    }
}

/// How a machine says that a run has ended.
pub(super) fn outcome(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Trapped(why) => Outcome::Trapped(sentence(&why)),
        Outcome::Lost(why) => Outcome::Lost(sentence(&why)),
        Outcome::Exited(_) | Outcome::Limit(_) | Outcome::Cancelled => outcome,
    }
}

/// How far a machine says that a run is.
pub(super) fn progress(progress: GuestProgress) -> GuestProgress {
    GuestProgress { message: sentence(&progress.message), ..progress }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::home::end::{End, LostWhy};
    use crate::state::home::spec::BatchId;
    use crate::wire::{HOME_JOBS_MAX, HomeJobs, JobAt, JobId, JobNow, Tag, encode, payload_len_max};

    #[test]
    fn a_sentence_is_short_in_one_line_and_harmless() {
        assert_eq!(sentence("wasm trap:\n  \u{1b}[2Junreachable"), "wasm trap: [2Junreachable");
        let long = sentence(&"ä\u{7}".repeat(70_000));
        assert!(long.len() <= SENTENCE_LEN_MAX && long.ends_with("ä…"), "{long}");
        assert_eq!(outcome(Outcome::Trapped("a\nb".into())), Outcome::Trapped("a b".into()));
    }

    #[test]
    fn as_many_jobs_as_are_listed_fit_into_one_answer_whatever_machines_said_of_them() {
        let said = format!("{} did not go on with it: {}", "n".repeat(63), sentence(&"ä".repeat(70_000)));
        let now = |at| JobNow {
            job: JobId([1; 16]),
            map: Some(BatchId(JobId([2; 16]))),
            task: Some(u32::MAX),
            at,
            place: Some("n".repeat(63)),
            attempt: u32::MAX,
            progress: None,
            checkpoint: None,
        };
        let jobs = vec![now(JobAt::Waits(Some(said.clone()))); HOME_JOBS_MAX];
        assert!(encode(&HomeJobs { jobs, count: u64::MAX, waiting: u64::MAX }).len() <= payload_len_max(Tag::HOME_IS));
        let amount = potluck_runtime::Amount::new(0.1);
        let doing = GuestProgress { done: amount.unwrap(), total: amount, message: "ä".repeat(70_000) };
        let runs = JobNow { progress: Some(progress(doing)), ..now(JobAt::Runs) };
        let jobs = HomeJobs { jobs: vec![runs; HOME_JOBS_MAX], count: u64::MAX, waiting: u64::MAX };
        assert!(encode(&jobs).len() <= payload_len_max(Tag::HOME_IS));
        let lost = JobAt::Ended(End::Lost(LostWhy::Poison { times: u32::MAX, last: said }));
        assert!(encode(&now(lost)).len() <= payload_len_max(Tag::JOB_IS));
    }
}
