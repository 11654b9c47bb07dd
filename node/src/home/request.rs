//! What a job asked for, as the records keep it until the job is forgotten, so that it can be given again as it was: what is
//! run, and what was wanted of its home and of machines.

use super::records::{VERSION, versioned};
use crate::service::chain;
use crate::state::needs::Requirements;
use crate::wire::{SubmitJob, decode, encode};
use serde::{Deserialize, Serialize};

/// The version in which what was wanted stands after what is run; in the one before it, nothing does.
const WITH_WANTED: u8 = VERSION + 1;

/// What was wanted of a job's home and of machines, beside its priority, which the history has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What the machine must have and should have.
    pub requirements: Requirements,
    /// Runs after the first that it may have when machines vanish with it.
    pub retries: u32,
    /// How long it may wait for a machine that fits, in milliseconds.
    pub queue_timeout_ms: Option<u64>,
}

/// As it is kept.
pub(super) fn kept(submit: &SubmitJob, wanted: &Wanted) -> Vec<u8> {
    let mut bytes = vec![WITH_WANTED];
    bytes.extend_from_slice(&encode(&(submit, wanted)));
    bytes
}

/// What was kept. The error says what is wrong with it.
pub(crate) fn asked_for(bytes: &[u8]) -> Result<(SubmitJob, Option<Wanted>), String> {
    match bytes.split_first() {
        Some((&WITH_WANTED, payload)) => {
            let (submit, wanted) = decode(payload).map_err(|error| chain(&error))?;
            Ok((submit, Some(wanted)))
        }
        _ => Ok((versioned(bytes)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::records::with_version;
    use crate::wire::samples::plain;

    #[test]
    fn what_is_kept_is_read_again_also_from_before_wishes_were_kept() {
        let submit = plain("p.wasm");
        let requirements = Requirements { needs: "gpu,tag=fast".parse().unwrap(), ..Requirements::default() };
        let wanted = Wanted { requirements, retries: 7, queue_timeout_ms: Some(5) };
        assert_eq!(asked_for(&kept(&submit, &wanted)).unwrap(), (submit.clone(), Some(wanted)));
        assert_eq!(asked_for(&with_version(&submit)).unwrap(), (submit, None));
        assert!(asked_for(&[WITH_WANTED, 1]).is_err() && asked_for(&[9]).is_err() && asked_for(&[]).is_err());
    }
}
