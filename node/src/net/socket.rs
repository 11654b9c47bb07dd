//! The socket by which this machine's owner talks to the node: a file in the data directory that nobody else may use.
//! One connection is one request; whoever connects is the owner, because the system says that it is the same user. A
//! path too long for a socket's address is reached through a handle on its directory.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

const SOCKET_FILE: &str = "node.socket";
/// Bytes of a socket's address, its end included.
const ADDRESS_LEN_MAX: usize = 108;

/// The listening end; its file goes with it.
pub(crate) struct OwnerSocket {
    listener: UnixListener,
    file: PathBuf,
}

impl OwnerSocket {
    /// Listens in `data_dir`, in the place of whoever left a socket there. The caller holds the directory's lock.
    pub(crate) fn listen(data_dir: &Path) -> io::Result<Self> {
        let file = data_dir.join(SOCKET_FILE);
        match std::fs::symlink_metadata(&file) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&file)?,
            Ok(_) => return Err(io::Error::other(format!("{} is there and is no socket", file.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let address = Address::of(data_dir)?;
        let listener = UnixListener::bind(&address.path)?;
        let socket = Self { listener, file };
        std::fs::set_permissions(&socket.file, Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// The next connection of the owner; others are turned away.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == rustix::process::geteuid().as_raw() => return Ok(stream),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "another user knocked at the owner's socket"),
                Err(error) => tracing::debug!(%error, "a connection of nobody"),
            }
        }
    }
}

impl Drop for OwnerSocket {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next node.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A connection to the node over `data_dir`.
pub(crate) async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let address = Address::of(data_dir)?;
    let stream = UnixStream::connect(&address.path).await?;
    if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the node's socket is another user's"));
    }
    Ok(stream)
}

/// Notices that the other end is closed, also when what it sent is not read.
pub(crate) struct HangUp(UnixStream);

impl HangUp {
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        let handle = stream.as_fd().try_clone_to_owned()?;
        UnixStream::from_std(handle.into()).map(Self)
    }

    /// Returns when the other end is closed.
    pub(crate) async fn wait(&self) {
        // Out-of-band data is never sent, so that nothing but the end wakes this; an error means that the event loop ends.
        let _ = self.0.ready(Interest::PRIORITY).await;
    }
}

/// A path that fits into a socket's address.
struct Address {
    path: PathBuf,
    _directory: Option<File>,
}

impl Address {
    fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_FILE);
        if path.as_os_str().len() < ADDRESS_LEN_MAX {
            return Ok(Self { path, _directory: None });
        }
        let directory = File::open(data_dir)?;
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(SOCKET_FILE);
        Ok(Self { path, _directory: Some(directory) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn talk(dir: &Path) {
        let socket = OwnerSocket::listen(dir).unwrap();
        let mode = std::fs::metadata(dir.join(SOCKET_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (near, far) = tokio::join!(connect(dir), socket.accept());
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        near.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        drop(socket);
        assert!(!dir.join(SOCKET_FILE).exists());
        assert!(connect(dir).await.is_err());
    }

    #[tokio::test]
    async fn a_socket_serves_whatever_the_length_of_its_path() {
        let dir = tempfile::tempdir().unwrap();
        talk(dir.path()).await;
        let deep = dir.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        talk(&deep).await;
    }

    #[tokio::test]
    async fn a_closed_end_is_noticed_behind_bytes_that_nobody_reads() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let hang_up = HangUp::of(&far).unwrap();
        near.write_all(b"unread").await.unwrap();
        let early = tokio::time::timeout(std::time::Duration::from_millis(50), hang_up.wait());
        assert!(early.await.is_err(), "bytes are taken for the end");
        drop(near);
        tokio::time::timeout(std::time::Duration::from_secs(10), hang_up.wait()).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_another_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::mem::forget(OwnerSocket::listen(dir.path()).unwrap());
        talk(dir.path()).await;
        std::fs::write(dir.path().join(SOCKET_FILE), b"mine").unwrap();
        assert!(OwnerSocket::listen(dir.path()).is_err());
        assert_eq!(std::fs::read(dir.path().join(SOCKET_FILE)).unwrap(), b"mine");
    }
}
