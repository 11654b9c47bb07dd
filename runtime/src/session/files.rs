//! The files of a session's working directory, to be carried along with its state. They are as they are when they are read:
//! only between two turns do they belong together.

use super::{At, Session, SessionError, TurnEvent};
use crate::job::GuestPath;
use crate::limits::TurnLimits;
use crate::outputs::OutputError;
use crate::outputs::walk::{self, Found};
use crate::workspace::Workspace;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// All that a session's working directory holds, its inputs included. The directory lives as long as this.
pub struct SessionFiles {
    /// Sorted by path.
    pub files: Vec<SessionFile>,
    /// Directories that hold none of the files, those inside of them left out. Sorted.
    pub directories: Vec<GuestPath>,
    /// What is not carried along, each with its reason.
    pub left_behind: Vec<String>,
    workspace: Arc<Workspace>,
}

/// One file of a session's working directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionFile {
    /// Its place in the working directory.
    pub path: GuestPath,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the owner's execute bit is set.
    pub executable: bool,
}

/// Closes what the guest holds open, but for its standard streams. What wraps a file goes before it, as it holds what is yet
/// to be written.
const CLOSE: &str = r"exec('''
import gc, io
for kind in io.TextIOBase, io.BufferedIOBase, io.RawIOBase:
    for file in gc.get_objects():
        try:
            if isinstance(file, kind) and not file.closed and file.fileno() > 2:
                file.close()
        except (OSError, ValueError):
            pass
''', {})";
/// How long that may take, in milliseconds.
const CLOSE_MS_MAX: u64 = 5000;

impl Session {
    /// Has the guest close the files it holds open, so that its state can be kept. Whatever uses one of them afterwards
    /// learns that it is closed.
    ///
    /// # Errors
    /// [`SessionError::FilesOpen`] if some stay open; else why it cannot be asked.
    pub async fn close_files(&mut self) -> Result<(), SessionError> {
        let limits = TurnLimits { wall_ms: CLOSE_MS_MAX, ..TurnLimits::from(&self.request.limits) };
        let mut turn = self.turn(CLOSE, limits).await?;
        while !matches!(turn.next().await, TurnEvent::Ended(_)) {}
        drop(turn);
        self.without_files().await
    }

    /// The files of the working directory; `/tmp` is no part of it. With a saved state they go on elsewhere: as the inputs
    /// and directories of the request to [`restore_session`](crate::Runtime::restore_session). A session that rests or is
    /// parked stays so.
    ///
    /// # Errors
    /// [`SessionError::Files`] if a directory cannot be read.
    pub async fn files(&mut self) -> Result<SessionFiles, SessionError> {
        if self.at == At::Turn {
            // Nobody waited for that turn's end: its guest may still be writing.
            self.rest().await;
        }
        let workspace = self.workspace.clone();
        let listed = tokio::task::spawn_blocking(move || SessionFiles::list(workspace)).await;
        listed.unwrap_or_else(|error| Err(OutputError::new(".", io::Error::other(error)))).map_err(SessionError::Files)
    }
}

impl SessionFiles {
    fn list(workspace: Arc<Workspace>) -> Result<Self, OutputError> {
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        let left_behind = walk::walk(&workspace, |found| {
            match found {
                Found::File(file) => {
                    let (size, executable) = (file.metadata.len(), file.is_executable());
                    files.push(SessionFile { path: file.path, size, executable });
                }
                Found::Directory(path) => directories.push(path),
            }
            Ok(true)
        })?;
        files.sort();
        directories.sort();
        Ok(Self { files, directories, left_behind, workspace })
    }

    /// Opens one of the files for reading, following no link in any component of its path. On the calling thread.
    ///
    /// # Errors
    /// What the operating system reports; `InvalidInput` for anything but a regular file with one name.
    pub fn open(&self, path: &GuestPath) -> io::Result<File> {
        walk::open(&self.workspace, path)
    }
}
