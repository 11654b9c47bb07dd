//! The service inside the submitter's own process: the same frames and the same walk, over memory instead of a network.
//! Nothing here needs a key, a port or a daemon.

pub use super::inputs::LocalSources;
use super::{Jobs, JobsConfig, JobsError};
use crate::dispatch::{Caller, JobService, Role};
use crate::identity::NodeId;
use crate::wire::{Frame, FrameStream};
use tokio::task::JoinHandle;

/// What a service inside the submitter's process calls itself. No key has this value's private half.
pub const HERE: NodeId = NodeId::from_bytes([0; 32]);

/// A service for the owner alone.
#[derive(Clone)]
pub struct Embedded {
    jobs: Jobs,
}

/// A request that is being answered; dropped, it is ended at once.
pub struct Serving {
    task: JoinHandle<()>,
}

impl Embedded {
    /// A service in this process.
    ///
    /// # Errors
    /// [`JobsError`].
    pub fn open(config: JobsConfig) -> Result<Self, JobsError> {
        Ok(Self { jobs: Jobs::open(config)? })
    }

    /// Answers a request whose first frame is `first`; returns the asking end of its stream. Blobs among `sources` are
    /// read where they lie.
    #[must_use]
    pub fn serve(&self, first: Frame, sources: LocalSources) -> (FrameStream, Serving) {
        let (near, far) = FrameStream::pair();
        let jobs = self.jobs.clone();
        let caller = Caller { id: HERE, role: Role::Owner, name: "the owner".to_owned(), link: None };
        let task = tokio::spawn(async move { jobs.answer(caller, first, far, sources).await });
        (near, Serving { task })
    }
}

impl Embedded {
    /// Built-in images that jobs would have started from and that are not there.
    #[must_use]
    pub fn images_wanted(&self) -> Vec<&'static str> {
        self.jobs.inner.images.wanted()
    }

    /// Jobs running now.
    #[must_use]
    pub fn jobs_running(&self) -> u32 {
        self.jobs.jobs_running()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}
