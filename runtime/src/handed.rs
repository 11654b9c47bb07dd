//! Files that go along with an order to a worker, as descriptors: a worker opens nothing by name but what lies in its own
//! directory. They travel in one message over the socket that is the worker's stderr, before the order itself.

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The most files of one order; the kernel carries 253 in a message.
const FILES_MAX: usize = 64;
/// What the message says besides: without a byte it would not be sent.
const MARK: u8 = b'F';

/// A file that goes along with an order. It is no part of the order's bytes, and is put in its place on arrival.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Handed {
    #[serde(skip)]
    descriptor: Arc<OnceLock<OwnedFd>>,
}

impl Handed {
    /// Hands over this very description of the file: what the worker may do with it is what it was opened for.
    pub(crate) fn new(file: impl Into<OwnedFd>) -> Self {
        let descriptor = OnceLock::new();
        descriptor.get_or_init(|| file.into());
        Self { descriptor: Arc::new(descriptor) }
    }

    /// Hands over a description of its own, to read from, of a file that we hold.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn to_read(file: impl AsFd) -> io::Result<Self> {
        File::open(path_in_process(file)).map(Self::new)
    }

    /// The file.
    ///
    /// # Errors
    /// `NotConnected` if it did not come along; else what the system says.
    pub(crate) fn file(&self) -> io::Result<File> {
        let descriptor = self.descriptor.get().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        descriptor.try_clone().map(File::from)
    }
}

/// The path by which a process reaches a file it holds.
pub(crate) fn path_in_process(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_fd().as_raw_fd()))
}

/// Sends these files, in this order.
///
/// # Errors
/// `WouldBlock` while the socket has no room; else what the system says.
pub(crate) fn send(socket: impl AsFd, files: &[&Handed]) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "an order lacks a file, or has too many");
    let descriptors: Option<Vec<BorrowedFd<'_>>> =
        files.iter().map(|file| file.descriptor.get().map(AsFd::as_fd)).collect();
    let descriptors = descriptors.filter(|list| list.len() <= FILES_MAX).ok_or_else(missing)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(missing());
    }
    sendmsg(socket, &[IoSlice::new(&[MARK])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Puts the files that came along with an order in their places. It waits for them: they were sent before the order.
///
/// # Errors
/// `InvalidData` if others came than were named; else what the system says.
pub(crate) fn receive(socket: impl AsFd, places: &[&Handed]) -> io::Result<()> {
    let invalid = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut mark = [0];
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut mark)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(invalid("not all files of an order came; the limit of open files is too low"));
    }
    let came = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<OwnedFd>>(),
        _ => Vec::new(),
    });
    let came: Vec<OwnedFd> = came.collect();
    if came.len() != places.len() {
        return Err(invalid("an order names other files than came with it"));
    }
    for (place, descriptor) in places.iter().zip(came) {
        place.descriptor.get_or_init(|| descriptor);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn files_arrive_in_their_places_and_can_do_what_they_were_opened_for() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut first = tempfile::tempfile().unwrap();
        first.write_all(b"first").unwrap();
        let second = tempfile::tempfile().unwrap();
        let sent = [Handed::to_read(&first).unwrap(), Handed::new(second.try_clone().unwrap())];
        send(&ours, &sent.each_ref()).unwrap();
        let places = [Handed::default(), Handed::default()];
        receive(&theirs, &places.each_ref()).unwrap();
        let mut read = String::new();
        places[0].file().unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "first");
        assert!(places[0].file().unwrap().write_all(b"x").is_err());
        places[1].file().unwrap().write_all(b"second").unwrap();
        assert_eq!(second.metadata().unwrap().len(), 6);
    }

    #[test]
    fn files_that_were_not_named_are_refused() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = Handed::new(tempfile::tempfile().unwrap());
        send(&ours, &[&file]).unwrap();
        let places = [Handed::default(), Handed::default()];
        assert_eq!(receive(&theirs, &places.each_ref()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(send(&ours, &[&Handed::default()]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        drop(ours);
        assert_eq!(receive(&theirs, &places.each_ref()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
