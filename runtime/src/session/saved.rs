//! Sessions in files. A saved state holds a whole memory, so that it depends on no image; it goes on only under the very
//! interpreter it was saved under. Files of the working directory are no part of it.

use super::open::{SESSION_FORMAT, saved_as};
use super::{Image, Layer, Session, SessionError};
use crate::cache::path_in_process;
use crate::digest::Digest;
use crate::image::{ImageFile, SavedSession};
use crate::job::RunRequest;
use crate::prepare::Prepared;
use crate::protocol::{SaveSpec, Spec};
use crate::runtime::Runtime;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Session {
    /// Writes the session's state to a file, in place of one that is there, and goes on.
    ///
    /// # Errors
    /// [`SessionError::FilesOpen`] while the guest holds files open; else why the file cannot be written.
    pub async fn save(&mut self, path: &Path) -> Result<(), SessionError> {
        self.without_files().await?;
        let fail = |source| SessionError::File { path: path.to_owned(), source };
        let whole = std::path::absolute(path).map_err(fail)?;
        let aside = Aside::beside(&whole).map_err(fail)?;
        self.order(&Spec::Save(SaveSpec { output: aside.0.clone() })).await?;
        std::fs::rename(&aside.0, &whole).map_err(fail)
    }

    /// Saves the session and ends its worker. The next turn goes on from the file, which must stay as it is until then.
    ///
    /// # Errors
    /// As for [`save`](Self::save); the session stays awake then.
    pub async fn park(&mut self, path: &Path) -> Result<(), SessionError> {
        self.save(path).await?;
        let file = File::open(path).map_err(|source| SessionError::File { path: path.to_owned(), source })?;
        let layer = Layer::new()?;
        self.rest().await;
        self.image = Image::Saved(Arc::new(file));
        self.layers = vec![layer];
        Ok(())
    }
}

/// A file that is not whole yet; removed unless it was renamed.
struct Aside(PathBuf);

impl Aside {
    fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut aside = OsString::from(".");
        aside.push(name);
        aside.push(format!(".{}.part", std::process::id()));
        let aside = path.with_file_name(aside);
        // One that a process of the same number has left.
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self(aside)),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Gone when it was renamed.
        let _absent = std::fs::remove_file(&self.0);
    }
}

impl Runtime {
    /// Goes on with a saved session, in an empty working directory with the request's files. Its random generators are seeded anew.
    ///
    /// # Errors
    /// [`SessionError::Refused`] for a file that is damaged or of another interpreter or version; else why it cannot be
    /// started.
    pub async fn restore_session(
        &self,
        path: &Path,
        prepared: &Prepared,
        request: RunRequest,
    ) -> Result<Session, SessionError> {
        let expected = saved_as(prepared)?;
        let place = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || open_saved(&place, &expected)).await;
        let opened = opened.map_err(io::Error::other);
        let file = opened.map_err(|source| SessionError::File { path: path.to_owned(), source })??;
        let image = Image::Saved(Arc::new(file));
        let (workspace, request) = self.place(prepared, request).await.map_err(SessionError::Start)?;
        let mut session = Session::new(self, prepared, request, workspace, image, vec![Layer::new()?])?;
        session.launch(vec![super::fork::REFRESH.to_owned()]).await?;
        Ok(session)
    }
}

fn open_saved(path: &Path, expected: &SavedSession) -> Result<File, SessionError> {
    let fail = |source| SessionError::File { path: path.to_owned(), source };
    let refuse = |why: String| SessionError::Refused { path: path.to_owned(), why };
    let file = File::open(path).map_err(fail)?;
    // The name may come to stand for another file.
    let image = match ImageFile::open(&path_in_process(&file)) {
        Ok(image) => image,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(refuse(error.to_string())),
        Err(error) => return Err(fail(error)),
    };
    let Some(saved) = image.tail.session else {
        return Err(refuse("it is a memory image and no session".to_owned()));
    };
    if image.tail.pages.is_some() {
        return Err(refuse("it holds only a part of a session".to_owned()));
    }
    check(&saved, expected).map_err(refuse)?;
    let (memory, _) = Digest::of_reader(image.file.take(image.tail.memory_bytes)).map_err(fail)?;
    if memory != saved.memory {
        return Err(refuse("it is damaged: its memory is not what was saved".to_owned()));
    }
    Ok(file)
}

/// Whether a session goes on here; else what does not fit.
fn check(saved: &SavedSession, expected: &SavedSession) -> Result<(), String> {
    if saved.format != SESSION_FORMAT {
        return Err(format!(
            "it is of version {} of saved sessions, and this Potluck reads version {SESSION_FORMAT}; use the version it was saved with",
            saved.format
        ));
    }
    if saved.environment != expected.environment {
        return Err(format!("its environment is {}, and this is {}", saved.environment, expected.environment));
    }
    if saved.module != expected.module {
        return Err(format!(
            "it was saved under another interpreter ({} instead of {}); use the version of Potluck it was saved with",
            saved.module.short(),
            expected.module.short()
        ));
    }
    if saved.host_contract != expected.host_contract {
        return Err(format!(
            "it was saved under version {} of the interpreter's host, and this is version {}; use the version of Potluck it was saved with",
            saved.host_contract, expected.host_contract
        ));
    }
    Ok(())
}
