//! Why a run was not taken, and what a fault of a machine says of that: the same at home as at its runner.

use crate::wire::{Fault, FaultCode};

/// When a machine is asked again that does not say when.
const RETRY_AFTER_MS: u64 = 30_000;

/// When a machine is asked again whose owner ended a run without saying until when.
pub const EVICTED_RETRY_MS: u64 = 5_000;

/// Why a run was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now: no place, no quota, its owner's rules. The machine is asked again after so long.
    NotNow {
        /// In the words of that machine.
        why: String,
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// Not this job, ever, on this machine: larger than it lends, say.
    NotHere(String),
    /// No machine would take it: the program is none.
    Nowhere(String),
    /// It had not started when it was asked back.
    Withdrawn,
}

impl From<Fault> for Refusal {
    /// What a fault means for a run that a machine has not taken.
    fn from(fault: Fault) -> Self {
        match fault.code {
            FaultCode::BAD_INPUT | FaultCode::BAD_PROGRAM | FaultCode::BAD_MESSAGE => Self::Nowhere(fault.text),
            FaultCode::UNSUPPORTED | FaultCode::NO_ENVIRONMENT | FaultCode::NOT_ALLOWED => Self::NotHere(fault.text),
            _ => Self::NotNow { why: fault.text, retry_after_ms: fault.again_s.map_or(RETRY_AFTER_MS, ms) },
        }
    }
}

/// How a run is over that a machine had taken and does not bring to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokenOff {
    /// That machine takes no such run, or none does, or not now.
    Refused(Refusal),
    /// Its owner took it back.
    Evicted {
        /// When to ask again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Something of that machine failed with it, which may be the job's own doing.
    Failed(String),
}

impl From<Fault> for BrokenOff {
    /// What a fault means for a run that a machine had taken.
    fn from(fault: Fault) -> Self {
        match fault.code {
            FaultCode::TAKEN_BACK | FaultCode::NOT_LENDING | FaultCode::LEAVING => {
                Self::Evicted { retry_after_ms: fault.again_s.map_or(EVICTED_RETRY_MS, ms) }
            }
            FaultCode::INTERNAL | FaultCode::NOT_FOUND => Self::Failed(fault.text),
            _ => Self::Refused(fault.into()),
        }
    }
}

const fn ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: FaultCode) -> Fault {
        Fault::new(code, "so it is")
    }

    #[test]
    fn what_a_machine_never_takes_is_not_asked_of_it_again() {
        for code in [FaultCode::NOT_ALLOWED, FaultCode::UNSUPPORTED, FaultCode::NO_ENVIRONMENT] {
            assert_eq!(Refusal::from(fault(code)), Refusal::NotHere("so it is".into()), "{code:?}");
        }
        assert_eq!(Refusal::from(fault(FaultCode::BAD_PROGRAM)), Refusal::Nowhere("so it is".into()));
    }

    #[test]
    fn who_says_when_to_ask_again_is_asked_then() {
        let after = |again_s| match Refusal::from(fault(FaultCode::NOT_LENDING).again_in(again_s)) {
            Refusal::NotNow { retry_after_ms, .. } => retry_after_ms,
            other => panic!("{other:?}"),
        };
        assert_eq!((after(Some(7)), after(None)), (7_000, RETRY_AFTER_MS));
        let taken_back = BrokenOff::from(fault(FaultCode::TAKEN_BACK).again_in(Some(9)));
        assert_eq!(taken_back, BrokenOff::Evicted { retry_after_ms: 9_000 });
    }

    #[test]
    fn a_machine_that_fails_with_a_run_it_had_taken_has_failed() {
        assert_eq!(BrokenOff::from(fault(FaultCode::INTERNAL)), BrokenOff::Failed("so it is".into()));
        assert!(matches!(Refusal::from(fault(FaultCode::INTERNAL)), Refusal::NotNow { .. }), "it had not taken it");
        assert!(matches!(BrokenOff::from(fault(FaultCode::BUSY)), BrokenOff::Refused(Refusal::NotNow { .. })));
    }
}
