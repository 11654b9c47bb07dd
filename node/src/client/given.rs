//! What a job of this machine runs: one that it gave away, or one that is kept here for another. It is read from the records
//! and from the blobs that are still here; nothing is asked of anybody. Peers choose the ids of their jobs, so one id may be
//! known in several places: unless all of them say the same, none is shown.

use super::Client;
use super::home::parcel::Parcel;
use super::network::ClientError;
use crate::home::asked_for;
use crate::service::blobs_in;
use crate::state::needs::Requirements;
use crate::store::blobs::BlobLease;
use crate::store::jobs::{IdError, JobStore, KeptRunRow, Role};
use crate::wire::{JobId, JobProgram, SubmitJob, decode};
use potluck_runtime::{Digest, GuestPath};
use std::collections::BTreeSet;
use std::path::Path;

/// The home of runs of this machine's own jobs.
const HERE: [u8; 32] = [0; 32];
/// Bytes of a home's id that tell it from others in a sentence.
const HOME_SHOWN: usize = 4;

/// What a job runs.
#[derive(Debug)]
pub struct GivenProgram {
    submit: SubmitJob,
    requirements: Requirements,
    role: Role,
    bytes: Option<BlobLease>,
    interpreter: Option<BlobLease>,
}

/// What one place of the records knows of a job.
struct Known {
    submit: SubmitJob,
    requirements: Requirements,
    role: Role,
    /// Where, in words.
    whose: String,
}

impl Client {
    /// What a job runs that this machine gave away or keeps for another, named by any beginning of its id that is its alone.
    /// Blocks.
    ///
    /// # Errors
    /// [`ClientError::Failed`] when there is no such job, or nobody knows what it asked for.
    pub fn given_program(&self, records: &JobStore, text: &str) -> Result<GivenProgram, ClientError> {
        let unreadable = |source| ClientError::local("cannot read what the job asked for", source);
        let job = one_job(text, records.find(text), records.kept_jobs(text).map_err(unreadable)?)?;
        let mut all = Vec::new();
        if let Some(bytes) = records.request(job, Role::Sent).map_err(unreadable)? {
            let (submit, wanted) = asked_for(&bytes).map_err(ClientError::Failed)?;
            let requirements = wanted.map(|wanted| wanted.requirements).unwrap_or_default();
            all.push(Known { submit, requirements, role: Role::Sent, whose: "given from here".to_owned() });
        }
        all.extend(records.kept_runs_of(job).map_err(unreadable)?.iter().filter_map(Known::of_kept));
        let Known { submit, requirements, role, .. } = agreed(all)?;
        let blobs = blobs_in(&self.paths().cache_dir, self.config().cache_bytes_max);
        let lease = |digest: Digest| blobs.len(digest).and_then(|size| blobs.lease(digest, size));
        let bytes = submit.program_file().1.and_then(lease);
        let interpreter = submit.program.interpreter().and_then(|own| lease(own.digest));
        Ok(GivenProgram { submit, requirements, role, bytes, interpreter })
    }
}

/// The one job whose id begins so, among those on record and those that run here for peers, which are on record once they ended.
fn one_job(text: &str, found: Result<JobId, IdError>, kept: Vec<JobId>) -> Result<JobId, ClientError> {
    let mut ids: BTreeSet<JobId> = kept.into_iter().collect();
    match found {
        Ok(id) => {
            ids.insert(id);
        }
        Err(IdError::Unknown(_)) => {}
        Err(error) => return Err(ClientError::Failed(error.to_string())),
    }
    match (ids.first(), ids.len()) {
        (Some(id), 1) => Ok(*id),
        (None, _) => Err(ClientError::Failed(IdError::Unknown(text.to_owned()).to_string())),
        (Some(_), _) => {
            Err(ClientError::Failed(format!("{text} is the beginning of several jobs' ids; give more of it")))
        }
    }
}

impl Known {
    fn of_kept(run: &KeptRunRow) -> Option<Self> {
        let submit = decode(run.request.as_ref()?).ok()?;
        let home = data_encoding::HEXLOWER.encode(&run.key.home[..HOME_SHOWN]);
        let whose = match run.key.home {
            HERE => format!("attempt {} of this machine's own", run.key.attempt),
            _ => format!("attempt {} for the peer {home}", run.key.attempt),
        };
        Some(Self { submit, requirements: Requirements::default(), role: Role::Ran, whose })
    }
}

