//! Many jobs that differ in their arguments and some of their files: what is the same in all of them is read once.

use super::Parcel;
use super::parcel::Task;
use crate::client::packing::{self, MountsBy, Packed, Source};
use crate::client::{Submission, SubmitError};
use crate::service::blocking;
use crate::wire::JobId;
use potluck_runtime::Digest;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What many jobs have in common. Clones are the same.
#[derive(Clone, Debug)]
pub struct Pattern {
    submission: Arc<Submission>,
    /// None of one that cannot be read alone: a script may import what only its inputs bring.
    read: Option<Arc<Packed>>,
    /// Where the bytes lie of what was read.
    shared: Arc<HashMap<Digest, Source>>,
}

impl Pattern {
    pub(super) fn new(submission: Submission, mut read: Option<Packed>) -> Self {
        let shared = read.as_mut().map(|packed| std::mem::take(&mut packed.sources)).unwrap_or_default();
        Self { submission: Arc::new(submission), read: read.map(Arc::new), shared: Arc::new(shared) }
    }

    /// The job with these arguments that reads these files as well, as if all of it had been submitted together; under this
    /// id, or a new one.
    ///
    /// # Errors
    /// [`SubmitError`] for what is wrong with it.
    pub async fn parcel(
        &self,
        id: Option<JobId>,
        args: Vec<String>,
        files: Vec<PathBuf>,
        task: Option<Task>,
    ) -> Result<Parcel, SubmitError> {
        let id = id.map_or_else(crate::client::new_job_id, Ok)?;
        let pattern = self.clone();
        let read = move || {
            if let Some(read) = pattern.read.filter(|_| files.iter().all(|file| is_mere_data(file))) {
                let packed = packing::pack_more(&read, &pattern.submission, id, (args, &files))?;
                return Ok(Parcel::sharing(packed, pattern.shared, task));
            }
            let submission = files.into_iter().fold((*pattern.submission).clone().args(args), Submission::file);
            packing::pack(&submission, id, MountsBy::Content).map(|packed| Parcel::of(packed, task))
        };
        blocking(read).await
    }
}

/// Whether a file says nothing about what a script imports: it is no folder, and no module.
fn is_mere_data(path: &Path) -> bool {
    path.extension().is_none_or(|ending| ending != "py") && !path.is_dir()
}
