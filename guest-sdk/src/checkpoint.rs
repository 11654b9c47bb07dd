//! A program's state, kept safe from the loss of the machine it runs on: the next run of the job finds the last one.

use std::fs;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::abi;
use crate::job::Job;

/// The file that carries a checkpoint to the host, beside the events. The host has its copy when the event is written.
const CARRIER: &str = ".potluck-checkpoint";

/// Keeps `state`, as JSON; what was kept before is forgotten. A retry of this job, or a run on another machine after this one
/// vanished, gets the last one from [`restore`]. Once in some seconds is often enough: each travels to the machine the job came
/// from.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[derive(Default, Serialize, Deserialize)]
/// struct State { lines: u64, sum: f64 }
///
/// let mut state: State = potluck_guest::restore()?.unwrap_or_default();
/// state.lines += 1;
/// potluck_guest::checkpoint(&state)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// When the state is no JSON, longer than [`abi::CHECKPOINT_LEN_MAX`], or cannot be written.
pub fn checkpoint(state: &(impl Serialize + ?Sized)) -> io::Result<()> {
    let job = Job::of_process();
    if job.events.is_none() {
        return Ok(());
    }
    keep(job, &serde_json::to_vec(state)?)
}

/// Keeps bytes, in a form that is the program's own.
///
/// # Errors
/// When there are more than [`abi::CHECKPOINT_LEN_MAX`], or they cannot be written.
pub fn checkpoint_bytes(bytes: &[u8]) -> io::Result<()> {
    keep(Job::of_process(), bytes)
}

/// Forgets what was kept: a run after this one starts from the beginning.
///
/// # Errors
/// When that cannot be written.
pub fn forget() -> io::Result<()> {
    Job::of_process().say(&json!({"checkpoint": null}))
}

/// What an earlier run of this job kept with [`checkpoint`]; nothing in its first run.
///
/// # Errors
/// When it cannot be read, or is no such state.
pub fn restore<T: DeserializeOwned>() -> io::Result<Option<T>> {
    let kept = taken_up(Job::of_process())?;
    Ok(kept.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
}

/// What an earlier run of this job kept with [`checkpoint_bytes`]; nothing in its first run.
///
/// # Errors
/// When it cannot be read.
pub fn restore_bytes() -> io::Result<Option<Vec<u8>>> {
    taken_up(Job::of_process())
}

fn keep(job: &Job, bytes: &[u8]) -> io::Result<()> {
    let Some(events) = &job.events else { return Ok(()) };
    if bytes.len() as u64 > abi::CHECKPOINT_LEN_MAX {
        let what = format!("a checkpoint has {} bytes at most, and this one {}", abi::CHECKPOINT_LEN_MAX, bytes.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let carrier = events.with_file_name(CARRIER);
    fs::write(&carrier, bytes)?;
    job.say(&json!({"checkpoint": {"file": carrier}}))
}

fn taken_up(job: &Job) -> io::Result<Option<Vec<u8>>> {
    job.restore.as_ref().map(fs::read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::Scene;

    #[test]
    fn a_checkpoint_lies_in_the_file_that_its_event_names() {
        let scene = Scene::new();
        for state in [&b"first, and longer"[..], b"second"] {
            keep(&scene.job, state).unwrap();
            let said = scene.said().pop().unwrap();
            assert_eq!(fs::read(said["checkpoint"]["file"].as_str().unwrap()).unwrap(), state);
        }
    }

    #[test]
    fn what_was_kept_is_taken_up() {
        let scene = Scene::new();
        fs::write(scene.directory.path().join("restore"), b"\0state").unwrap();
        assert_eq!(taken_up(&scene.job).unwrap().unwrap(), b"\0state");
    }

    #[test]
    fn outside_nothing_is_kept_and_nothing_taken_up() {
        checkpoint(&[1, 2, 3]).unwrap();
        checkpoint_bytes(b"x").unwrap();
        forget().unwrap();
        assert_eq!(restore::<Vec<u8>>().unwrap(), None);
        assert_eq!(restore_bytes().unwrap(), None);
    }
}