/// The first of them, if all ask for the same.
fn agreed(all: Vec<Known>) -> Result<Known, ClientError> {
    let mut all = all.into_iter();
    let first = all.next().ok_or_else(|| {
        let why = "what the job asked for is not known here; that is kept of jobs that were given with `potluck run -d` or \
                   `map`, from here or by a peer to this machine";
        ClientError::Failed(why.to_owned())
    })?;
    let Some(other) = all.find(|other| other.submit != first.submit) else { return Ok(first) };
    let said = |known: &Known| format!("{:?} ({})", known.submit.program_file().0, known.whose);
    Err(ClientError::Failed(format!(
        "the id {} is that of jobs that ask for different things: {} and {}; give or have given the one you mean again, under \
         an id of its own",
        first.submit.job,
        said(&first),
        said(&other),
    )))
}

impl GivenProgram {
    /// The program.
    #[must_use]
    pub const fn program(&self) -> &JobProgram {
        &self.submit.program
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.submit.program_file().0
    }

    /// The job's id.
    #[must_use]
    pub const fn job(&self) -> JobId {
        self.submit.job
    }

    /// Whether this machine gave the job away, or has it for another.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Where its bytes lie, a script's too; nothing where they are gone.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.bytes.as_ref().map(BlobLease::path)
    }

    /// Where the bytes of the interpreter lie that goes along with it; nothing where they are gone, or there is none.
    #[must_use]
    pub fn interpreter_path(&self) -> Option<&Path> {
        self.interpreter.as_ref().map(BlobLease::path)
    }

    /// Whether bytes that it begins with are gone from here.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        let lacks_program = self.submit.program_file().1.is_some() && self.bytes.is_none();
        lacks_program || self.submit.program.interpreter().is_some() && self.interpreter.is_none()
    }

    /// The files of its working directory.
    #[must_use]
    pub fn files(&self) -> Vec<GuestPath> {
        self.submit.files.iter().map(|file| file.path.clone()).collect()
    }

    /// The packages it brings along.
    #[must_use]
    pub fn packages(&self) -> Vec<String> {
        self.submit.packages.iter().map(|package| package.name.clone()).collect()
    }

    /// The memory it asks for, in bytes.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        self.submit.memory_bytes()
    }

    /// The same job, to be rehearsed, and what was wanted of machines.
    pub fn into_parcel(self) -> (Parcel, Requirements) {
        (Parcel::again(self.submit), self.requirements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::jobs::RecordingKey;
    use crate::wire::encode;
    use crate::wire::samples::plain;

    fn kept(home: u8, attempt: u32, program: Option<&str>) -> Option<Known> {
        let key = RecordingKey { job: JobId([1; 16]), role: Role::Ran, home: [home; 32], attempt };
        let request = program.map(|program| encode(&plain(program)).to_vec());
        Known::of_kept(&KeptRunRow { key, state: 0, since_ms: 0, request })
    }

    #[test]
    fn an_id_that_means_several_programs_is_refused_with_the_homes_and_attempts() {
        let own = || Known {
            submit: plain("mine.wasm"),
            requirements: Requirements::default(),
            role: Role::Sent,
            whose: "given from here".into(),
        };
        for all in [
            vec![kept(7, 1, Some("mine.wasm")), kept(7, 2, Some("other.wasm"))],
            vec![kept(7, 1, Some("mine.wasm")), kept(9, 1, Some("other.wasm"))],
            vec![Some(own()), kept(0, 1, Some("mine.wasm")), kept(9, 1, Some("other.wasm"))],
        ] {
            let said = agreed(all.into_iter().flatten().collect()).err().unwrap().to_string();
            assert!(said.contains("mine.wasm") && said.contains("other.wasm"), "{said}");
            assert!(said.contains("for the peer") && said.contains("attempt"), "{said}");
        }
    }

    #[test]
    fn attempts_that_ask_for_the_same_are_one_and_one_without_a_request_does_not_count() {
        let all = [kept(7, 1, None), kept(7, 2, Some("a.wasm")), kept(7, 3, Some("a.wasm"))];
        assert_eq!(agreed(all.into_iter().flatten().collect()).ok().unwrap().submit, plain("a.wasm"));
        assert!(agreed(vec![]).is_err());
    }

    #[test]
    fn a_beginning_means_one_job_among_those_on_record_and_those_that_are_kept() {
        let (one, other) = (JobId([1; 16]), JobId([2; 16]));
        let unknown = || Err(IdError::Unknown("0".into()));
        assert_eq!(one_job("0", Ok(one), vec![one]).ok(), Some(one));
        assert_eq!(one_job("0", unknown(), vec![other]).ok(), Some(other));
        assert!(one_job("0", Ok(one), vec![other]).is_err() && one_job("0", unknown(), vec![]).is_err());
    }
}
