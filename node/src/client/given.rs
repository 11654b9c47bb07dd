//! What a job of this machine runs: one that it gave away, or one that is kept here for another. It is read from the records
//! and from the blobs that are still here; nothing is asked of anybody.

use super::Client;
use super::home::parcel::Parcel;
use super::network::ClientError;
use crate::home::asked_for;
use crate::service::blobs_in;
use crate::state::needs::Requirements;
use crate::store::blobs::BlobLease;
use crate::store::jobs::{IdError, JobStore, KeptRunRow, Role};
use crate::wire::{JobId, JobProgram, SubmitJob, decode};
use potluck_runtime::GuestPath;
use std::collections::BTreeSet;
use std::path::Path;

/// What a job runs.
#[derive(Debug)]
pub struct GivenProgram {
    submit: SubmitJob,
    requirements: Requirements,
    role: Role,
    bytes: Option<BlobLease>,
}

impl Client {
    /// What a job runs that this machine gave away or keeps for another, named by any beginning of its id that is its alone.
    /// Blocks.
    ///
    /// # Errors
    /// [`ClientError::Failed`] when there is no such job, or nobody knows what it asked for.
    pub fn given_program(&self, records: &JobStore, text: &str) -> Result<GivenProgram, ClientError> {
        let unreadable = |source| ClientError::local("cannot read what the job asked for", source);
        let kept = records.kept_runs().map_err(unreadable)?;
        let job = match records.find(text) {
            // What runs here for a peer is in the records once it has ended.
            Err(IdError::Unknown(_)) => kept_job(&kept, text)?,
            found => found.map_err(|error| ClientError::Failed(error.to_string()))?,
        };
        let (submit, wanted, role) = match records.request(job, Role::Sent).map_err(unreadable)? {
            Some(bytes) => {
                let (submit, wanted) = asked_for(&bytes).map_err(ClientError::Failed)?;
                (submit, wanted, Role::Sent)
            }
            None => (kept_request(&kept, job)?, None, Role::Ran),
        };
        let blobs = blobs_in(&self.paths().cache_dir, self.config().cache_bytes_max);
        let wants = submit.program_file().1;
        let bytes = wants.and_then(|digest| blobs.len(digest).and_then(|size| blobs.lease(digest, size)));
        let requirements = wanted.map(|wanted| wanted.requirements).unwrap_or_default();
        Ok(GivenProgram { submit, requirements, role, bytes })
    }
}

/// The one kept job whose id begins so.
fn kept_job(kept: &[KeptRunRow], text: &str) -> Result<JobId, ClientError> {
    let begins = text.to_ascii_lowercase();
    let ids: BTreeSet<JobId> =
        kept.iter().map(|run| run.key.job).filter(|job| job.to_string().starts_with(&begins)).collect();
    match (ids.first(), ids.len()) {
        (Some(id), 1) => Ok(*id),
        (None, _) => Err(ClientError::Failed(IdError::Unknown(text.to_owned()).to_string())),
        (Some(_), _) => {
            Err(ClientError::Failed(format!("{text} is the beginning of several jobs' ids; give more of it")))
        }
    }
}

fn kept_request(kept: &[KeptRunRow], job: JobId) -> Result<SubmitJob, ClientError> {
    let request = kept.iter().find(|run| run.key.job == job).and_then(|run| run.request.as_ref());
    request.and_then(|request| decode(request).ok()).ok_or_else(|| {
        let why = "what the job asked for is not known here; that is kept of jobs that were given with `potluck run -d` or \
                   `map`, from here or by a peer to this machine";
        ClientError::Failed(why.to_owned())
    })
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
        self.submit.limits.memory_bytes
    }

    /// The same job, to be rehearsed, and what was wanted of machines.
    pub fn into_parcel(self) -> (Parcel, Requirements) {
        (Parcel::again(self.submit), self.requirements)
    }
}
