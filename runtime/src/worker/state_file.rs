//! What a session's memory has become, in a file of the parent's: after each turn the pages that were written to are added
//! and mapped from there, so that the next turn's are told from them, and a session whose worker is lost can go on from
//! its last turn. The file is a layer over the images the session started from; it is written only between turns.
#![expect(unsafe_code, reason = "pages that were kept are mapped in the place of those that were written")]

use super::image_memory::map_over;
use super::pages::{close_gaps, rows, written_pages};
use crate::image::{ImageTail, PAGE, write_tail};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The most rows of pages that are mapped one by one; the kernel allows a process 65,530 mappings.
const ROWS_MAX: usize = 16 << 10;
/// Pages between two rows that are kept along with them, so that there is one row instead.
const GAP: usize = 4;
/// So often all pages are mapped, also those that the last turns have written to.
const COOLING: u32 = 64;

/// The layer that is being written.
pub(super) struct StateFile {
    file: File,
    /// Which pages the file holds.
    held: Vec<bool>,
    /// Which pages the layers below it hold.
    below: Vec<bool>,
    /// Pages that the file is to hold although nobody has written to them since.
    wanted: Vec<bool>,
    /// Which pages were written to before the last keep.
    last: Vec<bool>,
    keeps: u32,
}

impl StateFile {
    /// Begins a layer in an empty file, or goes on in one that is already mapped, over these images and layers.
    pub(super) fn open(file: File, mapped: &[ImageTail]) -> io::Result<Self> {
        let mut state =
            Self { file, held: Vec::new(), below: Vec::new(), wanted: Vec::new(), last: Vec::new(), keeps: 0 };
        let is_begun = state.file.metadata()?.len() > 0;
        let (top, below) = match mapped.split_last() {
            Some((top, below)) if is_begun => (Some(top), below),
            _ => (None, mapped),
        };
        below.iter().for_each(|tail| add_pages(&mut state.below, tail));
        top.into_iter().for_each(|tail| add_pages(&mut state.held, tail));
        Ok(state)
    }

    /// Goes on in another file, an empty one, over the one so far. A merged one takes over what the layers hold.
    pub(super) fn next(&mut self, file: File, merged: bool) {
        self.file = file;
        let held = std::mem::take(&mut self.held);
        self.below.resize(held.len().max(self.below.len()), false);
        self.below.iter_mut().zip(held).for_each(|(below, held)| *below |= held);
        if merged {
            self.wanted = std::mem::take(&mut self.below);
        }
    }

    /// Keeps what has changed, with the rest of the guest's state.
    pub(super) fn keep(&mut self, memory: &mut [u8], mut tail: ImageTail) -> io::Result<()> {
        let pages = memory.len() / PAGE;
        let kept = self.held.len();
        self.held.resize(pages, false);
        let mut written = written_pages(memory).unwrap_or_else(|error| {
            // Then each turn costs a copy of the whole memory.
            tracing::debug!(%error, "cannot tell which pages were written to");
            vec![true; pages]
        });
        written.iter_mut().zip(&self.wanted).for_each(|(written, wanted)| *written |= wanted);
        self.spare_rows(&mut written);
        // What lies behind the memory goes, also where the memory has grown over it.
        self.file.set_len((kept * PAGE) as u64)?;
        self.file.set_len(memory.len() as u64)?;
        for row in rows(&written) {
            self.held[row.clone()].fill(true);
            let bytes = row.start * PAGE..row.end * PAGE;
            self.file.write_all_at(&memory[bytes.clone()], bytes.start as u64)?;
        }
        self.map(memory, &written)?;
        self.wanted.clear();
        self.last = written;
        tail.pages = Some(rows(&self.held).map(|row| (page_number(row.start), page_number(row.len()))).collect());
        write_tail(&self.file, &tail)
    }

    /// Maps what was just kept, so that it counts as not written to. What every turn writes to is copied each time
    /// instead, which costs less than a mapping and a fault.
    fn map(&mut self, memory: &mut [u8], written: &[bool]) -> io::Result<()> {
        self.keeps = self.keeps.wrapping_add(1);
        let cools = self.keeps.is_multiple_of(COOLING);
        let is_hot = |page: usize| !cools && self.last.get(page).copied().unwrap_or(false);
        let mapped: Vec<bool> = written.iter().enumerate().map(|(page, written)| *written && !is_hot(page)).collect();
        for row in rows(&mapped) {
            // SAFETY: the range is a part of the guest's memory, the guest does not run, and the file holds its very bytes.
            unsafe { map_over(memory.as_mut_ptr().cast(), &self.file, row.start * PAGE..row.end * PAGE)? };
        }
        Ok(())
    }

    /// Adds pages to those to be kept until there are few rows.
    fn spare_rows(&self, written: &mut [bool]) {
        let mut gap = GAP;
        close_gaps(written, gap);
        loop {
            let mut held = self.held.clone();
            held.iter_mut().zip(&*written).for_each(|(held, written)| *held |= written);
            if rows(&held).count() <= ROWS_MAX || gap > held.len() {
                return;
            }
            gap *= 4;
            close_gaps(&mut held, gap);
            written
                .iter_mut()
                .zip(held.iter().zip(&self.held))
                .for_each(|(written, (closed, held))| *written |= closed & !held);
        }
    }
}

/// Adds what a layer holds; the image at the bottom is no layer.
fn add_pages(pages: &mut Vec<bool>, tail: &ImageTail) {
    let Some(rows) = &tail.pages else { return };
    for (first, count) in rows {
        let (first, count) = (*first as usize, *count as usize);
        pages.resize(pages.len().max(first + count), false);
        pages[first..first + count].fill(true);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a memory has 4 GiB at most, so a million pages")]
fn page_number(page: usize) -> u32 {
    page as u32
}
