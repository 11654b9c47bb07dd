//! The memory of a guest that is gone, kept for the next one from the same image. Before anyone gets it, every page the
//! guest has written to is what the image says again, and what it has grown by is gone. Against a new mapping this saves a
//! fault for each page that every run writes to, and most of a small script's time was that.
#![expect(unsafe_code, reason = "nobody but us knows of the memory between two guests")]

use super::image_memory::Reservation;
use super::pages::{rows, written_pages};
use crate::file_state::FileState;
use crate::image::{ImageFile, PAGE};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::io;
use std::os::unix::fs::FileExt;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most pages that are put back, 8 MiB of them; a memory more of which was written to is not kept. They stay this
/// process's own while it waits.
const PAGES_MAX: usize = 2048;
/// So many guests have one memory; then a new one is made, because pages that only one of them has written to would be
/// put back for ever.
const GUESTS_MAX: u32 = 64;

/// Room for one memory.
#[derive(Default)]
pub(super) struct SparePlace {
    spare: Mutex<Option<Spare>>,
}

/// The memory of a guest that is gone.
pub(super) struct Spare {
    /// Shared with nobody any more when it is used.
    pub(super) reservation: Arc<Reservation>,
    /// Accessible bytes.
    pub(super) len: usize,
    pub(super) image: ImageFile,
    pub(super) id: FileState,
    /// How many guests have had it.
    pub(super) guests: u32,
    /// Whether it is as its image.
    pub(super) tidy: bool,
}

impl SparePlace {
    /// Keeps a memory, if it is to serve again.
    pub(super) fn put(&self, spare: Spare) {
        if spare.guests >= GUESTS_MAX {
            return;
        }
        let before = self.lock().replace(spare);
        drop(before);
    }

    /// A memory that is as this image.
    pub(super) fn take(&self, id: FileState) -> Option<Spare> {
        self.tidy();
        self.lock().take_if(|spare| spare.tidy && spare.id == id)
    }

    /// Makes the memory what its image is, or lets go of it.
    pub(super) fn tidy(&self) {
        let mut place = self.lock();
        let Some(spare) = place.as_mut().filter(|spare| !spare.tidy) else { return };
        if let Err(error) = spare.put_back() {
            tracing::debug!(%error, "a memory does not serve again");
            *place = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Spare>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spare {
    fn put_back(&mut self) -> io::Result<()> {
        let image_len = usize::try_from(self.image.tail.memory_bytes).map_err(io::Error::other)?;
        if self.len > image_len {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
            // SAFETY: the range lies inside the reservation; whoever used it is gone.
            let grown = unsafe { self.reservation.base().byte_add(image_len) };
            // SAFETY: as above; what was there is to go.
            unsafe { mmap_anonymous(grown, self.len - image_len, ProtFlags::empty(), flags)? };
            self.len = image_len;
        }
        // SAFETY: so many bytes are mapped from the image, to be read and written, and nobody else knows of them.
        let memory = unsafe { slice::from_raw_parts_mut(self.reservation.base().cast::<u8>(), image_len) };
        let written = written_pages(memory)?;
        let count = written.iter().filter(|written| **written).count();
        if count > PAGES_MAX {
            return Err(io::Error::other(format!("{count} of its pages were written to")));
        }
        for row in rows(&written) {
            let range = row.start * PAGE..row.end * PAGE;
            self.image.file.read_exact_at(&mut memory[range.clone()], range.start as u64)?;
        }
        self.tidy = true;
        Ok(())
    }
}
