//! Opening a session: as a job that asks for one, so that it finds its node, its files and its environment as jobs do.

use super::job::{Job, JobEvent, JobEvents, Told};
use super::packing;
use super::saved::SavedSession;
use super::sending::JobCanceller;
use super::session_failure::SessionFailure;
use super::sessions::SessionHandle;
use super::target::Target;
use super::{Client, SubmitError};
use crate::wire::JobId;
use potluck_runtime::{ImageChoice, Limits};
use std::path::PathBuf;

/// A session before it is opened.
#[derive(Clone, Debug, Default)]
pub struct SessionOpening {
    pub(super) image: Option<ImageChoice>,
    pub(super) files: Vec<PathBuf>,
    pub(super) all_files: bool,
    pub(super) env: Vec<(String, String)>,
    pub(super) limits: Option<Limits>,
    pub(super) name: Option<String>,
    pub(super) saved: Option<PathBuf>,
}

impl SessionOpening {
    /// A plain session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it starts from; by default a plain interpreter.
    #[must_use]
    pub fn image(mut self, image: ImageChoice) -> Self {
        self.image = Some(image);
        self
    }

    /// A file or folder of its working directory, placed there by its last name.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Folders go whole, with what would stay behind otherwise.
    #[must_use]
    pub fn all_files(mut self) -> Self {
        self.all_files = true;
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// What it may use; those of fuel, wall time and output hold for each turn. By default as for jobs, or as it was saved.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// What it is called.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The file of a saved session it goes on from.
    #[must_use]
    pub fn saved(mut self, path: impl Into<PathBuf>) -> Self {
        self.saved = Some(path.into());
        self
    }
}

/// What a session goes on from.
pub(super) struct GoesOn {
    pub(super) saved: SavedSession,
    /// Whether it is the same session on another node, and no copy.
    pub(super) moved: bool,
}

/// A session that is being opened. Dropped before it is open, it is not.
pub struct Opening {
    /// Its id.
    pub id: JobId,
    /// Gives it up.
    pub canceller: JobCanceller,
    client: Client,
    events: Option<JobEvents>,
    /// Read while it is sent.
    _saved: Option<SavedSession>,
}

/// What happens while a session is opened, in order.
pub enum OpeningEvent {
    /// As for a job.
    Job(JobEvent),
    /// It is open; the last event.
    Open(SessionHandle),
}

impl Opening {
    /// The next event; [`OpeningEvent::Open`] or one error is the last, then `None`. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<OpeningEvent, SubmitError>> {
        let told = self.events.as_mut()?.told().await?;
        Some(match told {
            Ok(Told::Session(info)) => {
                let way = self.events.take()?.into_way();
                Ok(OpeningEvent::Open(SessionHandle::new(self.client.clone(), info, way)))
            }
            Ok(Told::Event(event)) => Ok(OpeningEvent::Job(event)),
            Err(error) => Err(error),
        })
    }

    /// Waits until it is open.
    pub(super) async fn open(mut self) -> Result<SessionHandle, SessionFailure> {
        loop {
            match self.next().await {
                Some(Ok(OpeningEvent::Open(session))) => return Ok(session),
                Some(Ok(OpeningEvent::Job(_))) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(SubmitError::internal("the session was not opened", "its events have ended").into()),
            }
        }
    }
}

impl Client {
    /// Opens a session: chooses the machine, sends what it needs, and says what happens as events.
    ///
    /// # Errors
    /// [`SessionFailure`] for what is wrong with it, and when nobody can be reached.
    pub async fn open_session(&self, target: Target, opening: SessionOpening) -> Result<Opening, SessionFailure> {
        let goes_on = match opening.saved.clone() {
            None => None,
            Some(path) => {
                let paths = self.paths().clone();
                let saved = crate::service::blocking(move || SavedSession::unpack(&paths, &path)).await?;
                Some(GoesOn { saved, moved: false })
            }
        };
        let id = super::new_job_id()?;
        self.open_with(id, target, opening, goes_on).await
    }

    pub(super) async fn open_with(
        &self,
        id: JobId,
        target: Target,
        opening: SessionOpening,
        goes_on: Option<GoesOn>,
    ) -> Result<Opening, SessionFailure> {
        let packing = move || packing::pack_session(&opening, id, goes_on.as_ref()).map(|packed| (packed, goes_on));
        let (packed, goes_on) = crate::service::blocking(packing).await?;
        let Job { id, events, canceller, .. } = self.submit_packed(target, packed, None).await?;
        let saved = goes_on.map(|goes_on| goes_on.saved);
        Ok(Opening { id, canceller, client: self.clone(), events: Some(events), _saved: saved })
    }
}
