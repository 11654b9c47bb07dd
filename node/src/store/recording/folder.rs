//! The folder of a home's long recordings: a file for each run that said more than a row of the store holds, named by the job and
//! the number of the run. A file of which no row speaks is of a run that goes on, or of no use.

use crate::wire::JobId;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// That which lies there, or may.
    #[must_use]
    pub const fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where a run's recording lies, should it be long.
    #[must_use]
    pub fn path_of(&self, job: JobId, attempt: u32) -> PathBuf {
        self.dir.join(format!("{job}-{attempt}"))
    }

    /// Every file, and of which job it is, if its name says so. Blocks, as all that follow.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Option<String>)> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.map(|entry| (entry.path(), job_in(&entry.path()))).collect()
    }

    /// Removes what the runs of these jobs left here.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_of(&self, jobs: &HashSet<JobId>) -> std::io::Result<()> {
        let names: HashSet<String> = jobs.iter().map(ToString::to_string).collect();
        for (path, job) in self.files() {
            if job.is_some_and(|job| names.contains(&job)) {
                super::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn job_in(path: &Path) -> Option<String> {
    let (job, _) = path.file_name()?.to_str()?.split_once('-')?;
    Some(job.to_owned())
}
