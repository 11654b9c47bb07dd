//! Parked sessions: all that is held of them is a file, which may be moved but not changed, and how it must end. So they
//! cost no memory, and whatever becomes of the file is seen before a worker is given it.

use super::saved::{open_saved, unusable};
use super::{Image, Layer, Session, SessionError};
use crate::handed::path_in_process;
use crate::image::{ImageFile, ImageTail};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of a parked session.
#[derive(Clone)]
pub(super) struct Parked {
    file: Arc<File>,
    /// What it ends with, among that the digest of the memory in it.
    tail: ImageTail,
    /// Where it was put.
    path: PathBuf,
}

impl Parked {
    /// Where the file lies now.
    fn place(&self) -> PathBuf {
        std::fs::read_link(path_in_process(&self.file)).unwrap_or_else(|_| self.path.clone())
    }

    fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
}

impl Session {
    /// Saves the session and ends its worker; nothing of it is kept in memory then. The next turn goes on from the file,
    /// which may be moved but must stay as it is for as long as the session goes on from it.
    ///
    /// # Errors
    /// As for [`save`](Self::save); the session stays awake then.
    pub async fn park(&mut self, path: &Path) -> Result<(), SessionError> {
        self.save(path).await?;
        self.rest_on(path).await
    }

    /// Ends the worker of a session that was [saved](Self::save) to this file and has had no turn since; as after
    /// [`park`](Self::park), the next turn goes on from there.
    ///
    /// # Errors
    /// [`SessionError::File`] when the file cannot be used; the session stays awake then.
    pub async fn rest_on(&mut self, path: &Path) -> Result<(), SessionError> {
        let ImageFile { file, tail } = ImageFile::open(path).map_err(unusable(path))?;
        self.rest().await;
        self.layers.clear();
        self.image = Image::Parked(Parked { file: Arc::new(file), tail, path: path.to_owned() });
        Ok(())
    }

    /// Whether the session is in a file alone.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        matches!(self.image, Image::Parked(_))
    }

    /// Takes a parked session up again. When the file was deleted or is no more what it was, the session stays parked.
    pub(super) async fn unpark(&mut self) -> Result<(), SessionError> {
        let Image::Parked(parked) = &self.image else { return Ok(()) };
        let path = parked.place();
        if parked.is_deleted() {
            return Err(SessionError::Refused { path, why: "the file was deleted".to_owned() });
        }
        let saved = open_saved(&path_in_process(&parked.file), &path, &self.prepared).await?;
        if saved.tail != parked.tail {
            let why = "it is not what was parked there, but another session or another state of it".to_owned();
            return Err(SessionError::Refused { path, why });
        }
        self.layers = vec![Layer::new()?];
        self.image = Image::Saved(Arc::new(saved.file));
        Ok(())
    }
}
