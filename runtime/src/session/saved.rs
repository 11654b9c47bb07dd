//! Sessions in files. A saved state holds a whole memory, so that it depends on no image; it goes on only under the very
//! interpreter it was saved under. Files of the working directory are no part of it.

use super::open::{SESSION_FORMAT, saved_as};
use super::{Image, Layer, Session, SessionError};
use crate::backend::WasmProgram;
use crate::cache::create_own;
use crate::digest::Digest;
use crate::handed::Handed;
use crate::image::{ImageFile, SavedSession};
use crate::job::RunRequest;
use crate::prepare::Prepared;
use crate::protocol::{Given, SaveSpec, Spec};
use crate::runtime::Runtime;
use std::ffi::OsString;
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
        let fail = unusable(path);
        let whole = std::path::absolute(path).map_err(&fail)?;
        let aside = Aside::beside(&whole).map_err(&fail)?;
        let output = Handed::new(create_own(&aside.0).map_err(&fail)?);
        self.order(&Spec::Save(SaveSpec { output })).await?;
        std::fs::rename(&aside.0, &whole).map_err(fail)
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

/// What a saved session goes on as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// Itself: nothing of it changes, the state of its random generators among it.
    Same,
    /// One of perhaps several that go on from one state: its random generators are seeded anew.
    Twin,
}

impl Runtime {
    /// Goes on with a saved session, in an empty working directory with the request's files. Of these as much is not counted
    /// against its disk limit as was given to it when it was opened; the rest it has made before, and is counted.
    ///
    /// # Errors
    /// [`SessionError::Refused`] for a file that is damaged or of another interpreter or version; else why it cannot be
    /// started.
    pub async fn restore_session(
        &self,
        path: &Path,
        prepared: &Prepared,
        request: RunRequest,
        continuation: Continuation,
    ) -> Result<Session, SessionError> {
        let program = prepared.wasm().ok_or(SessionError::NoScript)?;
        let ImageFile { file, tail } = open_saved(path, path, program).await?;
        let (mut workspace, request) = self.place(prepared, request).await.map_err(SessionError::Start)?;
        workspace.give_at_most(tail.session.map_or_else(Given::default, |saved| saved.given));
        let (image, layers) = (Image::Saved(Arc::new(file)), vec![Layer::new()?]);
        let mut session = Session::new(self, program, request, Arc::new(workspace), image, layers)?;
        let boot = match continuation {
            Continuation::Same => Vec::new(),
            Continuation::Twin => vec![super::fork::REFRESH.to_owned()],
        };
        session.launch(boot).await?;
        Ok(session)
    }
}

/// Opens a saved state, by a path that may differ from what it is called by in errors. It is whole and goes on under what
/// was prepared.
pub(super) async fn open_saved(at: &Path, name: &Path, prepared: &WasmProgram) -> Result<ImageFile, SessionError> {
    let (expected, at, named) = (saved_as(prepared)?, at.to_owned(), name.to_owned());
    let opened = tokio::task::spawn_blocking(move || open_checked(&at, &named, &expected)).await;
    opened.unwrap_or_else(|error| Err(unusable(name)(io::Error::other(error))))
}

/// A file of a saved state cannot be used.
pub(super) fn unusable(path: &Path) -> impl Fn(io::Error) -> SessionError {
    move |source| SessionError::File { path: path.to_owned(), source }
}

fn open_checked(at: &Path, name: &Path, expected: &SavedSession) -> Result<ImageFile, SessionError> {
    let fail = unusable(name);
    let refuse = |why: String| SessionError::Refused { path: name.to_owned(), why };
    let image = match ImageFile::open(at) {
        Ok(image) => image,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(refuse(error.to_string())),
        Err(error) => return Err(fail(error)),
    };
    let Some(saved) = &image.tail.session else {
        return Err(refuse("it is a memory image and no session".to_owned()));
    };
    if image.tail.pages.is_some() {
        return Err(refuse("it holds only a part of a session".to_owned()));
    }
    check(saved, expected).map_err(refuse)?;
    let (memory, _) = Digest::of_reader((&image.file).take(image.tail.memory_bytes)).map_err(fail)?;
    if memory != saved.memory {
        return Err(refuse("it is damaged: its memory is not what was saved".to_owned()));
    }
    Ok(image)
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
